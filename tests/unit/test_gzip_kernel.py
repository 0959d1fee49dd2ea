"""The gzip kernels without a device: parameters, and how input splits."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_drivers.gzip import Gunzip, Gzip
from accel_sdk.data import MIB, Blob
from accel_sdk.errors import DataError

SHARES = st.lists(st.floats(0.01, 100), min_size=1, max_size=5)
BLOCKS = st.lists(st.binary(max_size=300), min_size=1, max_size=6)


class _OddReads(io.RawIOBase):
    """A pipe that hands out less than one asks for."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__()
        self._file = io.BytesIO(content)
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(memoryview(buffer)[: self._most])


def _pieces(kernel: Gzip | Gunzip, data: object, shares: list[float] | None = None) -> list[bytes]:
    """Split, check that the pieces follow each other, and return them."""
    pieces: list[bytes] = []
    position = 0
    for chunk in kernel.split(data, shares or [1.0]):
        assert isinstance(chunk, Blob)
        assert chunk.offset == position
        pieces.append(bytes(chunk.view()))
        position += chunk.nbytes
    return pieces


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [-1, 4, 9])
def test_levels_that_are_none(level: int) -> None:
    with pytest.raises(DataError, match=f"level.*{level}"):
        Gzip(level=level)


@pytest.mark.parametrize("chunk_bytes", [0, -1, 2**30 + 1])
def test_chunk_sizes_that_are_none(chunk_bytes: int) -> None:
    with pytest.raises(DataError, match=f"chunk_bytes.*{chunk_bytes}"):
        Gzip(chunk_bytes=chunk_bytes)


def test_kernels_are_frozen_values() -> None:
    for kernel in (Gzip(), Gzip(level=3, chunk_bytes=1), Gzip(chunk_bytes=2**30), Gunzip()):
        assert pickle.loads(pickle.dumps(kernel)) == kernel
        assert hash(kernel) == hash(pickle.loads(pickle.dumps(kernel)))
    with pytest.raises(FrozenInstanceError):
        Gzip().level = 2  # type: ignore[misc]
    assert (Gzip.name, Gunzip.name) == ("gzip", "gunzip")


@pytest.mark.parametrize("nbytes", [0, 1, 77, 1_000_000])
def test_samples(nbytes: int) -> None:
    sample = Gzip().sample(nbytes)
    assert len(sample) == nbytes
    assert sample == Gzip().sample(nbytes), "the same at every call"
    assert gzip.decompress(Gunzip().sample(nbytes)) == sample


# --- compression ----------------------------------------------------------------------------------


@given(st.binary(max_size=3000), SHARES, st.integers(1, 2000))
def test_gzip_split_drops_nothing(content: bytes, shares: list[float], chunk_bytes: int) -> None:
    for data in (content, memoryview(content), io.BytesIO(content)):
        pieces = _pieces(Gzip(chunk_bytes=chunk_bytes), data, shares)
        assert b"".join(pieces) == content
        assert pieces


