"""What the command-line tests share: the real `accel` command as a process, and what a failure must be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[bytes]

PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def command() -> str:
    """Return the path of the installed command."""
    path = Path(sys.executable).with_name("accel")
    assert path.is_file(), "the package is not installed in this environment"
    return str(path)


@pytest.fixture
def environment() -> Callable[..., dict[str, str]]:
    """Return a function that makes the environment of a command."""

    def make(**variables: str) -> dict[str, str]:
        # Whether Python buffers its output is the user's choice, and each test's.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        return {**kept, **variables}

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder that commands run in, with a small input file."""
    path = tmp_path / "work"
    path.mkdir()
    (path / "input").write_bytes(b"the quick brown fox " * 500)
    return path


@pytest.fixture
def accel(command: str, folder: Path, environment: Callable[..., dict[str, str]]) -> Callable[..., Done]:
    """Return a function that runs the command to its end, in the folder."""

    def run(*arguments: str, feed: bytes | None = None, env: dict[str, str] | None = None) -> Done:
        return subprocess.run(
            [command, *arguments],
            cwd=folder,
            env=environment(**(env or {})),
            input=feed or b"",
            capture_output=True,
            timeout=PATIENCE_S,
        )

    return run


@pytest.fixture
def contents(folder: Path) -> Callable[[], dict[str, bytes | None]]:
    """Return a function that tells every name in the folder, and what files hold."""

    def look() -> dict[str, bytes | None]:
        return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}

    return look


@pytest.fixture
def fails(accel: Callable[..., Done], contents: Callable[[], dict[str, bytes | None]]) -> Callable[..., str]:
    """Return a function that runs a command which must fail as every failure must; it returns the text."""

    def run(*arguments: str, feed: bytes | None = None, env: dict[str, str] | None = None) -> str:
        before = contents()
        done = accel(*arguments, feed=feed, env=env)
        text = done.stderr.decode()
        assert done.returncode == 1, text
        assert text.startswith("accel: error: "), text
        assert text.endswith("\n")
        assert text.count("\n") == 1, text
        assert "Traceback" not in text
        assert "unexpected" not in text, "a known mistake of users has a text of its own"
        assert contents() == before, "nothing partial is left, nothing is replaced"
        return text

    return run


@pytest.fixture
def misused(
    accel: Callable[..., Done], contents: Callable[[], dict[str, bytes | None]]
) -> Callable[..., str]:
    """Return a function that runs a command line that is none; it returns the text."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> str:
        before = contents()
        done = accel(*arguments, env=env)
        text = done.stderr.decode()
        assert done.returncode == 2, text
        assert done.stdout == b""
        assert "Traceback" not in text
        assert contents() == before
        return text

    return run
