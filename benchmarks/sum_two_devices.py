"""Two simulated devices against one: `Sum` over a column in memory, by the runner."""

from __future__ import annotations

import argparse

import pyarrow as pa
import pyarrow.compute as pc
from _common import Figures, best_of_each

import accel_sdk as accel
from accel_drivers.fletcher import Sum

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=50_000_000)
parser.add_argument("--repeat", type=int, default=5)
arguments = parser.parse_args()

table: pa.Table = Sum().sample(arguments.rows * 8)
with accel.Runner("sim:0") as one, accel.Runner("sim:0,sim:1") as two:
    expected = pc.sum(table.column(0)).as_py()
    assert one.run(Sum(), table) == two.run(Sum(), table) == expected  # the devices are open now
    times = best_of_each(
        {"one": lambda: one.run(Sum(), table), "two": lambda: two.run(Sum(), table)}, arguments.repeat
    )
for name, seconds in times.items():
    print(f"{name}: {arguments.rows / seconds / 1e6:,.1f} M rows/s")
figures = Figures()
figures.at_least("two devices against one", times["one"] / times["two"], 1.85, "x")
figures.finish()
