"""Bytes on their way to a device: pieces of memory and of files, handed on by reference.

A kernel over bytes splits its input into `Blob` objects. A `FileBlob` is a path with an offset and a length
and costs nothing to send; a `MemoryBlob` views the user's memory and copies nothing in one process.
Both know where they start in the whole input, so that an error can say where it is.
"""

from __future__ import annotations

import io
import os
import pickle
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, SupportsIndex, cast

from accel_sdk.errors import DataError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

MIB = 1 << 20
_READ_BYTES = 64 * MIB  # at once: a length that somebody claims is not to be trusted with memory


class Blob(ABC):
    """A run of bytes that can be read as often as one likes (a retry reads it again).

    Attributes
    ----------
    offset
        Where it starts in the whole input, bytes.
    """

    offset: int

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Length in bytes."""

    @abstractmethod
    def view(self, scratch: bytearray | None = None) -> memoryview:
        """Return all of it, read-only. Memory is viewed, a file is read.

        Parameters
        ----------
        scratch
            Read a file into this, and let it grow as need be: a caller that keeps it spares the page faults
            of new memory. The view is then valid until the next use.
        """

    @abstractmethod
    def blocks(self, nbytes: int) -> Iterator[memoryview]:
        """Yield it in blocks of `nbytes` (the last may be shorter; none for an empty blob).

        A block is valid only until the next one is asked for: its memory is used again.
        """

    @abstractmethod
    def part(self, start: int, nbytes: int) -> Blob:
        """Return `nbytes` of it from `start` on (counted within this blob), by reference."""


@dataclass(frozen=True)
class MemoryBlob(Blob):
    """Bytes in this process's memory. Keeps `data` alive; never copies it here, sends it out of band.

    Parameters
    ----------
    data
        A flat, C-contiguous view of bytes.
    offset
        Where it starts in the whole input, bytes.
    """

    data: memoryview
    offset: int = 0

    @property
    def nbytes(self) -> int:
        return self.data.nbytes

    def view(self, scratch: bytearray | None = None) -> memoryview:
        return self.data.toreadonly()

    def blocks(self, nbytes: int) -> Iterator[memoryview]:
        view = self.view()
        for start in range(0, view.nbytes, nbytes):
            yield view[start : start + nbytes]

    def part(self, start: int, nbytes: int) -> MemoryBlob:
        return MemoryBlob(self.data[start : start + nbytes], self.offset + start)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        return _memory_blob, (picklable(self.data, protocol), self.offset)


def _memory_blob(data: Buffer, offset: int) -> MemoryBlob:
    return MemoryBlob(memoryview(data), offset)


@dataclass(frozen=True)
class FileBlob(Blob):
    """Part of a regular file, by reference.

    Parameters
    ----------
    path
        Absolute path.
    offset, length
        Bytes.
    file_size, mtime_ns
        The file's size and modification time when the job began: a file that changed since is an error,
        not a silently wrong result.
    """

    path: str
    offset: int
    length: int
    file_size: int
    mtime_ns: int

    @property
    def nbytes(self) -> int:
        return self.length

    def view(self, scratch: bytearray | None = None) -> memoryview:
        buffer = bytearray(self.length) if scratch is None else scratch
        if len(buffer) < self.length:
            buffer.extend(bytes(self.length - len(buffer)))
        whole = memoryview(buffer)[: self.length]
        with self._open() as file:
            self._fill(file, whole, 0)
        return whole.toreadonly()

    def blocks(self, nbytes: int) -> Iterator[memoryview]:
        # One buffer, used again for every block, so that it stays in the core's cache.
        buffer = memoryview(bytearray(min(nbytes, self.length)))
        with self._open() as file:
            for start in range(0, self.length, nbytes):
                block = buffer[: min(nbytes, self.length - start)]
                self._fill(file, block, start)
                yield block.toreadonly()

    def part(self, start: int, nbytes: int) -> FileBlob:
        return replace(self, offset=self.offset + start, length=max(0, min(nbytes, self.length - start)))

    def _open(self) -> BinaryIO:
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - the caller's to close
        except OSError as error:
            raise _unreadable(self.path, error) from error
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.file_size, self.mtime_ns):
            file.close()
            raise DataError(f"{self.path} changed while it was being read", hint="run the job again")
        return cast(BinaryIO, file)

    def _fill(self, file: BinaryIO, block: memoryview, start: int) -> None:
        position = self.offset + start
        done = 0
        while done < block.nbytes:
            try:
                count = os.preadv(file.fileno(), [block[done:]], position + done)
            except OSError as error:
                raise _unreadable(self.path, error) from error
            if count == 0:
                raise DataError(
                    f"{self.path} ends at byte {position + done}, before byte {position + block.nbytes}",
                    hint="the file became shorter while it was being read; run the job again",
                )
            done += count


class Carrier(ABC):
    """A chunk made of blobs and whatever else: how to read them, their place in the input.

    A runner on a cluster sends a `FileBlob` by reference only where every worker can read the file, by value
    otherwise; it does the same for those inside a carrier. Subclasses are picklable, best frozen dataclasses.
    """

    @property
    @abstractmethod
    def blobs(self) -> tuple[Blob, ...]:
        """The blobs, in an order of its own."""

    @abstractmethod
    def with_blobs(self, blobs: tuple[Blob, ...]) -> Self:
        """Return the same chunk with other blobs of the same content, as many and in the order of `blobs`."""

    @property
    def nbytes(self) -> int:
        """Length of all blobs in bytes."""
        return sum(blob.nbytes for blob in self.blobs)


def as_blob(data: object) -> Blob:
    """Return bytes-like data, an array or a `Blob` as a `Blob`, without copying where it can be viewed.

    Raises
    ------
    DataError
        If it is nothing that holds bytes.
    """
    if isinstance(data, Blob):
        return data
    if isinstance(data, str):
        raise DataError("text is not input bytes", hint="encode it, or give a pathlib.Path for a file")
    try:
        view = memoryview(cast("Buffer", data))
    except (TypeError, ValueError, BufferError):
        raise DataError(
            f"{type(data).__name__} is not input",
            hint="give bytes, an array of numbers, a pathlib.Path or a file opened in binary mode",
        ) from None
    if "O" in view.format:
        raise DataError("an array of Python objects is not input", hint="give it a dtype of numbers")
    if view.nbytes == 0:
        return MemoryBlob(memoryview(b""))
    if not view.c_contiguous:
        return MemoryBlob(memoryview(view.tobytes()))
    return MemoryBlob(view.cast("B"))


def open_input(data: object) -> Blob | BinaryIO:
    """Return input as a `Blob`, or as a stream to read once where it has no length.

    A `Path` to a regular file becomes a `FileBlob`; one to a pipe or device node is opened as a stream.
    Whoever gets a stream from a `Path` closes it.

    Raises
    ------
    DataError
        If the file is missing, unreadable or a directory, or `data` holds no bytes.
    """
    if isinstance(data, os.PathLike):
        return _open_path(Path(os.fspath(data)))
    if hasattr(data, "read"):
        return cast(BinaryIO, data)
    return as_blob(data)


def _open_path(path: Path) -> Blob | BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise DataError(f"{path} is a directory", hint="give a file")
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error) from error
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return file  # a pipe has no size, and that of /proc's files is a lie
    file.close()
    return FileBlob(str(path.absolute()), 0, status.st_size, status.st_size, status.st_mtime_ns)


def is_pipe(path: Path) -> bool:
    """Return whether a path is there, but neither a file nor a folder: a pipe or device node."""
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except OSError:
        return False  # opening it will say why


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(f"cannot read {path}: {error.strerror or error}")


def read_exactly(stream: BinaryIO, nbytes: int) -> bytes:
    """Read `nbytes`, or fewer at the end of the stream. A pipe may hand out less than one asks for.

    Raises
    ------
    DataError
        If the stream cannot be read, or gives text.
    """
    pieces: list[bytes] = []
    missing = nbytes
    while missing:
        piece = _read_some(stream, min(missing, _READ_BYTES))
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read_some(stream: BinaryIO, nbytes: int) -> bytes:
    try:
        piece: object = stream.read(nbytes)
    except OSError as error:
        raise _unreadable(str(getattr(stream, "name", "the input stream")), error) from error
    except ValueError as error:  # a closed file; or text that does not decode
        raise DataError(f"cannot read the input stream: {error}", hint="open it in mode 'rb'") from error
    if isinstance(piece, str):
        raise DataError("the input file is open in text mode", hint="open it in mode 'rb'")
    if piece is None:
        raise DataError("the input stream is not ready", hint="open it in blocking mode")
    return cast(bytes, piece)


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer).cast("B")
        piece = self._head[: target.nbytes] or read_exactly(self._stream, target.nbytes)
        self._head = self._head[len(piece) :]
        target[: len(piece)] = piece
        return len(piece)


def rejoined(head: bytes, stream: BinaryIO) -> BinaryIO:
    """Return a stream as it was before its first bytes, `head`, were read to see what it is.

    Closing it does not close `stream`. Reading raises what `read_exactly` raises.
    """
    return io.BufferedReader(_Rejoined(head, stream), MIB)


def chunk_sizes(total: int, shares: Sequence[float], *, grain: int, least: int, most: int) -> Iterator[int]:
    """Cut `total` into sizes that keep devices of different speed busy to the end.

    Sizes start large, because every chunk costs a trip to its device, and shrink as the end comes near, so
    that the last chunks finish together whoever takes them (guided self-scheduling, Polychronopoulos and
    Kuck 1987). They add up to `total` exactly.

    Parameters
    ----------
    total
        How much there is, in any unit.
    shares
        Relative speed of each device; only the ratios matter.
    grain
        Sizes are multiples of this, but for the last.
    least, most
        Bounds of a size, but for the last; rounded to multiples of `grain`, up and down.

    Raises
    ------
    DataError
        If `shares` is empty, or one is not a positive finite number.
    """
    if not shares or not all(0 < share < float("inf") for share in shares):
        raise DataError(f"shares must be positive numbers, one for each device, not {list(shares)}")
    slowest = min(shares) / sum(shares)
    least = -(-least // grain) * grain
    left = total
    while left > 0:
        size = min(most, int(left * slowest / 2)) // grain * grain
        size = min(left, max(least, size))
        yield size
        left -= size


def byte_chunks(
    data: object, shares: Sequence[float], *, grain: int, least: int, most: int
) -> Iterator[Blob]:
    """Split input bytes lazily into blobs, by reference where that can be; at least one, even if empty.

    Parameters are those of `chunk_sizes`; `data` is what `open_input` takes.
    """
    source = open_input(data)
    if isinstance(source, Blob):
        start = 0
        for size in chunk_sizes(source.nbytes, shares, grain=grain, least=least, most=most):
            yield source.part(start, size)
            start += size
        if not source.nbytes:
            yield source
        return
    with nullcontext(source) if source is data else closing(source) as stream:
        yield from _stream_chunks(stream, max(grain, most // grain * grain))


def _stream_chunks(stream: BinaryIO, size: int) -> Iterator[Blob]:
    offset = 0
    while True:
        piece = read_exactly(stream, size)
        if piece or not offset:
            yield MemoryBlob(memoryview(piece), offset)
        if len(piece) < size:
            return
        offset += len(piece)


@dataclass(frozen=True)
class Pieces:
    """A large bytes result in pieces, on its way to `Kernel.merge` or `Kernel.write`.

    Where a chunk comes as a `Blob`, its result may come as this in place of `bytes`. Joining the pieces would
    cost more than making them: every page of a large new buffer is a page fault, measured at 37 % of the time
    of ISA-L's fastest compression.

    Parameters
    ----------
    pieces
        Bytes-like objects, in order.
    """

    pieces: tuple[bytes | memoryview, ...]

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return sum(len(piece) for piece in self.pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        return _pieces, tuple(picklable(piece, protocol) for piece in self.pieces)


def _pieces(*pieces: bytes) -> Pieces:
    return Pieces(pieces)


def bytes_result(chunk: object, pieces: Sequence[bytes | memoryview]) -> bytes:
    """Return the result of a chunk of a bytes kernel: `bytes` for a user's data, `Pieces` for a `Blob`."""
    if isinstance(chunk, Blob):
        return cast(bytes, Pieces(tuple(pieces)))
    return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)


