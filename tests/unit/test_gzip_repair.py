"""Repair: whatever a library's framing lacks, the result is good gzip that holds the source, or an error.

The containers are made with zlib as the vendor's library makes its own: independent blocks, each ended by a
flush marker, an empty final block, and framing with its published faults.
"""

from __future__ import annotations

import gzip
import random
import struct
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_drivers.gzip import _repair
from accel_sdk.errors import CorruptStreamError

FINAL_BLOCK = b"\x01\x00\x00\xff\xff"
MARKER = b"\x00\x00\xff\xff"
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


def _noise(seed: int, nbytes: int) -> bytes:
    return random.Random(seed).randbytes(nbytes)


NOISE = st.builds(_noise, st.integers(0, 9), st.integers(1, 3000))
REPEATED = st.builds(
    lambda text, count: text * count, st.binary(min_size=1, max_size=20), st.integers(1, 200)
)
FLUSH_BLOCK = b"\x00" + MARKER
MARKERS = st.lists(
    st.sampled_from([MARKER, FINAL_BLOCK, b"\x00" + MARKER, b"\xff\xff", b"\x00\x00", b"abc", b"\x00"]),
    min_size=1,
    max_size=40,
).map(b"".join)
SOURCES = st.lists(NOISE | REPEATED | MARKERS, min_size=1, max_size=4).map(b"".join)
FRAMES = st.sampled_from(["gzip", "gzip as the vendor writes it", "gzip with a name", "zlib", "zlib, zeros"])
CHUNK_BYTES = st.integers(1, 20_000)
LEVELS = st.integers(0, 9)


def _cut(source: bytes, size: int) -> list[bytes]:
    return [source[start : start + size] for start in range(0, len(source), size)]


def _payload(blocks: Sequence[bytes], level: int, flush: int = zlib.Z_FULL_FLUSH) -> bytes:
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15)
    return b"".join(encoder.compress(block) + encoder.flush(flush) for block in blocks) + FINAL_BLOCK


def _framed(payload: bytes, source: bytes, frame: str) -> bytes:
    if frame == "gzip":
        return GZIP_HEADER + payload + struct.pack("<II", zlib.crc32(source), len(source))
    if frame == "gzip as the vendor writes it":  # no CRC-32, and five zero bytes behind
        return GZIP_HEADER + payload + struct.pack("<II", 0, len(source)) + bytes(5)
    if frame == "gzip with a name":
        head = b"\x1f\x8b\x08\x08" + bytes(4) + b"\x00\x03/tmp/in put\x00"
        return head + payload + struct.pack("<II", 0, len(source)) + bytes(5)
    if frame == "zlib":
        return b"\x78\x01" + payload + struct.pack(">I", zlib.adler32(source))
    return b"\x78\x01" + payload + bytes(5)


def _repair_to_members(container: bytes, source: bytes, chunk_bytes: int) -> list[bytes]:
    """Repair, and return what each member holds: found by its length and decoded on its own by zlib."""
    parts = _repair.members(memoryview(container), memoryview(source), chunk_bytes)
    result = b"".join(parts)
    held: list[bytes] = []
    while result:
        (length,) = struct.unpack_from("<Q", result, 16)
        decoder = zlib.decompressobj(31)  # gzip framing: verifies checksum and length
        held.append(decoder.decompress(result[:length]))
        assert decoder.eof
        assert not decoder.unused_data
        result = result[length:]
    assert gzip.decompress(b"".join(parts)) == source
    assert b"".join(held) == source
    return held


def _expected_sizes(blocks: Sequence[bytes], chunk_bytes: int) -> list[int]:
    """Return what members hold if each takes whole blocks until it has enough."""
    sizes = [0]
    for block in blocks:
        if sizes[-1] >= chunk_bytes:
            sizes.append(0)
        sizes[-1] += len(block)
    return sizes


