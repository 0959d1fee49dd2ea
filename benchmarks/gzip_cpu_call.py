"""One CPU accelerator against python-isal called directly, on the same 1 MiB chunks."""

from __future__ import annotations

from _common import MB, Figures, base64_file, best_of_each
from isal import isal_zlib

import accel_sdk as accel
from accel_drivers.gzip import Gzip

CHUNK = 1 << 20

with base64_file(100 * MB) as path, accel.open(Gzip(), "cpu:0") as gz:
    data = path.read_bytes()
    chunks = [memoryview(data)[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
    times = best_of_each(
        {
            "accel.open(Gzip(), 'cpu:0').run": lambda: [gz.run(chunk) for chunk in chunks],
            "isal_zlib.compress, gzip framing": lambda: [isal_zlib.compress(c, 1, 31) for c in chunks],
        },
        repeat=9,
    )
for name, seconds in times.items():
    print(f"{name}: {len(data) / seconds / MB:.0f} MB/s")
ours, direct = times.values()
figures = Figures()
figures.at_least("throughput against python-isal", direct / ours, 0.95, "x")
figures.finish()
