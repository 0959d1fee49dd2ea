"""One CPU device, file to file through the runner, against ``pigz -1 -p 1``; 500 MB of base64 text."""

from __future__ import annotations

import shutil
import subprocess
import sys

from _common import MB, Figures, base64_file, best_of_each

import accel_sdk as accel
from accel_drivers.gzip import Gzip

PUBLISHED = {"one FPGA worker (OctoRay, U50)": 348.3, "two FPGA workers": 627.8}

pigz = shutil.which("pigz") or sys.exit("pigz is not installed; it is the peer of this benchmark")
with base64_file(500 * MB) as path, accel.Runner("cpu:0") as one, accel.Runner("cpu:0,cpu:1") as two:
    ours, theirs = path.with_suffix(".ours.gz"), path.with_suffix(".pigz.gz")

    def run_pigz() -> None:
        with theirs.open("wb") as out:
            subprocess.run([pigz, "-1", "-p", "1", "-c", str(path)], stdout=out, check=True)

    peer = best_of_each({"pigz -1 -p 1": run_pigz}, repeat=2)
    mine = best_of_each(
        {
            "cpu:0": lambda: one.run(Gzip(), path, out=ours),
            "cpu:0 and cpu:1": lambda: two.run(Gzip(), path, out=ours),
        },
        before=lambda: ours.unlink(missing_ok=True),
    )
    print(f"compressed to {ours.stat().st_size / MB:.0f} MB; pigz: {theirs.stat().st_size / MB:.0f} MB")
for name, seconds in {**peer, **mine}.items():
    print(f"{name}: {500 / seconds:.0f} MB/s")
for name, rate in PUBLISHED.items():
    print(f"published, {name}: {rate:.0f} MB/s")
figures = Figures()
figures.at_least("two CPU devices", 500 / mine["cpu:0 and cpu:1"], PUBLISHED["two FPGA workers"], " MB/s")
figures.at_least("cpu:0 file to file against pigz -1 -p 1", peer["pigz -1 -p 1"] / mine["cpu:0"], 8, "x")
figures.finish()