@given(SOURCES, st.integers(1, 4000), CHUNK_BYTES, LEVELS, FRAMES)
def test_independent_blocks_become_members(
    source: bytes, block_bytes: int, chunk_bytes: int, level: int, frame: str
) -> None:
    blocks = _cut(source, max(block_bytes, len(source) // 40))
    held = _repair_to_members(_framed(_payload(blocks, level), source, frame), source, chunk_bytes)
    assert [len(part) for part in held] == _expected_sizes(blocks, chunk_bytes)


@given(MARKERS, st.integers(1, 200), CHUNK_BYTES)
def test_markers_inside_of_stored_data_are_no_borders(
    source: bytes, block_bytes: int, chunk_bytes: int
) -> None:
    blocks = _cut(source, block_bytes)
    container = _framed(_payload(blocks, level=0), source, "gzip")
    held = _repair_to_members(container, source, chunk_bytes)
    assert [len(part) for part in held] == _expected_sizes(blocks, chunk_bytes)


@given(SOURCES, CHUNK_BYTES, LEVELS, FRAMES)
def test_a_stream_without_markers_becomes_one_member(
    source: bytes, chunk_bytes: int, level: int, frame: str
) -> None:
    payload = zlib.compress(source, level)[2:-4]
    held = _repair_to_members(_framed(payload, source, frame), source, chunk_bytes)
    assert len(held) == 1


@given(SOURCES, st.integers(1, 2000), CHUNK_BYTES, st.integers(1, 9), FRAMES)
def test_blocks_that_refer_back_are_not_torn_apart(
    source: bytes, block_bytes: int, chunk_bytes: int, level: int, frame: str
) -> None:
    twice = source + source  # the second half refers to the first
    blocks = _cut(twice, max(block_bytes, len(twice) // 40))
    payload = _payload(blocks, level, zlib.Z_SYNC_FLUSH)
    _repair_to_members(_framed(payload, twice, frame), twice, chunk_bytes)


def test_one_block_that_refers_back_after_many_that_do_not() -> None:
    blocks = [_noise(n, 1000) for n in range(5)]
    encoder = zlib.compressobj(6, zlib.DEFLATED, -15)
    payload = b"".join(encoder.compress(block) + encoder.flush(zlib.Z_FULL_FLUSH) for block in blocks[:-1])
    payload += encoder.compress(blocks[-1]) + encoder.flush(zlib.Z_SYNC_FLUSH)
    payload += encoder.compress(blocks[-1]) + encoder.flush(zlib.Z_FULL_FLUSH) + FINAL_BLOCK
    source = b"".join([*blocks, blocks[-1]])
    _repair_to_members(_framed(payload, source, "gzip"), source, 1)


@given(SOURCES, st.integers(1, 3000), CHUNK_BYTES, LEVELS, FRAMES, st.data())
def test_damage_never_gets_through(
    source: bytes, block_bytes: int, chunk_bytes: int, level: int, frame: str, damage: st.DataObject
) -> None:
    blocks = _cut(source, max(block_bytes, len(source) // 20))
    container = bytearray(_framed(_payload(blocks, level), source, frame))
    for _ in range(damage.draw(st.integers(1, 3))):
        container[damage.draw(st.integers(0, len(container) - 1))] ^= 1 << damage.draw(st.integers(0, 7))
    with suppress(CorruptStreamError):
        _repair_to_members(bytes(container), source, chunk_bytes)


@given(SOURCES, st.integers(1, 3000), CHUNK_BYTES, LEVELS, FRAMES, st.data())
def test_truncation_never_gets_through(
    source: bytes, block_bytes: int, chunk_bytes: int, level: int, frame: str, cut: st.DataObject
) -> None:
    blocks = _cut(source, max(block_bytes, len(source) // 20))
    payload = _payload(blocks, level)
    container = _framed(payload, source, frame)
    length = cut.draw(st.integers(0, len(container)))
    needed = container.index(payload) + len(payload) - len(FINAL_BLOCK)
    try:
        _repair_to_members(container[:length], source, chunk_bytes)
    except CorruptStreamError:
        assert length < needed + len(FINAL_BLOCK), "what is behind the last block is not needed"
    else:
        # But for the last flush marker: stored data that ends in the marker's bytes looks as if it had one,
        # and is complete, as the decoding above has shown.
        assert length >= needed - len(FLUSH_BLOCK), "all the data was there"


@given(SOURCES, SOURCES, st.integers(1, 3000), CHUNK_BYTES, FRAMES)
def test_other_content_never_gets_through(
    source: bytes, other: bytes, block_bytes: int, chunk_bytes: int, frame: str
) -> None:
    blocks = _cut(other, max(block_bytes, len(other) // 20))
    container = _framed(_payload(blocks, 6), other, frame)
    if any(total == len(source) for total in accumulate(map(len, blocks))) and other.startswith(source):
        return  # the source, and more behind a border: that the source is in there is true
    with pytest.raises(CorruptStreamError):
        _repair.members(memoryview(container), memoryview(source), chunk_bytes)


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_single_wrong_byte_is_found_out(where: str) -> None:
    """A board that computes wrongly writes a good stream of wrong data."""
    source = _noise(1, 10_000)
    wrong = bytearray(source)
    wrong[{"first": 0, "middle": 5000, "last": 9999}[where]] ^= 1
    container = _framed(_payload(_cut(bytes(wrong), 1000), 6), bytes(wrong), "gzip")
    for chunk_bytes in (1, 3000, 1 << 20):
        with pytest.raises(CorruptStreamError, match="CRC-32"):
            _repair.members(memoryview(container), memoryview(source), chunk_bytes)


@pytest.mark.parametrize("container", [b"", b"\x1f\x8b", bytes(100), b"<html>not found</html>"])
def test_what_is_no_container(container: bytes) -> None:
    with pytest.raises(CorruptStreamError):
        _repair.members(memoryview(container), memoryview(b"abc"), 1)


def test_nothing_is_copied() -> None:
    source = _noise(2, 20_000)
    container = bytearray(_framed(_payload(_cut(source, 5000), 0), source, "gzip"))
    parts = _repair.members(memoryview(container), memoryview(source), 5000)
    views = [part for part in parts if isinstance(part, memoryview)]
    assert len(views) == 4
    assert all(view.obj is container for view in views)


def test_work_grows_with_the_data_not_with_its_square() -> None:
    """Incompressible data full of false markers, in one block, each of which could be the border."""
    source = b"".join(_noise(n, 60) + MARKER for n in range(1 << 11))
    container = _framed(_payload([source], level=0), source, "gzip")
    started = time.process_time()
    _repair_to_members(container, source, 1)
    assert time.process_time() - started < 0.5, "zlib itself needs a millisecond"
