"""Two devices against one; 500 MB of base64 text, file to file and file to nowhere.

What limits it is measured in the same run: two threads that only call python-isal, each on its half, against
one that does both. Beyond that, on a machine with two cores, two devices share them with what one device
leaves to the other core: writing the result into the page cache (0.1 s of 0.85 s on CPU devices) and Dask
(0.05 s). Even with both cores always busy, two CPU devices could be 2 x 0.85 / 1.0 = 1.7x as fast as one.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from _common import Figures, base64_file, best_of_each
from isal import isal_zlib

import accel_sdk as accel
from accel_drivers.gzip import Gzip

CHUNK = 1 << 20
NOWHERE = Path("/dev/null")


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


def job(runner: accel.Runner, source: Path, out: Path) -> Callable[[], None]:
    """Return a run that starts without an old output: to free that is not the runner's work."""

    def run() -> None:
        runner.run(Gzip(), source, out=out)

    return run


with base64_file(500_000_000) as path:
    data = memoryview(path.read_bytes())
    jobs: dict[str, Callable[[], object]] = {"bare 1": lambda: bare(data, 1), "bare 2": lambda: bare(data, 2)}
    runners = []
    for kind in ("sim", "cpu"):
        for count in (1, 2):
            runner = accel.Runner([f"{kind}:{n}" for n in range(count)])
            runners.append(runner)
            jobs[f"{kind} {count} to a file"] = job(runner, path, path.with_suffix(f".{kind}{count}.gz"))
            jobs[f"{kind} {count} to nowhere"] = job(runner, path, NOWHERE)

    def prepare() -> None:
        """Remove old outputs, and touch as much memory as a new one needs: a virtual machine may lack it."""
        for old in path.parent.glob("*.gz"):
            old.unlink()
        with tempfile.TemporaryFile(dir=path.parent) as scratch:
            for _ in range(420):
                scratch.write(bytes(1 << 20))

    times = best_of_each(jobs, repeat=9, before=prepare)
    for runner in runners:
        runner.close()
for name, seconds in times.items():
    print(f"{name}: {500 / seconds:.0f} MB/s")
print(f"the machine's limit, two bare threads against one: {times['bare 1'] / times['bare 2']:.2f}x")
figures = Figures()
for kind, label in {"cpu": "CPU", "sim": "simulated"}.items():
    for where in ("a file", "nowhere"):
        ratio = times[f"{kind} 1 to {where}"] / times[f"{kind} 2 to {where}"]
        figures.at_least(f"two {label} devices against one, to {where}", ratio, 1.8, "x")
figures.finish()
