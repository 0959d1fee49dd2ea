"""The simulated gzip library's own tests, in C++, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

_SOURCES = [
    "native/gzip/xfzlib.cpp",
    *(f"sims/gzip/{name}.cpp" for name in ("card", "lz77", "huffman", "inflate", "timing")),
]


def test_under_sanitizers(tmp_path: Path, compile_cpp: Callable[..., Path]) -> None:
    program = compile_cpp(
        tmp_path / "test_xfzlib",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-Inative/include",
        "tests/native/gzip/test_xfzlib.cpp",
        *_SOURCES,
    )
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}
    done = subprocess.run(
        [program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
