"""The native bnn code on 64-bit ARM: its C++ tests, cross-compiled and emulated. NEON is one of its paths."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_COMPILER = "aarch64-linux-gnu-g++"
_EMULATOR = "qemu-aarch64-static"


def test_engine_on_arm(tmp_path: Path) -> None:
    for tool in (_COMPILER, _EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")
    sources = [str(path) for path in sorted(_ROOT.glob("native/bnn/*.cpp")) if path.name != "pynq.cpp"]
    program = tmp_path / "test_bnn"
    flags = [
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-static",
        "-Inative/include",
        "-Inative/bnn",
    ]
    built = subprocess.run(
        [
            _COMPILER,
            *flags,
            "-o",
            str(program),
            *sources,
            "sims/bnn/timing.cpp",
            "tests/native/bnn/test_bnn.cpp",
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run([_EMULATOR, str(program), str(work)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
