"""What users give as images, made into runs of images that can be cut.

How a file's kind is told, for a CNV, in this order:

1. a name in ``.bin``, ``.record`` or ``.records``: CIFAR-10 binary records; in ``.gz``: the same, gzipped;
2. a picture's first bytes (JPEG, PNG, GIF, TIFF, WebP), or a suffix that Pillow reads: a picture;
3. a length that is a multiple of 3073: records; any other is an error.

For an LFC: idx3 by its magic number, gzipped idx3 by gzip's; then as 2; anything else is an error.

Bytes in memory and what comes through a pipe are records for a CNV; for an LFC idx3, also gzipped. A folder
is its pictures, sorted by name; if it has none and the network is a CNV, its ``.bin``, ``.record`` and
``.records`` files.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Union, cast

from accel_drivers.bnn import _idx, _pictures
from accel_drivers.bnn._networks import Network
from accel_sdk.data import Blob, FileBlob, MemoryBlob, as_blob, open_input, rejoined
from accel_sdk.errors import AccelError, CorruptStreamError, DataError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

RECORDS, PIXELS, PICTURES = "records", "pixels", "pictures"
_RECORD_SUFFIXES = (".bin", ".record", ".records")
_STREAM = "the input stream"
_MEMORY = "the input"


@dataclass(frozen=True, eq=False)
class Run:
    """Images of one layout that lie one after another.

    Parameters
    ----------
    layout
        `RECORDS`, `PIXELS` or `PICTURES`.
    source
        A blob with all of them, or an array with the images along its first axis. One picture is a run.
    count
        How many.
    image_bytes
        Of each; 0 for a picture.
    labels
        Of each, where they are not in the records.
    name
        Of a picture.
    """

    layout: str
    source: Blob | NDArray[np.uint8]
    count: int
    image_bytes: int = 0
    labels: NDArray[np.uint8] | None = None
    name: str = ""

    def part(self, start: int, count: int) -> Run:
        """Return `count` of the images from number `start` on, by reference."""
        labels = None if self.labels is None else self.labels[start : start + count]
        source = self.source
        if not isinstance(source, Blob):
            cut: Blob | NDArray[np.uint8] = source[start : start + count]
        else:
            cut = source.part(start * self.image_bytes, count * self.image_bytes)
        return Run(self.layout, cut, count, self.image_bytes, labels, self.name)

    def blob(self) -> Blob:
        """Return the images' bytes: a view where they lie one after another, else a copy."""
        return self.source if isinstance(self.source, Blob) else as_blob(self.source)


@dataclass(frozen=True)
class Stream:
    """Runs that are read as they are asked for, once; each is a chunk.

    Parameters
    ----------
    runs
        In order.
    count
        Images in all of them; ``None`` where that shows only at the end.
    """

    runs: Iterator[Run]
    count: int | None


Item = Union[Run, Stream]


def expand(data: object, of: Network, most: int) -> Iterator[Item]:
    """Yield what an input is made of. Only names, sizes and headers are read for that.

    Parameters
    ----------
    data
        What `Bnn` takes.
    of
        The network.
    most
        Images in a run of a stream.

    Raises
    ------
    DataError
        If it is no input for this network.
    """
    import numpy as np

    if isinstance(data, (list, tuple)):
        for item in data:
            yield from expand(item, of, most)
    elif isinstance(data, np.ndarray):
        yield _array(data, of, most)
    elif isinstance(data, (str, int, float)):
        raise DataError(f"{type(data).__name__} is no image", hint="give a pathlib.Path for a file")
    elif isinstance(data, os.PathLike):
        yield from _path(Path(os.fspath(data)), of, most)
    elif hasattr(data, "read"):
        stream = cast(BinaryIO, data)
        yield Stream(_stream_runs(stream, of, most, str(getattr(stream, "name", _STREAM))), None)
    else:
        yield _bytes(as_blob(data), of, most)


def count(data: object, of: Network) -> int | None:
    """Return how many images are in an input, if that shows without reading it.

    ``None`` for what is read only once, and for what cannot be used at all: running it will say why.
    """
    if _reads_once(data):
        return None
    try:
        counts = [item.count for item in expand(data, of, 1)]
    except AccelError:
        return None
    known = [number for number in counts if number is not None]
    return sum(known) if len(known) == len(counts) else None


def _reads_once(data: object) -> bool:
    if isinstance(data, (list, tuple)):
        return any(map(_reads_once, data))
    if isinstance(data, os.PathLike):
        return not os.path.isfile(data) and not os.path.isdir(data)
    return hasattr(data, "read")


