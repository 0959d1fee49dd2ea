"""The simulated Fletcher card itself, without the driver: rows a second, and cycles per row.

The peer is pyarrow's own sum of the same column.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from _common import Figures, best

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import fletcher_platform

ROWS = 50_000_000
figures = Figures()
column = fletcher_platform.column(np.random.default_rng(1).integers(-(2**63), 2**63, ROWS, dtype=np.int64))
expected = int(column.view(np.uint64).sum(dtype=np.uint64))
array = pa.array(column)
arrow = ROWS / best(lambda: pc.sum(array)) / 1e6
print(f"pyarrow.compute.sum: {arrow:.0f} M rows/s")
wanted = {"rtl": 60.0, "functional": 1000.0}
with tempfile.TemporaryDirectory(prefix="accel-bench-") as folder:
    for model in fletcher_platform.models():
        platform = fletcher_platform.load(Path(folder, model), model)
        address, alloced = platform.prepare(column)
        if alloced or platform.run_at(address, 0, ROWS) != (5, expected):
            sys.exit(f"{model}: a wrong sum, or a copy")
        seconds = best(lambda: platform.run_at(address, 0, ROWS), 3)  # noqa: B023
        rate = ROWS / seconds / 1e6
        figures.at_least(f"{model}, {ROWS:,} rows", rate, wanted[model], " M rows/s")
        before = int(platform.lib.accel_fletcher_cycles())
        platform.run_at(address, 0, 1_000_000)
        cycles = int(platform.lib.accel_fletcher_cycles()) - before
        figures.at_most(f"{model}, 1 M rows: cycles against rows/8", cycles * 8 / 1e6, 1.1, "x")
        per_run = best(lambda: platform.run_at(address, 0, 10), 200)  # noqa: B023
        print(f"{model}: 10 rows in {per_run * 1e6:.0f} us through ctypes")
        print(f"{model}: {rate / arrow:.3f}x pyarrow.compute.sum")
figures.finish()
