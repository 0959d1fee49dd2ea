"""How long a user waits before anything happens: cold starts of the command line and the import."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from _common import Figures, best

accel = str(Path(sys.executable).with_name("accel"))


def wall(*command: str) -> float:
    """Return the shortest wall time of a command, in seconds, of several starts."""
    return best(lambda: subprocess.run(command, check=True, capture_output=True), 7)


figures = Figures()
with tempfile.TemporaryDirectory() as folder:
    small = Path(folder, "small.txt")
    small.write_bytes(b"0123456789abcdef" * 64)
    python = wall(sys.executable, "-c", "pass")
    imported = wall(sys.executable, "-c", "import accel_sdk") - python
    print(f"an empty Python: {python:.3f} s")
    figures.at_most("accel devices", wall(accel, "devices"), 0.7, " s")
    run = wall(accel, "run", "gzip", str(small), "-o", f"{small}.gz", "--device", "cpu:0")
    figures.at_most("accel run gzip of 1 KB", run, 1.5, " s")
    figures.at_most("import accel_sdk", imported, 0.25, " s")
figures.finish()
