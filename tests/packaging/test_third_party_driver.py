"""A third party's package adds a driver and a kernel: installed with pip, found through entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_EXAMPLE = Path(__file__).with_name("example_driver")
_ACCEL = [sys.executable, "-m", "accel_sdk.cli"]

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the example into a folder of its own; return the environment that sees it."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target), str(_EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), *sys.path])}


def _accel(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*_ACCEL, *arguments], env=environment, capture_output=True, timeout=60)


def test_its_device_is_listed(installed: dict[str, str]) -> None:
    listing = json.loads(_accel(installed, "devices", "--json").stdout)
    mine = [device for device in listing["devices"] if device["name"] == "example-board"]
    assert len(mine) == 1
    assert mine[0]["kind"] == "hardware"
    assert mine[0]["kernels"] == ["swapcase"]
    assert mine[0]["drivers"] == ["example.board"]
    assert listing["problems"] == {}


def test_its_kernel_is_a_command_with_its_own_options(installed: dict[str, str]) -> None:
    assert b"--chunk-bytes" in _accel(installed, "run", "swapcase", "--help").stdout
    assert b"swapcase" in _accel(installed, "run", "--help").stdout


def test_it_runs(installed: dict[str, str], tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"Hello World " * 1000)
    done = _accel(installed, "run", "swapcase", str(source), "-o", str(target), "--chunk-bytes", "1000")
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == b"hELLO wORLD " * 1000
    assert b"hardware" in done.stderr


def test_its_bad_parameters_are_one_line(installed: dict[str, str], tmp_path: Path) -> None:
    done = _accel(installed, "run", "swapcase", os.devnull, "-o", str(tmp_path / "x"), "--chunk-bytes", "0")
    assert done.returncode == 1
    assert done.stderr == b"accel: error: chunk_bytes must be positive, not 0\n"
