"""What the benchmarks share: their input, timing, and how a figure is printed.

A benchmark prints what it measured, its peer, and last of all the ratio that counts. Exit status 1 says that
a figure was missed. Nothing here is a test: results depend on the machine and on what else it does.
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MB = 1_000_000


@contextmanager
def base64_file(nbytes: int) -> Iterator[Path]:
    """Make a file of base64 text, the input of the published two-FPGA figure, and warm the page cache."""
    with tempfile.TemporaryDirectory(prefix="accel-bench-") as folder:
        path = Path(folder, "base64.txt")
        with path.open("wb") as file:
            left = nbytes
            while left:
                block = base64.encodebytes(os.urandom(3 << 20))[:left]
                file.write(block)
                left -= len(block)
        yield path


def best(function: Callable[[], object], repeat: int = 5) -> float:
    """Return the shortest wall time of several runs, in seconds: the one the machine disturbed least."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def best_of_each(
    functions: dict[str, Callable[[], object]],
    repeat: int = 5,
    before: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Time several functions in turn, so that a slow spell of the machine hits them all; best of each.

    `before` is called ahead of each, untimed.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeat):
        for name, function in functions.items():
            before()
            times[name].append(best(function, 1))
    return {name: min(found) for name, found in times.items()}


class Figures:
    """Prints figures beside what they must reach, and remembers whether they did."""

    def __init__(self) -> None:
        self._missed = 0

    def at_least(self, what: str, value: float, wanted: float, unit: str = "") -> None:
        """Print a figure that is to be large."""
        self._show(what, value, f">= {wanted:g}{unit}", value >= wanted, unit)

    def at_most(self, what: str, value: float, wanted: float, unit: str = "") -> None:
        """Print a figure that is to be small."""
        self._show(what, value, f"<= {wanted:g}{unit}", value <= wanted, unit)

    def finish(self) -> None:
        """End the process: status 1 if a figure was missed."""
        sys.exit(1 if self._missed else 0)

    def _show(self, what: str, value: float, wanted: str, reached: bool, unit: str) -> None:
        self._missed += not reached
        print(f"{what}: {value:.3g}{unit} (must be {wanted}) {'reached' if reached else 'MISSED'}")