# --- arrays ---------------------------------------------------------------------------------------


def _array(array: NDArray[np.uint8], of: Network, most: int) -> Item:
    if array.dtype.name != "uint8":
        raise ShapeError(f"images must be uint8, 0 to 255, not {array.dtype.name}", hint=_wanted(of))
    if array.ndim == 1:  # a file's content that somebody read with numpy
        return _bytes(as_blob(array), of, most)
    if array.shape == of.shape:
        array = array[None]
    if array.shape[1:] == of.shape:
        return Run(PIXELS, array, len(array), of.image_bytes)
    if of.has_scores and array.shape[1:] == (of.record_bytes,):
        return Run(RECORDS, array, len(array), of.record_bytes)
    raise ShapeError(f"images must not have shape {array.shape}", hint=_wanted(of))


def _wanted(of: Network) -> str:
    size = ", ".join(map(str, of.shape))
    records = f", or (N, {of.record_bytes}) for records" if of.has_scores else ""
    return f"{of.name} takes arrays of shape (N, {size}) or ({size}){records}"


# --- files and bytes ------------------------------------------------------------------------------


def _path(path: Path, of: Network, most: int) -> Iterator[Item]:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            yield from _folder(path, of, most)
        elif stat.S_ISREG(status.st_mode):
            yield _file(_file_blob(path, status), of, most, path)
        else:
            yield Stream(_pipe_runs(path, of, most), None)
    except OSError as error:
        if isinstance(error, AccelError):
            raise
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _file_blob(path: Path, status: os.stat_result) -> FileBlob:
    return FileBlob(str(path.absolute()), 0, status.st_size, status.st_size, status.st_mtime_ns)


def _folder(folder: Path, of: Network, most: int) -> Iterator[Item]:
    files = [entry for entry in sorted(folder.iterdir()) if entry.is_file() and entry.name[0] != "."]
    chosen = [file for file in files if _is_picture(file)]
    if not chosen and of.has_scores:
        chosen = [file for file in files if file.suffix.lower() in _RECORD_SUFFIXES]
    if not chosen:
        _pictures.check_installed()
        raise DataError(f"{folder} holds no picture")
    if len(chosen) < len(files):
        _log.info("%s: %d files are no pictures and passed over", folder, len(files) - len(chosen))
    for file in chosen:
        yield from _path(file, of, most)


def _is_picture(file: Path) -> bool:
    if file.suffix:
        return file.suffix.lower() in _pictures.suffixes()
    with file.open("rb") as opened:
        return _pictures.has_signature(opened.read(_pictures.SIGNATURE_BYTES))


def _bytes(blob: Blob, of: Network, most: int) -> Item:
    """Return the images in bytes: records for a CNV, idx3 for an LFC."""
    if of.has_scores:
        return _records(blob, of, _MEMORY)
    return _idx_images(blob, of, most, _MEMORY, _head(blob))


def _file(blob: Blob, of: Network, most: int, path: Path) -> Item:
    """Return a file's images; the module says how its kind is told."""
    label, suffix = str(path), path.suffix.lower()
    if of.has_scores and suffix in _RECORD_SUFFIXES:
        return _records(blob, of, label)
    if of.has_scores and suffix == ".gz":
        return Stream(_gzipped_records(blob, of, most, label), None)
    try:
        head = _head(blob)
    except DataError:
        if suffix not in _pictures.suffixes():
            raise
        head = b""  # whoever decodes it will say so, and may be allowed to pass it over
    if not of.has_scores and head.startswith((_idx.IMAGES_MAGIC, _idx.GZIP_MAGIC)):
        return _with_labels(_idx_images(blob, of, most, label, head), path)
    if _pictures.has_signature(head) or suffix in _pictures.suffixes():
        _pictures.check_installed()
        return Run(PICTURES, blob, 1, name=label)
    if of.has_scores and blob.nbytes % of.record_bytes == 0:
        return _records(blob, of, label)
    raise _nothing_known(blob, of, path, head)


def _head(blob: Blob) -> bytes:
    return bytes(blob.part(0, min(blob.nbytes, _idx.HEADER_BYTES)).view())


def _idx_images(blob: Blob, of: Network, most: int, label: str, head: bytes) -> Item:
    if head.startswith(_idx.GZIP_MAGIC):
        with _idx.unzipped_blob(blob, label) as content:
            total = _idx.image_count(_idx.read(content, _idx.HEADER_BYTES, label), of.shape, label)
        return Stream(_gzipped_idx(blob, total, of, most, label), total)
    total = _idx.image_count(head, of.shape, label)
    _idx.check_length(total, of.image_bytes, blob.nbytes, label)
    return Run(PIXELS, blob.part(_idx.HEADER_BYTES, total * of.image_bytes), total, of.image_bytes)