def flat(parts: Iterable[object]) -> Iterator[bytes]:
    """Yield the pieces of all parts of a bytes kernel, in order.

    Raises
    ------
    UnsupportedError
        If a part is not made of bytes.
    """
    for part in parts:
        if isinstance(part, Pieces):
            yield from cast("tuple[bytes, ...]", part.pieces)
        elif isinstance(part, (bytes, bytearray, memoryview)):
            yield cast(bytes, part)
        else:
            raise UnsupportedError(f"a {type(part).__name__} is not made of bytes")


def picklable(data: Buffer, protocol: SupportsIndex) -> object:
    """Return bytes as pickle takes them: out of band where it can, so that no copy is made on the way."""
    return pickle.PickleBuffer(data) if protocol.__index__() >= 5 else bytes(data)


def input_size(data: object) -> int | None:
    """Return the bytes of a whole input where they are known without reading it: a file's size, an array's.

    ``None`` for what is a stream, a folder, missing, or empty (the files of ``/proc`` look so).
    """
    if not isinstance(data, os.PathLike):
        return sizeof(data) or None
    try:
        status = os.stat(data)
    except OSError:
        return None  # opening it will say why
    return status.st_size or None if stat.S_ISREG(status.st_mode) else None


def sizeof(value: object) -> int:
    """Return the bytes a chunk or result holds; 0 for what holds none of its own."""
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(sizeof(item) for item in value)
    return 0
