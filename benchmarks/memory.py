"""Peak memory of ``accel run gzip`` on 2 GB, file to file, as the kernel counts it (resident set)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from _common import MB, Figures, base64_file

accel = str(Path(sys.executable).with_name("accel"))
figures = Figures()
with base64_file(2000 * MB) as path:
    for devices in ("sim:*", "cpu:*"):
        command = [accel, "run", "gzip", str(path), "-o", f"{path}.gz", "--device", devices, "-q"]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, command
        figures.at_most(f"peak memory on {devices}", usage.ru_maxrss * 1024 / MB, 400, " MB")
figures.finish()
