"""Many threads on many handles: every result is what a single thread gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_drivers.bnn._abi import Engine
from bnn_engines import loaded, outputs_of, pictures, supported
from bnn_reference import NETWORKS, Reference, random_parameters

THREADS = 8
IMAGES = 24


@dataclass(frozen=True)
class Case:
    """A handle, pictures for it, and what it must say about them with the first and the second folder."""

    engine: Engine
    network: str
    folders: tuple[Path, Path]
    images: NDArray[np.uint8]
    expected: tuple[NDArray[np.generic], NDArray[np.generic]]

    def check(self, start: int, count: int, *, either: bool = False) -> None:
        found = outputs_of(self.engine, self.network, self.images[start : start + count])
        allowed = self.expected if either else self.expected[:1]
        assert any(np.array_equal(found, one[start : start + count]) for one in allowed), (
            f"{self.network} on {self.engine.isa}, images {start} to {start + count - 1}"
        )


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Case]]:
    """Yield eight handles: all five networks, three of them twice, on all instruction sets in turn."""
    root = tmp_path_factory.mktemp("threads")
    isas = supported()
    with ExitStack() as stack:
        made = []
        for number, network in enumerate([*NETWORKS, "cnvW1A1", "lfcW1A1", "cnvW2A2"]):
            folders = root / f"{number}-a", root / f"{number}-b"
            for seed, folder in enumerate(folders):
                rng = np.random.default_rng(100 * number + seed)
                random_parameters(network, rng, folder, style="unordered")
            images = pictures(network, IMAGES, seed=number)
            expected = tuple(Reference(network, folder).run(images) for folder in folders)
            engine = stack.enter_context(loaded(network, folders[0], isas[number % len(isas)]))
            made.append(Case(engine, network, folders, images, (expected[0], expected[1])))
        yield made


def _everything(cases: list[Case], thread: int, ready: threading.Barrier, either: bool) -> None:
    """Use every handle, each thread in an order and with batches of its own."""
    rng = np.random.default_rng(thread)
    ready.wait(timeout=60)
    for _ in range(3):
        for number in rng.permutation(len(cases)):
            count = int(rng.integers(1, IMAGES))
            start = int(rng.integers(0, IMAGES - count))
            cases[number].check(start, count, either=either)


def test_eight_threads_use_eight_handles(cases: list[Case]) -> None:
    ready = threading.Barrier(THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(_everything, cases, thread, ready, False) for thread in range(THREADS)]:
            done.result()


def test_parameters_may_be_loaded_meanwhile(cases: list[Case]) -> None:
    """A run has the parameters of before or of after, never some of each."""
    ready = threading.Barrier(THREADS + 1)
    with ThreadPoolExecutor(THREADS) as pool:
        pending = [pool.submit(_everything, cases, thread, ready, True) for thread in range(THREADS)]
        ready.wait(timeout=60)
        for turn in range(200):
            for case in cases[turn % 3 :: 3]:
                case.engine.load(case.folders[turn % 2])
            if all(done.done() for done in pending):
                break
        for done in pending:
            done.result()
    for case in cases:
        case.engine.load(case.folders[0])
        case.check(0, IMAGES)


def test_handles_come_and_go_in_many_threads(cases: list[Case]) -> None:
    def use(number: int) -> None:
        case = cases[number % len(cases)]
        with loaded(case.network, case.folders[0], case.engine.isa) as engine:
            found = outputs_of(engine, case.network, case.images[:3])
        np.testing.assert_array_equal(found, case.expected[0][:3])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(use, range(4 * THREADS)))
