"""Make good gzip members of what the vendor's library returns.

The library leaves the CRC-32 zero, appends bytes behind the trailer, or damages it, depending on its
version and framing. Nothing here relies on such positions: the header is parsed, the deflate data decoded,
and the result compared with the input by CRC-32. So a board that computes wrongly is found out too.

The library ends every block with a flush marker, and blocks do not refer to each other. So a run of blocks
is cut out and finished as a member of its own, and the output decompresses in parallel whatever compressed
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from isal import isal_zlib

from accel_drivers.gzip import _members
from accel_drivers.gzip._deflate import RAW, Decoder, IsalError, new_decoder
from accel_sdk.errors import CorruptStreamError

_FLUSH_MARKER = re.compile(b"\x00\x00\xff\xff")  # an empty stored block, byte-aligned: RFC 1951, 3.2.4

_NEAR_TRIES = 32


class _NotSeparable(Exception):
    """The stream has no independent blocks: it becomes one member."""


@dataclass(frozen=True)
class _Run:
    """Blocks that become one member: a range of the payload, and of the input that it holds."""

    start: int
    end: int
    nbytes: int
    crc: int


def members(container: memoryview, source: memoryview, chunk_bytes: int) -> list[bytes | memoryview]:
    """Return the parts of good members that hold `source`; nothing is copied.

    Parameters
    ----------
    container
        What the library returned: gzip or zlib framing around deflate data, and perhaps more behind it.
    source
        What it was to compress.
    chunk_bytes
        Each member holds this much, rounded up to whole blocks of the library's.

    Raises
    ------
    CorruptStreamError
        If the data does not decode to `source`.
    """
    payload = container[_members.payload_start(container) :]
    try:
        try:
            runs = list(_separate(payload, source, chunk_bytes))
            ending = _members.FINAL_BLOCK
        except _NotSeparable:
            runs, ending = [_whole(payload, source)], b""
    except IsalError as error:
        raise CorruptStreamError(f"the deflate data does not decode ({error})") from error
    parts: list[bytes | memoryview] = []
    for run in runs:
        length = run.end - run.start + len(ending)
        parts += [_members.header(length), payload[run.start : run.end], ending]
        parts.append(_members.trailer(run.crc, run.nbytes))
    return parts


def _separate(payload: memoryview, source: memoryview, chunk_bytes: int) -> Iterator[_Run]:
    start = done = 0
    while done < source.nbytes:
        run = _next_run(payload, start, source[done:], chunk_bytes)
        yield run
        start, done = run.end, done + run.nbytes


def _next_run(payload: memoryview, start: int, rest: memoryview, chunk_bytes: int) -> _Run:
    """Cut the next run at the first block border that makes it large enough."""
    wanted, step, tries, passed_over = chunk_bytes, 0, 0, start
    while True:
        decoder = new_decoder(RAW)
        fed, nbytes, crc = start, 0, 0
        for border in _FLUSH_MARKER.finditer(payload, start):
            try:
                piece = decoder.decompress(payload[fed : border.end()])
            except IsalError:
                raise _NotSeparable from None  # refers to earlier blocks; or damaged: _whole will say
            fed, nbytes, crc = border.end(), nbytes + len(piece), isal_zlib.crc32(piece, crc)
            if decoder.eof or nbytes > rest.nbytes:
                raise _NotSeparable
            enough = nbytes >= wanted or nbytes == rest.nbytes
            if enough and fed > passed_over:
                break
        else:
            raise _NotSeparable
        if _ends_here(decoder):
            _check(crc, rest[:nbytes])
            return _Run(start, fed, nbytes, crc)
        # The marker's bytes in the middle of a block. Decode again up to the next border; after some tries go
        # further each time, twice as far, so that data full of such bytes costs a few passes and not one for
        # each of them. The member is then longer than asked for.
        tries += 1
        step = 2 * step + 1 if tries > _NEAR_TRIES else 0
        wanted, passed_over = nbytes + step, fed


def _ends_here(decoder: Decoder) -> bool:
    """Return whether a final block can follow, so that the stream may be cut here. Ends the decoder."""
    try:
        return not decoder.decompress(_members.FINAL_BLOCK) and decoder.eof and not decoder.unused_data
    except IsalError:
        return False


def _whole(payload: memoryview, source: memoryview) -> _Run:
    """Take the stream as one member, up to its final block."""
    decoder = new_decoder(RAW)
    fed = nbytes = crc = 0
    step = 1 << 20
    while not decoder.eof and fed < payload.nbytes:
        piece = decoder.decompress(payload[fed : fed + step])
        fed = min(fed + step, payload.nbytes)
        nbytes, crc = nbytes + len(piece), isal_zlib.crc32(piece, crc)
    if not decoder.eof:
        raise CorruptStreamError("the deflate data is truncated")
    if nbytes != source.nbytes:
        raise CorruptStreamError(f"the deflate data holds {nbytes} bytes, not {source.nbytes}")
    _check(crc, source)
    return _Run(0, fed - len(decoder.unused_data), nbytes, crc)


def _check(crc: int, source: memoryview) -> None:
    if crc != isal_zlib.crc32(source):
        raise CorruptStreamError("the deflate data does not decode to the input (CRC-32 differs)")
