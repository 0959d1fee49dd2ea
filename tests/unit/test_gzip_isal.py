"""gzip on CPU cores, against zlib and Python's gzip."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accel_drivers.gzip import Gunzip, Gzip, IsalDriver
from accel_sdk.data import MIB
from accel_sdk.device import Device, Kind
from accel_sdk.driver import AnyAccelerator
from accel_sdk.errors import CorruptStreamError, DataError

CPU = Device("cpu:0", Kind.CPU)
CONTENT = st.binary(max_size=2000) | st.builds(
    lambda text, count: text * count, st.binary(min_size=1, max_size=10), st.integers(1, 3000)
)
BLOCKS = st.lists(CONTENT, min_size=1, max_size=4)
SHARES = st.lists(st.floats(0.01, 100), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def gunzip() -> Iterator[AnyAccelerator]:
    with IsalDriver().open(Gunzip(), CPU) as accelerator:
        yield accelerator


def _decoded(accelerator: AnyAccelerator, data: object, shares: list[float] | None = None) -> bytes:
    """Return what the kernel's law is about: split, run each, merge."""
    chunks = Gunzip().split(data, shares or [1.0])
    return Gunzip().merge(accelerator.run(chunk) for chunk in chunks)


def _by_python(stream: bytes) -> bytes | None:
    """Return what Python's gzip makes of a stream; ``None`` if it refuses it."""
    try:
        return gzip.decompress(stream)
    except (OSError, EOFError, zlib.error, struct.error):
        return None


# --- compression ----------------------------------------------------------------------------------


@given(CONTENT, st.integers(0, 3), st.integers(1, 5000))
def test_what_is_compressed_is_good_gzip(content: bytes, level: int, chunk_bytes: int) -> None:
    chunk_bytes = max(chunk_bytes, len(content) // 50, 1)
    with IsalDriver().open(Gzip(level=level, chunk_bytes=chunk_bytes), CPU) as accelerator:
        packed = accelerator.run(content)
    assert gzip.decompress(packed) == content
    # Each member says where the next one is, and holds chunk_bytes of the input.
    held = []
    while packed:
        (length,) = struct.unpack_from("<Q", packed, 16)
        held.append(len(gzip.decompress(packed[:length])))
        packed = packed[length:]
    whole, rest = divmod(len(content), chunk_bytes)
    assert held == [chunk_bytes] * whole + ([rest] if rest or not whole else [])


def test_higher_levels_are_smaller() -> None:
    text = Gzip().sample(MIB) + b"the same words again and again " * 10_000
    sizes = []
    for level in range(4):
        with IsalDriver().open(Gzip(level=level), CPU) as accelerator:
            sizes.append(len(accelerator.run(text)))
    assert sizes[3] <= sizes[1] <= sizes[0] < len(text)


def test_equal_input_gives_equal_output() -> None:
    with IsalDriver().open(Gzip(), CPU) as accelerator:
        assert accelerator.run(b"abc" * 1000) == accelerator.run(bytearray(b"abc" * 1000))


def test_arrays_and_files_compress_as_their_bytes(tmp_path: Path) -> None:
    values = np.arange(1000, dtype=np.int16).reshape(10, 100)
    path = tmp_path / "input"
    path.write_bytes(values.tobytes())
    (blob,) = Gzip().split(path, [1.0])
    with IsalDriver().open(Gzip(), CPU) as accelerator:
        for chunk in (values, blob, values.T.copy().T):
            assert gzip.decompress(Gzip().merge([accelerator.run(chunk)])) == values.tobytes()
        with pytest.raises(DataError):
            accelerator.run("text")


# --- decompression --------------------------------------------------------------------------------


@given(blocks=BLOCKS, foreign=BLOCKS, zeros=st.integers(0, 600), shares=SHARES, order=st.integers(0, 2))
@example(blocks=[b"abc"], foreign=[b""], zeros=0, shares=[1.0], order=0)
def test_mixtures_of_members_decode_as_python_decodes_them(
    blocks: list[bytes],
    foreign: list[bytes],
    zeros: int,
    shares: list[float],
    order: int,
    our_member: Callable[[bytes], bytes],
    gunzip: AnyAccelerator,
) -> None:
    ours, theirs = b"".join(map(our_member, blocks)), b"".join(map(gzip.compress, foreign))
    stream = (ours + theirs, theirs + ours, ours)[order] + bytes(zeros)
    expected = gzip.decompress(stream)
    assert gunzip.run(stream) == expected
    assert _decoded(gunzip, stream, shares) == expected
    assert _decoded(gunzip, io.BytesIO(stream)) == expected


@given(
    block=CONTENT,
    extra=st.none() | st.binary(max_size=60),
    name=st.none() | st.just(b"data.txt"),
    comment=st.none() | st.just(b"no comment"),
    checked=st.booleans(),
)
def test_members_with_optional_fields(
    block: bytes,
    extra: bytes | None,
    name: bytes | None,
    comment: bytes | None,
    checked: bool,
    foreign_header: Callable[..., bytes],
    gunzip: AnyAccelerator,
) -> None:
    payload = zlib.compress(block)[2:-4]
    trailer = struct.pack("<II", zlib.crc32(block), len(block))
    member = foreign_header(extra, name, comment, checked) + payload + trailer
    assert _decoded(gunzip, member * 2) == block * 2


@given(blocks=BLOCKS, ours=st.booleans(), damage=st.data())
def test_damage_never_gets_through(
    blocks: list[bytes],
    ours: bool,
    damage: st.DataObject,
    our_member: Callable[[bytes], bytes],
    gunzip: AnyAccelerator,
) -> None:
    stream = bytearray(b"".join(our_member(block) if ours else gzip.compress(block) for block in blocks))
    for _ in range(damage.draw(st.integers(1, 2))):
        stream[damage.draw(st.integers(0, len(stream) - 1))] ^= 1 << damage.draw(st.integers(0, 7))
    try:
        result = _decoded(gunzip, bytes(stream))
    except CorruptStreamError:
        return
    assert result == _by_python(bytes(stream))


@given(blocks=BLOCKS, ours=st.booleans(), cut=st.data())
def test_truncation_is_found_out(
    blocks: list[bytes],
    ours: bool,
    cut: st.DataObject,
    our_member: Callable[[bytes], bytes],
    gunzip: AnyAccelerator,
) -> None:
    members = [our_member(block) if ours else gzip.compress(block) for block in blocks]
    stream = b"".join(members)
    length = cut.draw(st.integers(0, len(stream) - 1))
    whole = [n for n in range(1, len(members)) if sum(map(len, members[:n])) == length]
    if whole:
        assert _decoded(gunzip, stream[:length]) == b"".join(blocks[: whole[0]])
    else:
        with pytest.raises(CorruptStreamError):
            _decoded(gunzip, stream[:length])


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    ("place", "text"), [(-8, r"checksum|CRC|damaged"), (-4, r"length|bytes|damaged")], ids=["CRC-32", "ISIZE"]
)
def test_every_trailer_is_verified(
    ours: bool, place: int, text: str, our_member: Callable[[bytes], bytes], gunzip: AnyAccelerator
) -> None:
    good = our_member(b"good") if ours else gzip.compress(b"good")
    bad = bytearray(good)
    bad[place] ^= 1
    with pytest.raises(CorruptStreamError, match=text) as caught:
        _decoded(gunzip, good + bytes(bad) + good)
    assert caught.value.offset_bytes == len(good)
    assert f"byte {len(good)}" in str(caught.value)


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("garbage", [b"\x01", b"\x1f", b"\x1f\x8c", b"\x00\x00garbage", b"PK\x03\x04"])
def test_trailing_garbage_is_an_error(
    ours: bool, garbage: bytes, our_member: Callable[[bytes], bytes], gunzip: AnyAccelerator
) -> None:
    member = our_member(b"abc") if ours else gzip.compress(b"abc")
    for data in (member + garbage, io.BytesIO(member + garbage)):
        with pytest.raises(CorruptStreamError, match="trailing garbage") as caught:
            _decoded(gunzip, data)
        assert caught.value.offset_bytes == len(member) + len(garbage) - len(garbage.lstrip(b"\x00"))


