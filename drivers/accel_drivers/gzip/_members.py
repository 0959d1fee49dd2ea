"""The gzip member as this family writes it, and how a stranger's is read (RFC 1952).

Each member we write carries its own length in an extra subfield, so that members can be found, shared out and
decoded in parallel. Other programs skip the subfield.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from accel_sdk.data import Blob
from accel_sdk.errors import CorruptStreamError

MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16  # RFC 1952, 2.3.1
_UNKNOWN_OS = 255
_SUBFIELD = b"AX"

# magic, method, flags, mtime, extra flags, OS, XLEN; subfield id, its length, the member's length
_HEADER = struct.Struct("<2sBBIBBH2sHQ")
_TRAILER = struct.Struct("<II")  # CRC-32, ISIZE
HEADER_BYTES = _HEADER.size
TRAILER_BYTES = _TRAILER.size
OVERHEAD_BYTES = HEADER_BYTES + TRAILER_BYTES
PLAIN_HEADER_BYTES = 10
"""Of a header without any optional field (RFC 1952, 2.3)."""

FINAL_BLOCK = b"\x01\x00\x00\xff\xff"
"""An empty stored block with BFINAL set: ends a byte-aligned deflate stream (RFC 1951, 3.2.4)."""


def header(payload_nbytes: int) -> bytes:
    """Return a member's header. No name and no time: equal input gives equal output."""
    return _HEADER.pack(
        MAGIC,
        _DEFLATE,
        _FEXTRA,
        0,
        0,
        _UNKNOWN_OS,
        _HEADER.size - 12,
        _SUBFIELD,
        8,
        payload_nbytes + OVERHEAD_BYTES,
    )


def trailer(crc: int, nbytes: int) -> bytes:
    """Return a member's trailer: CRC-32 and length (modulo 2**32) of what it holds."""
    return _TRAILER.pack(crc, nbytes & 0xFFFFFFFF)


def read_trailer(member: memoryview) -> tuple[int, int]:
    """Return CRC-32 and ISIZE of a whole member."""
    crc, isize = _TRAILER.unpack(member[-TRAILER_BYTES:])
    return crc, isize


def own_length(start: bytes | memoryview) -> int | None:
    """Return the length of a member whose header carries our subfield; ``None`` for any other bytes.

    Parameters
    ----------
    start
        At least `HEADER_BYTES` from the start of the member; with fewer the answer is ``None``.
    """
    if len(start) < HEADER_BYTES:
        return None
    magic, method, flags, _, _, _, xlen, subfield, size, length = _HEADER.unpack_from(start)
    ours = (magic, method, flags, xlen) == (MAGIC, _DEFLATE, _FEXTRA, _HEADER.size - 12)
    if not ours or (subfield, size) != (_SUBFIELD, 8) or length <= OVERHEAD_BYTES:
        return None
    return int(length)


@dataclass(frozen=True)
class Extent:
    """A run of bytes in a gzip stream.

    Attributes
    ----------
    start, nbytes
        Where, within the blob.
    ours
        Whether it is one member that carries our subfield; else the rest of the stream, to be read in order.
    """

    start: int
    nbytes: int
    ours: bool


def extents(blob: Blob) -> Iterator[Extent]:
    """Find members by their subfields, without decoding; yield what follows the last of them as one extent.

    A length that points beyond the end is not believed: decoding in order will say what is wrong there.
    """
    position, end = 0, blob.nbytes
    while position < end:
        length = own_length(blob.part(position, HEADER_BYTES).view())
        if length is None or length > end - position:
            yield Extent(position, end - position, ours=False)
            return
        yield Extent(position, length, ours=True)
        position += length


def payload_start(container: memoryview) -> int:
    """Return where the deflate data starts in gzip or zlib framing, by parsing the header.

    Raises
    ------
    CorruptStreamError
        If it is neither.
    """
    if bytes(container[:2]) == MAGIC:
        return _gzip_payload_start(container)
    if _has_zlib_header(container):
        return 2
    raise CorruptStreamError("neither gzip nor zlib framing", offset_bytes=0)


def _has_zlib_header(container: memoryview) -> bool:
    """Check method, header checksum, and that no preset dictionary is asked for (RFC 1950, 2.2)."""
    if len(container) < 2 or container[0] & 15 != _DEFLATE or container[1] & 32:
        return False
    return (container[0] << 8 | container[1]) % 31 == 0


def _gzip_payload_start(container: memoryview) -> int:
    if len(container) < 10 or container[2] != _DEFLATE or container[3] & 0xE0:
        raise CorruptStreamError("a gzip header with unknown method or flags", offset_bytes=0)
    flags, position = container[3], 10
    if flags & _FEXTRA:
        position += 2 + int.from_bytes(container[10:12], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            position = _after_text(container, position)
    if flags & _FHCRC:
        position += 2
    if position > len(container):
        raise CorruptStreamError("a truncated gzip header", offset_bytes=len(container))
    return position


def _after_text(container: memoryview, position: int) -> int:
    """Return the position behind a zero-terminated text; longer than 64 KiB is no file name."""
    end = bytes(container[position : position + 65536]).find(0)
    if end < 0:
        raise CorruptStreamError("a gzip header whose text does not end", offset_bytes=position)
    return position + end + 1
