"""Types where users stand: what mypy says of the public calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CODE = """
from pathlib import Path
import numpy as np
import accel_sdk as accel
from accel_drivers.bnn import Bnn
from accel_drivers.gzip import Gunzip, Gzip

with accel.open(Gzip(level=1), "sim:0") as gz:
    reveal_type(gz.run(b"some bytes"))
    reveal_type(gz.stats.device_s)
with accel.Runner(devices="sim:*") as runner:
    reveal_type(runner.run(Gunzip(), b""))
    reveal_type(runner.run(Gzip(), Path("a"), out=Path("b")))
    reveal_type(runner.report.devices)
    reveal_type(runner.run(Gzip.example(), b""))
reveal_type(accel.devices(kernel="gzip"))
gz.run(3)
Gzip(level="fast")
with accel.open(Bnn("cnvW1A1", "random")) as network:
    network.run(np.zeros((1, 32, 32, 3), np.uint8))
    network.run(Path("images.bin"))
    network.run(3.5)
"""
_EXPECTED = [
    'Revealed type is "bytes"',
    'Revealed type is "float | None"',
    'Revealed type is "bytes"',
    'Revealed type is "None"',
    "tuple[accel_sdk.report.DeviceReport, ...]",
    'Revealed type is "bytes"',
    "list[accel_sdk.device.Device]",
    'Argument 1 to "run"',
    'Argument "level" to "Gzip" has incompatible type "str"',
    'Argument 1 to "run" of "Accelerator" has incompatible type "float"',
]


def test_public_calls(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_CODE)
    # The project's settings, but for the folder: mypy must see the packages as its users do.
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--hide-error-context",
        str(program),
    ]
    root = Path(__file__).parents[2]
    text = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout
    lines = [
        line for line in text.splitlines() if "program.py:" in line and "does not return a value" not in line
    ]
    found = [line for line in lines if "error" in line or "Revealed" in line]
    assert len(found) == len(_EXPECTED), text
    for line, expected in zip(found, _EXPECTED, strict=True):
        assert expected.replace('"', "") in line.replace('"', "").replace("builtins.", ""), line
