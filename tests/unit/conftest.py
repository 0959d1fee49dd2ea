"""What the unit tests share: scratch folders, and gzip streams built by hand."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from patience import settles

# Examples that start threads, processes or write files have no steady duration.
settings.register_profile("accel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("accel")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that hypothesis examples may share; each overwrites its own file."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="session")
def our_member() -> Callable[[bytes], bytes]:
    """Return a function that makes a member with this family's subfield, by RFC 1952 and zlib alone."""

    def make(block: bytes, level: int = 6) -> bytes:
        encoder = zlib.compressobj(level, zlib.DEFLATED, -15)
        payload = encoder.compress(block) + encoder.flush()
        length = 24 + len(payload) + 8
        head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", 12)
        subfield = b"AX" + struct.pack("<HQ", 8, length)
        return head + subfield + payload + struct.pack("<II", zlib.crc32(block), len(block))

    return make


@pytest.fixture(scope="session")
def foreign_header() -> Callable[..., bytes]:
    """Return a function that makes a gzip header with any of RFC 1952's optional fields."""

    def make(
        extra: bytes | None = None,
        name: bytes | None = None,
        comment: bytes | None = None,
        checked: bool = False,
    ) -> bytes:
        flags = 4 * (extra is not None) | 8 * (name is not None) | 16 * (comment is not None) | 2 * checked
        head = struct.pack("<2sBBIBB", b"\x1f\x8b", 8, flags, 1234567890, 0, 3)
        if extra is not None:
            head += struct.pack("<H", len(extra)) + extra
        for text in (name, comment):
            if text is not None:
                head += text + b"\x00"
        return head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) if checked else head

    return make


@pytest.fixture(scope="session")
def host_drivers() -> Iterator[ModuleType]:
    """Yield the drivers that misbehave in a child process; the child finds them by the parent's path."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    try:
        yield import_module("_host_drivers")
    finally:
        sys.path.remove(folder)


def _children() -> set[int]:
    """Return the live children of this process; a zombie counts, for nobody waited for it."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            if int(status.rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(entry.name))
    return found


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fail if the test leaves a child process behind."""
    before = _children()
    yield
    assert settles(lambda: _children() <= before)
