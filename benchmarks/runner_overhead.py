"""What the runner costs on one device, against a plain loop on the same accelerator; 500 MB file to file."""

from __future__ import annotations

from _common import Figures, base64_file, best_of_each

import accel_sdk as accel
from accel_drivers.gzip import Gzip

with base64_file(500_000_000) as path:
    kernel, out = Gzip(), path.with_suffix(".gz")
    figures = Figures()
    for device in ("sim:0", "cpu:0"):
        with accel.open(kernel, device) as gz, accel.Runner(device) as runner:

            def loop() -> None:
                with out.open("wb", buffering=0) as file:
                    kernel.write((gz.run(chunk) for chunk in kernel.split(path, [1.0])), file)

            jobs = {"plain loop": loop, "runner": lambda: runner.run(kernel, path, out=out)}
            times = best_of_each(jobs, repeat=7, before=lambda: out.unlink(missing_ok=True))
        for name, seconds in times.items():
            print(f"{device}, {name}: {500 / seconds:.0f} MB/s")
        overhead = (times["runner"] / times["plain loop"] - 1) * 100
        figures.at_most(f"overhead of the runner on {device}", overhead, 5, " %")
figures.finish()
