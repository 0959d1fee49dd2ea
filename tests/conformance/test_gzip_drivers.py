"""Both gzip drivers keep the contract. Expected results come from Python's gzip and zlib."""

from __future__ import annotations

import gzip
import random
import zlib
from typing import Any

import pytest
from hypothesis import strategies as st

from accel_drivers.gzip import Gunzip, Gzip, IsalDriver, VitisDriver
from accel_sdk import CorruptStreamError, DataError
from accel_sdk.testing import Case, DriverConformance

_WORDS = [b"the ", b"quick ", b"brown ", b"fox ", b"\n", b"0123456789", b"\x00" * 40, b"\xff\xfe"]


def _text(seed: int, nbytes: int) -> bytes:
    source = random.Random(seed)
    return b"".join(source.choice(_WORDS) for _ in range(nbytes // 4 + 1))[:nbytes]


def _inputs() -> st.SearchStrategy[bytes]:
    """Small awkward inputs, and sizes around what the board's blocks make special."""
    edges = [1023, 1024, 1025, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 63, (1 << 20) + 1500]
    sized = st.builds(_text, st.integers(0, 9), st.sampled_from(edges))
    noise = st.builds(
        lambda seed, n: random.Random(seed).randbytes(n), st.integers(0, 9), st.integers(0, 5000)
    )
    return st.one_of(st.binary(max_size=200), sized, noise)


def _gzip_case(driver: Any, device: str) -> Case:
    return Case(
        driver=driver,
        device=device,
        kernel=Gzip(),
        data=_inputs(),
        empty=b"",
        one=b"x",
        reference=lambda data: data,
        observe=gzip.decompress,
        variants=[Gzip(chunk_bytes=1), Gzip(level=0), Gzip(level=3, chunk_bytes=1000)],
        bad=[("text", DataError), (object(), DataError)],
    )


def _members(data: bytes) -> bytes:
    """Return a gzip file of several members, none of which carries its length."""
    return b"".join(gzip.compress(data[i : i + 70_000]) for i in range(0, max(1, len(data)), 70_000))


def _gunzip_case(driver: Any, device: str) -> Case:
    packed = gzip.compress(b"hello " * 100)
    wrong_crc = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    wrong_size = packed[:-1] + bytes([packed[-1] ^ 1])
    return Case(
        driver=driver,
        device=device,
        kernel=Gunzip(),
        data=_inputs().map(_members),
        empty=gzip.compress(b""),
        one=gzip.compress(b"x"),
        reference=gzip.decompress,
        bad=[
            (b"", CorruptStreamError),
            (b"not gzip at all", CorruptStreamError),
            (packed[:-9], CorruptStreamError),
            (packed[:5], CorruptStreamError),
            (wrong_crc, CorruptStreamError),
            (wrong_size, CorruptStreamError),
            (packed + b"garbage", CorruptStreamError),
            (zlib.compress(b"zlib, not gzip"), CorruptStreamError),
        ],
    )


class TestIsalGzip(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _gzip_case(IsalDriver(), "cpu:0")


class TestIsalGunzip(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _gunzip_case(IsalDriver(), "cpu:0")


class TestVitisGzip(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _gzip_case(VitisDriver(), "sim:0")


class TestVitisGunzip(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _gunzip_case(VitisDriver(), "sim:0")
