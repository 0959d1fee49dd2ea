"""What a run of `Sum` costs beside the device's work: 10 rows, and columns in memory against Arrow's own sum.

The first figure is of `run` as a whole: the buffer is prepared, the registers are written, the device started
and asked until it is done. Measured for both models of the simulated device; the throughput of the functional
one stands beside `pyarrow.compute.sum` over the same column. That includes finding out whether the sum
wrapped, which Arrow does not do. Copies are told by the growth of the process's greatest memory use.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from _common import MB, Figures, best, best_of_each

import accel_sdk as accel
from accel_drivers.fletcher import Sum

TEN_RUNS = 200


def column(rows: int) -> pa.Array:
    """Return random numbers that begin at a multiple of 64 bytes."""
    buffer = pa.allocate_buffer(rows * 8)
    numbers = np.frombuffer(buffer, np.int64)
    numbers[:] = np.random.default_rng(1).integers(-(1 << 31), 1 << 31, rows)
    return pa.Array.from_buffers(pa.int64(), rows, [None, buffer], null_count=0)


def peak_bytes() -> int:
    """Return the greatest memory use of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def overhead_us(board: accel.Accelerator[object, int]) -> float:
    """Return the wall time of a run over 10 rows, in microseconds."""
    ten = pa.record_batch({"number": pa.array(range(10))})

    def runs() -> None:
        for _ in range(TEN_RUNS):
            board.run(ten)

    return best(runs, 10) / TEN_RUNS * 1e6


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=50_000_000)
parser.add_argument("--repeat", type=int, default=5)
arguments = parser.parse_args()

figures = Figures()
numbers = column(arguments.rows)
print(f"{arguments.rows:,} rows, {numbers.nbytes / MB:,.0f} MB")
with accel.open(Sum(), "sim:0") as board:
    library = board._platform.library  # type: ignore[attr-defined]
    expected = pc.sum(numbers).as_py()
    board.run(numbers[:1_000_000])
    before = peak_bytes()
    assert board.run(numbers) == expected
    grown = peak_bytes() - before
    figures.at_most("memory grown by a run, of the column's size", 100 * grown / numbers.nbytes, 5, " %")
    if library.model() == "rtl":
        figures.at_most("a run of 10 rows, RTL", overhead_us(board), 1000, " us")
        cycles = library.cycles()
        board.run(numbers[:1_000_000])
        used = library.cycles() - cycles
        rows = min(1_000_000, arguments.rows)
        figures.at_most(f"cycles for {rows:,} rows, above rows/8", 100 * (used * 8 / rows - 1), 10, " %")
        seconds = best(lambda: board.run(numbers), arguments.repeat)
        figures.at_least("RTL", arguments.rows / seconds / 1e6, 60, " M rows/s")
    library.simulate("functional", 1)
    figures.at_most("a run of 10 rows, functional", overhead_us(board), 100, " us")
    times = best_of_each(
        {"functional": lambda: board.run(numbers), "pyarrow": lambda: pc.sum(numbers)}, arguments.repeat
    )
for name, taken in times.items():
    print(f"{name}: {arguments.rows / taken / 1e6:,.0f} M rows/s")
figures.at_least("functional", arguments.rows / times["functional"] / 1e6, 1000, " M rows/s")
figures.at_least("functional against pyarrow.compute.sum", times["pyarrow"] / times["functional"], 0.5, "x")
figures.finish()
