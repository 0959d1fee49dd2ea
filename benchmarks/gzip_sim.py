"""The simulated board: its speed, how well it compresses beside ``gzip -1``, and its modelled time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from _common import MB, Figures, base64_file, best

import accel_sdk as accel
from accel_drivers.gzip import Gzip

KERNEL_MB_S = 2000  # vendor's figure for the 8-engine kernel on an Alveo U200
gzip = shutil.which("gzip") or sys.exit("GNU gzip is not installed; it is the peer of this benchmark")


def gzip_1(data: bytes) -> int:
    """Return what ``gzip -1`` makes of the data, in bytes."""
    return len(subprocess.run([gzip, "-1", "-c"], input=data, capture_output=True, check=True).stdout)


def python_sources() -> bytes:
    """Return this Python's library as one text."""
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    return b"".join(file.read_bytes() for file in files)[: 100 * MB]


figures = Figures()
with base64_file(500 * MB) as path, accel.open(Gzip(), "sim:0") as board:
    base64_text = path.read_bytes()
    for name, text in {"base64": base64_text, "Python sources": python_sources()}.items():
        size, peer = len(board.run(text)), gzip_1(text)
        seconds = best(lambda: board.run(text), 3)  # noqa: B023
        figures.at_least(f"sim:0, {name}", len(text) / seconds / MB, 120, " MB/s")
        print(f"{name}: ratio {len(text) / size:.3f}; gzip -1: {len(text) / peer:.3f}")
        figures.at_most(f"{name}: size against gzip -1", size / peer, 1.08, "x")
    before = board.stats.device_s or 0.0
    board.run(base64_text)
    modelled = (board.stats.device_s or 0.0) - before
    rate = len(base64_text) / modelled / MB
    print(f"modelled device time for 500 MB on one unit: {modelled:.4f} s, {rate:.0f} MB/s")
    with accel.Runner("sim:0") as runner:
        runner.run(Gzip(), base64_text)
        whole = runner.report.total.device_s or 1.0
    print(f"the same in the runner's chunks of up to 32 MiB: {len(base64_text) / whole / MB:.0f} MB/s")
    difference = abs(rate / KERNEL_MB_S - 1) * 100
    figures.at_most("modelled rate against the vendor's 2 GB/s, difference", difference, 15, " %")
figures.finish()
