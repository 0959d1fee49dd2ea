"""What all tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_OURS = (
    "DEVICE",
    "ACCEL_SIM_DEVICES",
    "ACCEL_GZIP_LIBRARY",
    "ACCEL_GZIP_XCLBIN",
    "ACCEL_GZIP_SIM_QUIRKS",
    "ACCEL_FLETCHER_LIBRARY",
    "ACCEL_SIM_TRACE",
    "ACCEL_BNN_ISA",
    "ACCEL_BNN_LIBRARY_DIR",
    "ACCEL_BNN_PARAMS_DIR",
    "BOARD",
)

# Before numpy is imported: on busy cores, OpenBLAS's threads wait for each other thirty times longer than one
# of them alone needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with none of the SDK's variables set, whatever the developer's shell has."""
    for name in _OURS:
        if name in os.environ:
            monkeypatch.delenv(name)


def _compiler() -> str:
    found = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++") or shutil.which("clang++")
    if found is None:
        pytest.skip("no C++ compiler (c++, g++, clang++, $CXX) on this machine")
    return found


@pytest.fixture(scope="session")
def compile_cpp() -> Callable[..., Path]:
    """Return a function that compiles a C++17 target, from the project's root; skips without a compiler."""

    def build(target: Path, *arguments: str) -> Path:
        command = [_compiler(), "-std=c++17", "-o", str(target), *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return target

    return build
