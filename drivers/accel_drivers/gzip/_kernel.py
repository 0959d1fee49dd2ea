"""The kernels: how bytes split for compression and members for decompression."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Union

from accel_drivers.gzip import _members
from accel_sdk.data import MIB, Blob, MemoryBlob, byte_chunks, chunk_sizes, flat, open_input, read_exactly
from accel_sdk.errors import DataError
from accel_sdk.kernel import Kernel

if TYPE_CHECKING:
    from typing_extensions import Buffer

Chunk = Union[Blob, "Buffer"]

_MOST_CHUNK_BYTES = 32 * MIB  # 50 ms or more on a CPU core: a Dask round trip of 10 ms hides behind it
_LEAST_CHUNK_BYTES = 4 * MIB
_MOST_MEMBER_BYTES = 1 << 30
_LEVELS = range(4)


@dataclass(frozen=True)
class Gzip(Kernel[Chunk, bytes]):
    """Compress to gzip.

    Input: bytes-like, an array, a `pathlib.Path`, or a file opened in binary mode. Result: a gzip file of
    independent members, readable by any gunzip; each member's header carries its length (an RFC 1952 extra
    subfield), so that `Gunzip` can share them out.

    Parameters
    ----------
    level
        0 (fastest) to 3 (smallest): ISA-L's levels. Boards compress at the one level they have.
    chunk_bytes
        Input bytes in each member, up to 1 GiB. A device with larger blocks of its own rounds up to those.

    Raises
    ------
    DataError
        If a parameter is out of its range.
    """

    name: ClassVar[str] = "gzip"
    writes_files: ClassVar[bool] = True

    level: int = field(default=1, metadata={"help": "0 (fastest) to 3 (smallest)"})
    chunk_bytes: int = field(default=MIB, metadata={"help": "input bytes in each gzip member"})

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise DataError(f"level must be 0, 1, 2 or 3, not {self.level}")
        if not 1 <= self.chunk_bytes <= _MOST_MEMBER_BYTES:
            raise DataError(f"chunk_bytes must be from 1 to {_MOST_MEMBER_BYTES}, not {self.chunk_bytes}")

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Chunk]:
        return byte_chunks(
            data, shares, grain=self.chunk_bytes, least=_LEAST_CHUNK_BYTES, most=_MOST_CHUNK_BYTES
        )

    def merge(self, parts: Iterable[bytes]) -> bytes:
        return b"".join(flat(parts))

    def sample(self, nbytes: int) -> bytes:
        return _base64_text(nbytes)


@dataclass(frozen=True)
class Gunzip(Kernel[Chunk, bytes]):
    """Decompress gzip, verifying every checksum.

    Input: as for `Gzip`. Members that carry their length (those `Gzip` writes) are decoded in parallel, any
    other gzip file in order, on one device. Zero padding behind the last member is allowed, anything else
    there is an error.
    """

    name: ClassVar[str] = "gunzip"
    writes_files: ClassVar[bool] = True

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Chunk]:
        source = open_input(data)
        if isinstance(source, Blob):
            yield from _groups(source, shares)
            return
        with nullcontext(source) if source is data else closing(source) as stream:
            yield from _stream_groups(stream)

    def merge(self, parts: Iterable[bytes]) -> bytes:
        return b"".join(flat(parts))

    def sample(self, nbytes: int) -> bytes:
        import zlib

        text = _base64_text(nbytes)
        members = []
        for start in range(0, len(text), MIB):
            block = text[start : start + MIB]
            payload = zlib.compress(block, 1)[2:-4]  # the deflate stream inside zlib's framing
            members += [
                _members.header(len(payload)),
                payload,
                _members.trailer(zlib.crc32(block), len(block)),
            ]
        return b"".join(members)


def _groups(blob: Blob, shares: Sequence[float]) -> Iterator[Blob]:
    """Yield runs of whole members, each about as large as a chunk should be."""
    sizes = chunk_sizes(blob.nbytes, shares, grain=1, least=_LEAST_CHUNK_BYTES, most=_MOST_CHUNK_BYTES)
    start = end = 0
    wanted = next(sizes, 0)
    for extent in _members.extents(blob):
        if end > start and (not extent.ours or end + extent.nbytes - start > wanted):
            yield blob.part(start, end - start)
            start, wanted = end, next(sizes, _LEAST_CHUNK_BYTES)
        end = extent.start + extent.nbytes
    if end > start or not blob.nbytes:
        yield blob.part(start, end - start)


def _stream_groups(stream: BinaryIO) -> Iterator[Blob]:
    """Read members from a pipe and yield them in runs; a stranger's stream is read to its end first."""
    offset, held, held_bytes = 0, list[bytes](), 0
    while True:
        head = read_exactly(stream, _members.HEADER_BYTES)
        length = _members.own_length(head)
        rest = length - len(head) if length is not None else None
        body = read_exactly(stream, sys.maxsize if rest is None else rest)
        held += [head, body]
        held_bytes += len(head) + len(body)
        last = rest is None or len(body) < rest
        if held_bytes >= _LEAST_CHUNK_BYTES * 2 or last:
            if held_bytes or not offset:
                yield MemoryBlob(memoryview(b"".join(held)), offset)
            offset, held, held_bytes = offset + held_bytes, [], 0
        if last:
            return


def _base64_text(nbytes: int) -> bytes:
    """Return base64 text, the same every time: the input of the published two-FPGA figure."""
    import numpy as np

    block = np.random.default_rng(20201118).bytes(min(nbytes, 64 * MIB) * 3 // 4 + 3)
    text = base64.encodebytes(block)
    return (text * (nbytes // len(text) + 1))[:nbytes]
