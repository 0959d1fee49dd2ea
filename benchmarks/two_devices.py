"""Two devices against one; 500 MB of base64 text.

The machine's own limit is measured in the same run: two threads that only call python-isal, each on its half,
against one that does both. Shared cores, caches and clocks keep even those from 2.0x.
"""

from __future__ import annotations

import threading

from _common import MB, Figures, base64_file, best_of_each
from isal import isal_zlib

import accel_sdk as accel
from accel_drivers.gzip import Gzip

CHUNK = 1 << 20


def bare(data: memoryview, threads: int) -> None:
    """Compress `data` with python-isal alone, in so many threads."""

    def work(part: memoryview) -> None:
        for start in range(0, len(part), CHUNK):
            isal_zlib.compress(part[start : start + CHUNK], 1, -15)

    share = -(-len(data) // threads)
    workers = [
        threading.Thread(target=work, args=(data[n * share : (n + 1) * share],)) for n in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def pair(kind: str) -> tuple[accel.Runner, accel.Runner]:
    """Return a runner over one device and one over two."""
    return accel.Runner(f"{kind}:0"), accel.Runner(f"{kind}:0,{kind}:1")


with base64_file(500 * MB) as path:
    data = memoryview(path.read_bytes())
    out = path.with_suffix(".gz")
    cpu_one, cpu_two = pair("cpu")
    sim_one, sim_two = pair("sim")
    times = best_of_each(
        {
            "bare 1": lambda: bare(data, 1),
            "bare 2": lambda: bare(data, 2),
            "cpu 1": lambda: cpu_one.run(Gzip(), path, out=out),
            "cpu 2": lambda: cpu_two.run(Gzip(), path, out=out),
            "sim 1": lambda: sim_one.run(Gzip(), path, out=out),
            "sim 2": lambda: sim_two.run(Gzip(), path, out=out),
        },
        repeat=7,
    )
    for runner in (cpu_one, cpu_two, sim_one, sim_two):
        runner.close()
for name, seconds in times.items():
    print(f"{name}: {500 / seconds:.0f} MB/s")
limit = times["bare 1"] / times["bare 2"]
print(f"the machine's limit, two bare threads against one: {limit:.2f}x")
figures = Figures()
figures.at_least("two simulated devices against one", times["sim 1"] / times["sim 2"], 1.8, "x")
figures.at_least("two CPU devices against one", times["cpu 1"] / times["cpu 2"], 1.8, "x")
figures.finish()
