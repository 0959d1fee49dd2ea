"""MNIST's file format: idx3 for images, idx1 for their labels; plain or gzipped; in files, memory, pipes."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from accel_sdk.data import MIB, Blob, read_exactly
from accel_sdk.errors import CorruptStreamError, DataError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER_BYTES = 16
IMAGES_MAGIC = b"\0\0\x08\x03"
LABELS_MAGIC = b"\0\0\x08\x01"
GZIP_MAGIC = b"\x1f\x8b"
_LABELS_HEADER_BYTES = 8


def image_count(header: bytes, size: tuple[int, ...], label: str) -> int:
    """Return how many images an idx3 header announces.

    Parameters
    ----------
    header
        The first 16 bytes, or fewer if there are no more.
    size
        Height and width that the images must have, pixels.
    label
        What it is the header of, for error texts.

    Raises
    ------
    CorruptStreamError
        If it is cut off, or no idx3 header.
    ShapeError
        If the images have another size.
    """
    if header[:4] != IMAGES_MAGIC[: len(header)]:
        found = f"it begins with 0x{header[:4].hex()}, not 0x{IMAGES_MAGIC.hex()}"
        hint = "it holds labels, not images" if header[:4] == LABELS_MAGIC else None
        raise CorruptStreamError(f"{label} is no idx3 file: {found}", offset_bytes=0, hint=hint)
    if len(header) < HEADER_BYTES:
        raise CorruptStreamError(
            f"{label} ends at byte {len(header)}, within the idx3 header of {HEADER_BYTES} bytes",
            offset_bytes=len(header),
        )
    count, *found_size = struct.unpack(">III", header[4:])
    if tuple(found_size) != size:
        found = " x ".join(map(str, found_size))
        raise ShapeError(f"{label} holds images of {found} pixels, not {' x '.join(map(str, size))}")
    return cast(int, count)


def check_length(count: int, image_bytes: int, nbytes: int, label: str) -> None:
    """Raise a `CorruptStreamError` unless a file is as long as its header says.

    Parameters
    ----------
    count, image_bytes
        From the header.
    nbytes
        Length of the file.
    """
    expected = HEADER_BYTES + count * image_bytes
    if nbytes < expected:
        whole = (nbytes - HEADER_BYTES) // image_bytes
        raise CorruptStreamError(
            f"{label} is truncated: it ends at byte {nbytes}, in image {whole} of {count}",
            offset_bytes=nbytes,
        )
    if nbytes > expected:
        raise CorruptStreamError(
            f"{label} has {nbytes - expected} bytes behind its {count} images, from byte {expected} on",
            offset_bytes=expected,
        )


def image_blocks(
    stream: BinaryIO, count: int, image_bytes: int, most: int, label: str
) -> Iterator[tuple[int, bytes]]:
    """Read the images behind an idx3 header, in blocks of at most `most` images; the stream must end there.

    Yields
    ------
    tuple
        How many images, and their bytes.

    Raises
    ------
    CorruptStreamError
        If the stream is shorter or longer than `count` says, or is damaged.
    """
    done = 0
    while done < count:
        wanted = min(most, count - done)
        block = read(stream, wanted * image_bytes, label)
        if len(block) < wanted * image_bytes:
            check_length(count, image_bytes, HEADER_BYTES + done * image_bytes + len(block), label)
        yield wanted, block
        done += wanted
    if read(stream, 1, label):
        end = HEADER_BYTES + count * image_bytes
        raise CorruptStreamError(
            f"{label} goes on behind its {count} images, from byte {end} on", offset_bytes=end
        )


def labels_beside(images: Path, count: int) -> NDArray[np.uint8] | None:
    """Return the labels in the file beside an idx3 file, if there is one named as MNIST names them.

    Parameters
    ----------
    images
        ``train-images-idx3-ubyte`` has its labels in ``train-labels-idx1-ubyte``; either may end in ``.gz``.
    count
        How many there must be.

    Raises
    ------
    DataError
        If that file cannot be read, is no idx1 file, or has another number of labels.
    """
    import numpy as np

    stem = images.name.removesuffix(".gz")
    name = re.sub(r"images([-.])idx3", r"labels\1idx1", stem)
    if name == stem:
        return None
    for candidate in (images.with_name(name), images.with_name(f"{name}.gz")):
        if candidate.is_file():
            return np.frombuffer(_read_labels(candidate, count), np.uint8)
    return None


def _read_labels(file: Path, count: int) -> bytes:
    label = str(file)
    try:
        plain: BinaryIO = file.open("rb")
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    with plain:
        head = plain.read(2)
        plain.seek(0)
        stream = unzipped(plain, label) if head == GZIP_MAGIC else plain
        content = read(stream, _LABELS_HEADER_BYTES + count + 1, label)
    if content[:4] != LABELS_MAGIC or len(content) < _LABELS_HEADER_BYTES:
        found = f"it begins with 0x{content[:4].hex()}, not 0x{LABELS_MAGIC.hex()}"
        raise CorruptStreamError(f"{file} is no idx1 file of labels: {found}", offset_bytes=0)
    announced = int.from_bytes(content[4:_LABELS_HEADER_BYTES], "big")
    labels = content[_LABELS_HEADER_BYTES:]
    if announced != count:
        raise DataError(f"{file} holds {announced} labels for {count} images")
    if len(labels) != count:
        how = "is truncated" if len(labels) < count else f"goes on behind its {count} labels"
        offset = _LABELS_HEADER_BYTES + min(len(labels), count)
        raise CorruptStreamError(f"{file} {how} at byte {offset}", offset_bytes=offset)
    return labels


def read(stream: BinaryIO, nbytes: int, label: str) -> bytes:
    """Read `nbytes`, or fewer at the end of the stream.

    Raises
    ------
    CorruptStreamError
        If it is gzipped and damaged.
    DataError
        If it cannot be read.
    """
    try:
        return read_exactly(stream, nbytes)
    except EOFError as error:
        raise CorruptStreamError(f"{label} is truncated: its gzip stream does not end") from error
    except zlib.error as error:
        raise CorruptStreamError(f"{label} is damaged: {error}") from error


def unzipped(stream: BinaryIO, label: str) -> BinaryIO:
    """Return the content of a gzip stream, decoded as it is read."""
    return cast(BinaryIO, gzip.GzipFile(filename=label, fileobj=stream, mode="rb"))


def reader(blob: Blob) -> BinaryIO:
    """Return a blob as a stream."""
    return io.BufferedReader(_BlobReader(blob), MIB)


def unzipped_blob(blob: Blob, label: str) -> closing[BinaryIO]:
    """Return a context manager of a gzipped blob's content."""
    return closing(unzipped(reader(blob), label))


class _BlobReader(io.RawIOBase):
    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self._blob = blob
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(cast(bytearray, buffer)).cast("B")
        part = self._blob.part(self._done, min(target.nbytes, self._blob.nbytes - self._done))
        target[: part.nbytes] = part.view()
        self._done += part.nbytes
        return part.nbytes