@pytest.mark.parametrize("content", [b"", b"\x00", bytes(1000), b"\x1f", b"plain text", b"\x1f\x8b\x08\x00"])
def test_what_is_no_gzip_file(content: bytes, gunzip: AnyAccelerator) -> None:
    for data in (content, io.BytesIO(content)):
        with pytest.raises(CorruptStreamError):
            _decoded(gunzip, data)


def test_a_length_over_two_members_loses_neither(
    our_member: Callable[[bytes], bytes], gunzip: AnyAccelerator
) -> None:
    """If the subfield spans two equal members, the last trailer fits what the first one holds."""
    member = our_member(b"abc")
    stream = bytearray(member * 2)
    stream[16:24] = struct.pack("<Q", len(stream))
    assert _by_python(bytes(stream)) == b"abcabc"
    try:
        result = _decoded(gunzip, bytes(stream))
    except CorruptStreamError:
        return
    assert result == b"abcabc"


def test_bytes_between_payload_and_trailer_are_an_error(gunzip: AnyAccelerator) -> None:
    block = b"abc" * 50
    payload = zlib.compress(block)[2:-4] + b"junk"
    head = (
        b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H2sHQ", 12, b"AX", 8, 32 + len(payload))
    )
    stream = head + payload + struct.pack("<II", zlib.crc32(block), len(block))
    assert _by_python(stream) is None
    with pytest.raises(CorruptStreamError):
        _decoded(gunzip, stream)


@pytest.mark.parametrize("ours", [True, False])
def test_highly_compressed_data(
    ours: bool, our_member: Callable[[bytes], bytes], gunzip: AnyAccelerator
) -> None:
    content = bytes(20 * MIB)
    member = our_member(content) if ours else gzip.compress(content)
    assert _decoded(gunzip, member) == content


def test_a_lying_length_asks_for_no_memory(
    our_member: Callable[[bytes], bytes], gunzip: AnyAccelerator
) -> None:
    member = bytearray(our_member(b"abc"))
    member[-4:] = b"\xff\xff\xff\xff"
    with pytest.raises(CorruptStreamError):
        gunzip.run(bytes(member))


def test_long_results_from_files_leave_memory(tmp_path: Path, gunzip: AnyAccelerator) -> None:
    content = bytes(range(256)) * (65 * MIB // 256)
    path = tmp_path / "long.gz"
    path.write_bytes(gzip.compress(content, 1))
    assert _decoded(gunzip, path) == content


@pytest.mark.parametrize("blocks", [1, 2, 300])
def test_many_small_members(blocks: int, gunzip: AnyAccelerator) -> None:
    stream = b"".join(gzip.compress(bytes([n % 256]) * n) for n in range(blocks))
    assert _decoded(gunzip, stream) == gzip.decompress(stream)


def test_a_subclass_of_the_kernel_is_welcome() -> None:
    class Special(Gunzip):
        pass

    with IsalDriver().open(Special(), CPU) as accelerator:
        assert accelerator.run(gzip.compress(b"abc")) == b"abc"
