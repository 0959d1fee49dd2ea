"""The simulated Fletcher platform's own tests, in C++, under address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

_SOURCES = [
    "native/fletcher/platform.cpp",
    *(f"sims/fletcher/{name}.cpp" for name in ("card", "memory", "link", "functional", "no_rtl")),
]


def test_under_sanitizers(tmp_path: Path, compile_cpp: Callable[..., Path]) -> None:
    program = compile_cpp(
        tmp_path / "test_platform",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-Inative/include",
        "tests/native/fletcher/test_platform.cpp",
        *_SOURCES,
    )
    environment = {key: value for key, value in os.environ.items() if key != "ACCEL_FLETCHER_MODEL"}
    environment["ASAN_OPTIONS"] = "detect_leaks=1"
    done = subprocess.run(
        [program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
