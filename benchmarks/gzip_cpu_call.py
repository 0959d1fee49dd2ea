"""One CPU accelerator against python-isal called directly, on the same 1 MiB chunks."""

from __future__ import annotations

from collections.abc import Callable

from _common import MB, Figures, base64_file, best_of_each
from isal import isal_zlib

import accel_sdk as accel
from accel_drivers.gzip import Gzip

CHUNK = 1 << 20

with base64_file(100 * MB) as path, accel.open(Gzip(), "cpu:0") as gz:
    data = path.read_bytes()

    def each(compress: Callable[[memoryview], bytes]) -> None:
        """Compress every chunk; results are dropped, so that new memory for them is not what is measured."""
        for chunk in chunks:
            compress(chunk)

    chunks = [memoryview(data)[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
    times = best_of_each(
        {
            "accel.open(Gzip(), 'cpu:0').run": lambda: each(gz.run),
            "isal_zlib.compress, gzip framing": lambda: each(lambda c: isal_zlib.compress(c, 1, 31)),
        },
        repeat=15,
    )
for name, seconds in times.items():
    print(f"{name}: {len(data) / seconds / MB:.0f} MB/s")
ours, direct = times.values()
figures = Figures()
figures.at_least("throughput against python-isal", direct / ours, 0.95, "x")
figures.finish()
