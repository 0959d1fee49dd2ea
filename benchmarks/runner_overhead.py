"""What the runner costs on one device, against the plain loop on the same accelerator; 500 MB in memory."""

from __future__ import annotations

from _common import MB, Figures, base64_file, best_of_each

import accel_sdk as accel
from accel_drivers.gzip import Gzip

with base64_file(500 * MB) as path:
    data = path.read_bytes()
    kernel = Gzip()
    figures = Figures()
    for device in ("cpu:0", "sim:0"):
        with accel.open(kernel, device) as gz, accel.Runner(device) as runner:
            times = best_of_each(
                {
                    "plain loop": lambda: kernel.merge(
                        [gz.run(chunk) for chunk in kernel.split(data, [1.0])]
                    ),
                    "runner": lambda: runner.run(kernel, data),
                },
                repeat=7 if device == "cpu:0" else 3,
            )
        for name, seconds in times.items():
            print(f"{device}, {name}: {500 / seconds:.0f} MB/s")
        overhead = (times["runner"] / times["plain loop"] - 1) * 100
        figures.at_most(f"overhead of the runner on {device}", overhead, 5, " %")
figures.finish()
