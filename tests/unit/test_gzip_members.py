"""Headers of gzip members: ours by RFC 1952 field for field, strangers' as Python and others write them."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_drivers.gzip import _members
from accel_sdk.data import Blob, MemoryBlob, open_input
from accel_sdk.errors import CorruptStreamError

TEXT = st.binary(max_size=40).map(lambda text: text.replace(b"\x00", b"x"))
PIECES = st.lists(st.binary(max_size=200), max_size=5)


def _blob(content: bytes) -> Blob:
    return MemoryBlob(memoryview(content))


def _spans(content: bytes) -> list[tuple[int, int, bool]]:
    return [(found.start, found.nbytes, found.ours) for found in _members.extents(_blob(content))]


@given(block=st.binary(max_size=500), level=st.integers(0, 9))
def test_a_member_is_what_rfc_1952_says(
    block: bytes, level: int, our_member: Callable[[bytes, int], bytes]
) -> None:
    expected = our_member(block, level)
    payload = expected[24:-8]
    made = _members.header(len(payload)) + payload + _members.trailer(zlib.crc32(block), len(block))
    assert made == expected
    assert gzip.decompress(made) == block
    assert _members.own_length(made) == len(made)
    assert _members.read_trailer(memoryview(made)) == (zlib.crc32(block), len(block))


def test_the_final_block_is_an_empty_stored_one() -> None:
    decoder = zlib.decompressobj(-15)
    assert decoder.decompress(_members.FINAL_BLOCK) == b""
    assert decoder.eof
    assert decoder.unused_data == b""


def test_the_length_of_what_a_member_holds_wraps() -> None:
    assert _members.trailer(1, 2**32 + 5) == struct.pack("<II", 1, 5)


@given(payload=st.integers(1, 2**63))
def test_lengths_of_any_size(payload: int) -> None:
    assert _members.own_length(_members.header(payload)) == payload + 32


@given(st.binary(max_size=60))
def test_other_bytes_are_not_ours(content: bytes) -> None:
    assert _members.own_length(content) is None or content.startswith(b"\x1f\x8b\x08\x04")


@given(st.binary(max_size=100), st.integers(0, 9))
def test_pythons_members_are_not_ours(content: bytes, level: int) -> None:
    assert _members.own_length(gzip.compress(content, level)) is None


@pytest.mark.parametrize("position", [0, 1, 2, 3, 10, 11, 12, 13, 14, 15])
def test_a_header_that_differs_is_not_ours(position: int, our_member: Callable[[bytes], bytes]) -> None:
    member = bytearray(our_member(b"abc"))
    member[position] ^= 0x40
    assert _members.own_length(bytes(member)) is None


def test_fields_that_mean_nothing_may_differ(our_member: Callable[[bytes], bytes]) -> None:
    """Time, extra flags and system are for people; a program may have filled them in."""
    member = bytearray(our_member(b"abc"))
    member[4:10] = b"\x01\x02\x03\x04\x02\x03"
    assert _members.own_length(bytes(member)) == len(member)


@pytest.mark.parametrize("length", [0, 1, 31, 32])
def test_a_length_that_cannot_be_is_not_believed(length: int) -> None:
    member = bytearray(_members.header(100))
    member[16:24] = struct.pack("<Q", length)
    assert _members.own_length(bytes(member)) is None


def test_the_start_of_a_header_is_not_enough(our_member: Callable[[bytes], bytes]) -> None:
    member = our_member(b"abc")
    assert _members.own_length(member[:24]) == len(member)
    assert all(_members.own_length(member[:n]) is None for n in range(24))


# --- extents --------------------------------------------------------------------------------------


@given(blocks=PIECES, tail=st.sampled_from([b"", bytes(7), b"garbage", gzip.compress(b"foreign")]))
def test_members_are_found_by_their_lengths(
    blocks: list[bytes], tail: bytes, our_member: Callable[[bytes], bytes]
) -> None:
    members = [our_member(block) for block in blocks]
    starts = [sum(map(len, members[:n])) for n in range(len(members))]
    expected = [(start, len(member), True) for start, member in zip(starts, members, strict=True)]
    if tail:
        expected.append((sum(map(len, members)), len(tail), False))
    assert _spans(b"".join(members) + tail) == expected


def test_behind_a_stranger_nothing_is_searched(our_member: Callable[[bytes], bytes]) -> None:
    first, foreign, last = our_member(b"a"), gzip.compress(b"b"), our_member(b"c")
    assert _spans(first + foreign + last) == [
        (0, len(first), True),
        (len(first), len(foreign) + len(last), False),
    ]


@pytest.mark.parametrize("lost", [1, 8, 20])
def test_a_length_beyond_the_end_is_not_believed(lost: int, our_member: Callable[[bytes], bytes]) -> None:
    whole, cut = our_member(b"whole"), our_member(b"cut short")[:-lost]
    assert _spans(whole + cut) == [(0, len(whole), True), (len(whole), len(cut), False)]


def test_extents_of_a_file(tmp_path: Path, our_member: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "input.gz"
    path.write_bytes(our_member(b"a") * 3 + b"\x00")
    blob = open_input(path)
    assert isinstance(blob, Blob)
    found = list(_members.extents(blob))
    assert [extent.ours for extent in found] == [True, True, True, False]
    assert sum(extent.nbytes for extent in found) == path.stat().st_size


# --- strangers' headers ---------------------------------------------------------------------------


@given(
    extra=st.none() | st.binary(max_size=60),
    name=st.none() | TEXT,
    comment=st.none() | TEXT,
    checked=st.booleans(),
    block=st.binary(max_size=100),
)
def test_where_the_payload_of_gzip_starts(
    extra: bytes | None,
    name: bytes | None,
    comment: bytes | None,
    checked: bool,
    block: bytes,
    foreign_header: Callable[..., bytes],
) -> None:
    head = foreign_header(extra, name, comment, checked)
    payload = zlib.compress(block)[2:-4]
    container = head + payload + struct.pack("<II", zlib.crc32(block), len(block))
    assert gzip.decompress(container) == block, "the header made by hand is a good one"
    assert _members.payload_start(memoryview(container)) == len(head)


@pytest.mark.parametrize("name", ["", "data.txt", "a" * 5000])
def test_where_the_payload_of_pythons_gzip_starts(name: str) -> None:
    target = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=target) as file:
        file.write(b"abc" * 100)
    container = target.getvalue()
    start = _members.payload_start(memoryview(container))
    assert zlib.decompress(container[start:-8], -15) == b"abc" * 100


@given(st.integers(0, 9), st.integers(9, 15), st.binary(max_size=100))
def test_where_the_payload_of_zlib_starts(level: int, window_bits: int, block: bytes) -> None:
    encoder = zlib.compressobj(level, zlib.DEFLATED, window_bits)
    container = encoder.compress(block) + encoder.flush()
    assert _members.payload_start(memoryview(container)) == 2


def test_zlib_with_a_preset_dictionary_is_refused() -> None:
    encoder = zlib.compressobj(zdict=b"abcdef")
    container = encoder.compress(b"abc") + encoder.flush()
    with pytest.raises(CorruptStreamError):
        _members.payload_start(memoryview(container))


@given(
    extra=st.none() | st.binary(min_size=1, max_size=60),
    name=st.none() | TEXT,
    checked=st.booleans(),
    cut=st.data(),
)
def test_a_truncated_header_is_found_out(
    extra: bytes | None,
    name: bytes | None,
    checked: bool,
    cut: st.DataObject,
    foreign_header: Callable[..., bytes],
) -> None:
    head = foreign_header(extra, name, None, checked)
    length = cut.draw(st.integers(0, len(head) - 1))
    with pytest.raises(CorruptStreamError):
        _members.payload_start(memoryview(head[:length]))


@given(st.binary(max_size=30))
def test_any_bytes_give_a_place_within_them_or_an_error(content: bytes) -> None:
    for start in (b"", b"\x1f\x8b\x08", b"\x1f\x8b\x08\x1f"):
        container = memoryview(start + content)
        try:
            found = _members.payload_start(container)
        except CorruptStreamError:
            continue
        assert 2 <= found <= len(container)


@pytest.mark.parametrize(
    "container",
    [
        b"",
        b"\x1f",
        b"\x1f\x8b\x07" + bytes(7),
        b"\x1f\x8b\x08\x20" + bytes(6),
        b"PK\x03\x04" + bytes(20),
        b"\x78\x02" + bytes(20),
        b"\x79\x01" + bytes(20),
        b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 70_000,
    ],
    ids=["empty", "half a magic", "method", "reserved flag", "zip", "checksum", "window", "endless name"],
)
def test_what_is_neither_gzip_nor_zlib(container: bytes) -> None:
    with pytest.raises(CorruptStreamError):
        _members.payload_start(memoryview(container))