@pytest.mark.parametrize("chunk_bytes", [1, 1000, MIB, 3 * MIB, 100 * MIB])
def test_gzip_splits_at_whole_members(chunk_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "input"
    with path.open("wb") as file:
        file.truncate(150 * MIB)  # sparse: takes no space and is never read
    chunks = list(Gzip(chunk_bytes=chunk_bytes).split(path, [1.0, 3.0]))
    sizes = [chunk.nbytes for chunk in chunks if isinstance(chunk, Blob)]
    assert sum(sizes) == 150 * MIB
    assert all(size % chunk_bytes == 0 for size in sizes[:-1])
    assert len(sizes) >= 2, "work for both devices"


# --- decompression --------------------------------------------------------------------------------


@given(
    blocks=BLOCKS, shares=SHARES, tail=st.lists(st.binary(max_size=50), max_size=2), zeros=st.integers(0, 40)
)
def test_gunzip_splits_between_members(
    blocks: list[bytes],
    shares: list[float],
    tail: list[bytes],
    zeros: int,
    our_member: Callable[[bytes], bytes],
    scratch: Path,
) -> None:
    ours = [our_member(block) for block in blocks]
    stream = b"".join([*ours, *map(gzip.compress, tail)]) + bytes(zeros)
    borders = {sum(map(len, ours[:n])) for n in range(len(ours) + 1)} | {len(stream)}
    path = scratch / "stream.gz"
    path.write_bytes(stream)
    for data in (stream, path, io.BytesIO(stream), _OddReads(stream, 7)):
        pieces = _pieces(Gunzip(), data, shares)
        assert b"".join(pieces) == stream
        assert all(sum(map(len, pieces[:n])) in borders for n in range(len(pieces)))


@given(foreign=BLOCKS, block=st.binary(max_size=50))
def test_gunzip_leaves_strangers_whole(
    foreign: list[bytes], block: bytes, our_member: Callable[[bytes], bytes]
) -> None:
    """What cannot be found by its length is decoded in order, so it stays in one piece."""
    rest = b"".join(map(gzip.compress, foreign)) + our_member(block) * 3
    assert _pieces(Gunzip(), rest) == [rest]
    assert _pieces(Gunzip(), our_member(block) + rest)[-1].endswith(rest)


@pytest.mark.parametrize("shares", [[1.0], [1.0, 1.0], [1.0, 9.0, 2.0]])
@pytest.mark.parametrize("piped", [False, True])
def test_gunzip_shares_out_large_streams(
    shares: list[float], piped: bool, our_member: Callable[[bytes, int], bytes]
) -> None:
    members = [our_member(os.urandom(1) * (MIB // 2 + n), 0) for n in range(50)]
    borders = {sum(map(len, members[:n])) for n in range(len(members) + 1)}
    stream = b"".join(members)
    pieces = _pieces(Gunzip(), io.BytesIO(stream) if piped else stream, shares)
    assert b"".join(pieces) == stream
    assert len(pieces) > len(shares)
    assert all(sum(map(len, pieces[:n])) in borders for n in range(len(pieces)))


@pytest.mark.parametrize("content", [b"", b"\x1f", b"\x1f\x8b", b"no gzip at all", bytes(100)])
def test_gunzip_hands_on_what_is_no_gzip(content: bytes) -> None:
    """Finding the fault is the device's part: there must be a chunk that holds it."""
    for data in (content, io.BytesIO(content)):
        assert _pieces(Gunzip(), data) == [content]


@pytest.mark.parametrize("length", [2**40, 2**62, 2**63, 2**64 - 1])
def test_an_absurd_length_is_not_believed(length: int, our_member: Callable[[bytes], bytes]) -> None:
    """Nor is memory for it asked for: the stream holds a few bytes."""
    stream = bytearray(our_member(b"abc" * 30))
    stream[16:24] = struct.pack("<Q", length)
    content = bytes(stream)
    assert b"".join(_pieces(Gunzip(), content)) == content
    reader, writer = os.pipe()
    with open(writer, "wb", buffering=0) as end:
        end.write(content)
    with open(reader, "rb") as pipe:  # buffered, as standard input is
        assert b"".join(_pieces(Gunzip(), pipe)) == content


def test_gunzip_reads_a_pipe(tmp_path: Path, our_member: Callable[[bytes], bytes]) -> None:
    stream = our_member(b"abc") * 3 + gzip.compress(b"foreign")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(stream) and None)
    writer.start()
    pieces = _pieces(Gunzip(), fifo)
    writer.join(10)
    assert b"".join(pieces) == stream


@pytest.mark.parametrize(
    "data",
    ["text", None, 7, io.StringIO("text"), Path("/nonexistent/file")],
    ids=["text", "none", "number", "text file", "no such file"],
)
@pytest.mark.parametrize("kernel", [Gzip(), Gunzip()], ids=["gzip", "gunzip"])
def test_what_is_no_input(kernel: Gzip | Gunzip, data: object) -> None:
    with pytest.raises(DataError):
        list(kernel.split(data, [1.0]))


@pytest.mark.parametrize("kernel", [Gzip(), Gunzip()], ids=["gzip", "gunzip"])
def test_merge_joins_in_order(kernel: Gzip | Gunzip) -> None:
    assert kernel.merge(iter([b"a", b"", b"bc"])) == b"abc"
    assert kernel.merge([]) == b""
    file = io.BytesIO()
    kernel.write(iter([b"a", b"bc"]), file)
    assert file.getvalue() == b"abc"
