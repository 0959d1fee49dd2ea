"""gzip on CPU cores: Intel's ISA-L through python-isal, which releases the GIL."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from isal import isal_zlib

from accel_drivers.gzip import _members
from accel_drivers.gzip._deflate import GZIP, RAW, Decoder, IsalError, new_decoder
from accel_drivers.gzip._kernel import Chunk, Gunzip, Gzip
from accel_sdk.data import MIB, Blob, FileBlob, as_blob, bytes_result
from accel_sdk.device import Device
from accel_sdk.driver import Accelerator
from accel_sdk.errors import CorruptStreamError

_READ_BYTES = 256 * 1024
_PIECE_BYTES = 4 * MIB  # bounds the memory that a highly compressed input can ask for at once
_SPOOL_BYTES = 64 * MIB


class IsalCompressor(Accelerator[Chunk, bytes]):
    """`Gzip` on one CPU core."""

    def __init__(self, kernel: Gzip, device: Device) -> None:
        super().__init__(kernel, device)
        self._gzip = kernel

    def _run(self, chunk: Chunk) -> bytes:
        blob = as_blob(chunk)
        parts: list[bytes | memoryview] = []
        for block in blob.blocks(self._gzip.chunk_bytes):
            parts += compress_member(block, self._gzip.level)
        if not blob.nbytes:
            parts += compress_member(memoryview(b""), self._gzip.level)
        return bytes_result(chunk, parts)


def compress_member(block: memoryview, level: int) -> tuple[bytes, memoryview]:
    """Return header and rest of a member that holds `block`.

    ISA-L frames it, so that payload, CRC-32 and length come from one call with the GIL released; its header,
    which names nothing, gives way to ours.
    """
    framed = isal_zlib.compress(block, level, GZIP)
    rest = memoryview(framed)[_members.PLAIN_HEADER_BYTES :]
    return _members.header(rest.nbytes - _members.TRAILER_BYTES), rest


class IsalDecompressor(Accelerator[Chunk, bytes]):
    """`Gunzip` on one CPU core.

    What comes from a file and is longer than 64 MiB when decoded in order is a read-only memoryview of an
    unlinked temporary file, so that memory stays bounded.
    """

    def __init__(self, kernel: Gunzip, device: Device) -> None:
        super().__init__(kernel, device)

    def _run(self, chunk: Chunk) -> bytes:
        return bytes_result(chunk, decompress(as_blob(chunk), device=self.device.name))


def decompress(blob: Blob, *, device: str) -> list[bytes]:
    """Decode a gzip stream: members with our subfield one by one, anything else in order.

    Returns
    -------
    list of bytes
        The content, in pieces.
    """
    parts: list[bytes] = []
    for extent in _members.extents(blob):
        part = blob.part(extent.start, extent.nbytes)
        if extent.ours:
            parts.append(decompress_member(part.view(), offset=part.offset, device=device))
        else:
            parts.append(_decompress_in_order(part, device))
    if not blob.nbytes:
        raise CorruptStreamError("empty input is not a gzip file", offset_bytes=blob.offset)
    return parts


def decompress_member(member: memoryview, *, offset: int, device: str) -> bytes:
    """Decode one member that carries our subfield.

    Raises
    ------
    CorruptStreamError
        If it is damaged, or its CRC-32 or length is wrong.
    """
    crc, isize = _members.read_trailer(member)
    payload = member[_members.HEADER_BYTES : -_members.TRAILER_BYTES]
    decoder = new_decoder(RAW)
    try:
        result = decoder.decompress(payload, isize + 1)  # one more than there may be
    except IsalError as error:
        raise _damaged(offset, f"does not decode ({error})", device) from error
    if not decoder.eof and len(result) <= isize:
        raise _damaged(offset, "is truncated", device)
    if decoder.unused_data:
        raise _damaged(offset, "is shorter than its header says", device)
    if len(result) != isize:
        raise _damaged(offset, f"holds {len(result)} bytes, its trailer says {isize}", device)
    if isal_zlib.crc32(result) != crc:
        raise _damaged(offset, "has a wrong checksum (CRC-32)", device)
    return result


def _damaged(offset: int, how: str, device: str) -> CorruptStreamError:
    return CorruptStreamError(f"the gzip member at byte {offset} {how}", offset_bytes=offset, device=device)


def _decompress_in_order(blob: Blob, device: str) -> bytes:
    pieces = _InOrder(blob, device).pieces()
    return _collect(pieces, spool=isinstance(blob, FileBlob))


class _InOrder:
    """Decodes a stream of members whose lengths are unknown."""

    def __init__(self, blob: Blob, device: str) -> None:
        self._blob = blob
        self._device = device
        self._members = int(blob.offset > 0)  # what starts further on follows members of ours
        self._start = blob.offset  # of the member being read
        self._decoder: Decoder | None = None

    def pieces(self) -> Iterator[bytes]:
        fed = self._blob.offset
        pending = b""
        for block in self._blob.blocks(_READ_BYTES):
            pending += block
            fed += block.nbytes
            while pending:
                if self._decoder is None and not (pending := self._padding_off(pending, fed)):
                    break
                if self._decoder is None and not self._begin(pending, fed):
                    break  # one byte of a magic number: wait for the other
                yield from self._feed(pending)
                pending = self._end_of_member()
        self._check_end(pending, fed)

    def _padding_off(self, pending: bytes, fed: int) -> bytes:
        rest = pending.lstrip(b"\0") if self._members else pending
        self._start = fed - len(rest)
        return rest

    def _begin(self, pending: bytes, fed: int) -> bool:
        if len(pending) < 2 and fed < self._blob.offset + self._blob.nbytes:
            return False
        if pending[:2] != _members.MAGIC:
            what = "is trailing garbage" if self._members else "is not the start of a gzip file"
            raise CorruptStreamError(
                f"byte {self._start} {what}", offset_bytes=self._start, device=self._device
            )
        self._decoder = new_decoder(GZIP)
        return True

    def _feed(self, data: bytes) -> Iterator[bytes]:
        decoder = self._decoder
        assert decoder is not None  # for the type checker: _begin made it
        while True:
            try:
                piece = decoder.decompress(data, _PIECE_BYTES)
            except IsalError as error:
                raise _damaged(self._start, f"is damaged ({error})", self._device) from error
            if piece:
                yield piece
            data = decoder.unconsumed_tail
            if decoder.eof or (not data and len(piece) < _PIECE_BYTES):
                return

    def _end_of_member(self) -> bytes:
        """Return what follows the member in the data that was fed, if the member is complete."""
        decoder = self._decoder
        if decoder is None or not decoder.eof:
            return b""
        self._decoder = None
        self._members += 1
        return decoder.unused_data

    def _check_end(self, pending: bytes, fed: int) -> None:
        if self._decoder is not None or (pending and pending.strip(b"\0")):
            raise CorruptStreamError(
                f"truncated: the gzip member at byte {self._start} does not end before byte {fed}",
                offset_bytes=self._start,
                device=self._device,
            )


def _collect(pieces: Iterator[bytes], *, spool: bool) -> bytes:
    """Join the pieces, in an unlinked temporary file where they become many."""
    held: list[bytes] = []
    nbytes = 0
    for piece in pieces:
        held.append(piece)
        nbytes += len(piece)
        if spool and nbytes > _SPOOL_BYTES:
            return _collect_in_file(held, pieces)
    return b"".join(held)


def _collect_in_file(held: list[bytes], pieces: Iterator[bytes]) -> bytes:
    with tempfile.TemporaryFile() as file:
        _write_all(cast(BinaryIO, file), held)
        _write_all(cast(BinaryIO, file), pieces)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return cast(bytes, memoryview(mapped))  # reads like bytes; `merge` and `write` take it


def _write_all(file: BinaryIO, pieces: Iterator[bytes] | list[bytes]) -> None:
    for piece in pieces:
        file.write(piece)