def _nothing_known(blob: Blob, of: Network, path: Path, head: bytes) -> DataError:
    """Return the error about a file that shows no sign of being what the network takes."""
    if of.has_scores:
        idx = head.startswith(_idx.IMAGES_MAGIC)
        return CorruptStreamError(
            f"{path} is no picture, and its {blob.nbytes} bytes are no whole number of "
            f"CIFAR-10 records of {of.record_bytes} bytes",
            hint="idx3 files are for the LFC networks" if idx else _pictures.hint(),
        )
    if "idx" in path.name or head.startswith(_idx.LABELS_MAGIC):
        _idx.image_count(head, of.shape, str(path))  # says what is wrong with it
    records = path.suffix.lower() in _RECORD_SUFFIXES
    return DataError(
        f"{path} is neither an idx3 file nor a picture",
        hint="CIFAR-10 records are for the CNV networks" if records else _pictures.hint(),
    )


def _records(blob: Blob, of: Network, label: str) -> Run:
    total, rest = divmod(blob.nbytes, of.record_bytes)
    if rest:
        raise _cut_record(label, total, of, rest)
    return Run(RECORDS, blob, total, of.record_bytes)


def _cut_record(label: str, number: int, of: Network, found: int) -> CorruptStreamError:
    start = number * of.record_bytes
    return CorruptStreamError(
        f"{label} is truncated: record {number}, from byte {start} on, "
        f"has {found} of {of.record_bytes} bytes",
        offset_bytes=start,
    )


def _with_labels(images: Item, path: Path) -> Item:
    """Return images of an idx3 file with the labels in the file beside it, if there is one."""
    labels = _idx.labels_beside(path, images.count or 0)
    if labels is None:
        return images
    if isinstance(images, Run):
        return replace(images, labels=labels)
    return Stream(_labelled(images.runs, labels), images.count)


def _labelled(runs: Iterable[Run], labels: NDArray[np.uint8]) -> Iterator[Run]:
    start = 0
    for run in runs:
        yield replace(run, labels=labels[start : start + run.count])
        start += run.count


# --- what is read once ----------------------------------------------------------------------------


def _pipe_runs(path: Path, of: Network, most: int) -> Iterator[Run]:
    stream = open_input(path)
    if not isinstance(stream, Blob):
        with stream:
            yield from _stream_runs(stream, of, most, str(path))


def _stream_runs(stream: BinaryIO, of: Network, most: int, label: str) -> Iterator[Run]:
    return (_record_runs if of.has_scores else _idx_runs)(stream, of, most, label)


def _record_runs(stream: BinaryIO, of: Network, most: int, label: str) -> Iterator[Run]:
    done = 0
    while True:
        block = _idx.read(stream, most * of.record_bytes, label)
        total, rest = divmod(len(block), of.record_bytes)
        if rest:
            raise _cut_record(label, done + total, of, rest)
        if total:
            yield Run(RECORDS, MemoryBlob(memoryview(block)), total, of.record_bytes)
        done += total
        if total < most:
            return


def _idx_runs(stream: BinaryIO, of: Network, most: int, label: str) -> Iterator[Run]:
    head = _idx.read(stream, len(_idx.GZIP_MAGIC), label)
    if head == _idx.GZIP_MAGIC:
        stream, head = _idx.unzipped(rejoined(head, stream), label), b""
    head += _idx.read(stream, _idx.HEADER_BYTES - len(head), label)
    total = _idx.image_count(head, of.shape, label)
    yield from _pixel_runs(stream, total, of, most, label)


def _pixel_runs(stream: BinaryIO, total: int, of: Network, most: int, label: str) -> Iterator[Run]:
    for number, block in _idx.image_blocks(stream, total, of.image_bytes, most, label):
        yield Run(PIXELS, MemoryBlob(memoryview(block)), number, of.image_bytes)


def _gzipped_records(blob: Blob, of: Network, most: int, label: str) -> Iterator[Run]:
    with _idx.unzipped_blob(blob, label) as content:
        yield from _record_runs(content, of, most, label)


def _gzipped_idx(blob: Blob, total: int, of: Network, most: int, label: str) -> Iterator[Run]:
    with _idx.unzipped_blob(blob, label) as content:
        _idx.read(content, _idx.HEADER_BYTES, label)
        yield from _pixel_runs(content, total, of, most, label)
