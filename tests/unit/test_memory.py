"""The allocator is tuned once, and never against the user's own settings."""

from __future__ import annotations

import ctypes
import os

import pytest

from accel_sdk._memory import keep_freed_memory


class _Library:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.calls.append((parameter, value))
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> _Library:
    for name in list(os.environ):
        if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES":
            monkeypatch.delenv(name)
    made = _Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: made)
    return made


def test_thresholds_are_raised(library: _Library) -> None:
    keep_freed_memory()
    assert library.calls == [(-3, 32 << 20), (-1, 128 << 20)]  # mallopt(3): M_MMAP_, M_TRIM_THRESHOLD


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_the_users_tuning_wins(library: _Library, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    keep_freed_memory()
    assert library.calls == []


def test_another_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
