"""Images on their way to a device: the chunks of the `Bnn` kernel, and how a worker reads one."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Union

import numpy as np

from accel_drivers.bnn import _pictures
from accel_drivers.bnn._abi import Layout
from accel_drivers.bnn._inputs import PICTURES, PIXELS, RECORDS, Item, Run, Stream, expand
from accel_drivers.bnn._networks import Network
from accel_sdk.data import Blob, Carrier, FileBlob, MemoryBlob, chunk_sizes
from accel_sdk.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

_GRAIN = 64  # images that the native engine takes through the layers together
NO_LABEL = 255
"""Stands for no label: no network has a class of that number."""

_LEAST_PICTURES, _MOST_PICTURES = 4, 64  # decoding a photograph takes a core milliseconds


@dataclass(frozen=True, eq=False)
class Images(Carrier):
    """Some images of the input, by reference.

    Parameters
    ----------
    content
        Where they are: blobs one after another, or one for each picture.
    layout
        ``"records"`` (CIFAR-10 binary), ``"pixels"`` (height, width, colours) or ``"pictures"`` (files that
        Pillow reads).
    count
        How many.
    labels
        Shape ``(count,)``, the right classes, where the input has them beside the images; those in records
        stay there.
    names
        Of pictures, for error texts.
    """

    content: tuple[Blob, ...]
    layout: str
    count: int
    labels: NDArray[np.uint8] | None = None
    names: tuple[str, ...] = ()

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return self.content

    def with_blobs(self, blobs: tuple[Blob, ...]) -> Images:
        return replace(self, content=blobs)


Chunk = Union[Images, "NDArray[np.uint8]", bytes, bytearray, memoryview, Path, BinaryIO, "Sequence[Path]"]
"""What a device takes: a chunk of `split`, or any input of the kernel's."""


def split(data: object, of: Network, shares: Sequence[float]) -> Iterator[Images]:
    """Cut an input into chunks, lazily and by reference; at least one, even if empty.

    Everything is looked at before the first chunk comes, as far as names, sizes and headers tell.
    """
    items = list(expand(data, of, _most(of)))
    empty = True
    for layout, group in itertools.groupby(
        items, lambda item: item.layout if isinstance(item, Run) else None
    ):
        for chunk in _streamed(group) if layout is None else _cut(group, layout, of, shares):
            empty = False
            yield chunk
    if empty:
        yield Images((MemoryBlob(memoryview(b"")),), PIXELS, 0)


def _streamed(streams: Iterable[Item]) -> Iterator[Images]:
    for stream in streams:
        if isinstance(stream, Stream):
            yield from (_chunk([run], run.layout) for run in stream.runs)


def _cut(items: Iterable[Item], layout: str, of: Network, shares: Sequence[float]) -> Iterator[Images]:
    """Cut runs of one layout into chunks that keep all devices busy to the end."""
    runs = [item for item in items if isinstance(item, Run)]
    total = sum(run.count for run in runs)
    if layout == PICTURES:
        sizes = chunk_sizes(total, shares, grain=1, least=_LEAST_PICTURES, most=_MOST_PICTURES)
    else:
        sizes = chunk_sizes(total, shares, grain=_GRAIN, least=_most(of) // 4, most=_most(of))
    rest = _Rest(runs)
    return (_chunk(rest.take(size), layout) for size in sizes)


class _Rest:
    """What is left of some runs."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = deque(runs)

    def take(self, size: int) -> list[Run]:
        """Cut off the first `size` images."""
        taken: list[Run] = []
        while size:
            head = self._runs.popleft()
            if head.count > size:
                self._runs.appendleft(head.part(size, head.count - size))
                head = head.part(0, size)
            if head.count:
                taken.append(head)
            size -= head.count
        return taken


def _chunk(runs: Sequence[Run], layout: str) -> Images:
    count = sum(run.count for run in runs)
    names = tuple(run.name for run in runs) if layout == PICTURES else ()
    return Images(tuple(run.blob() for run in runs), layout, count, _labels(runs), names)


def _labels(runs: Sequence[Run]) -> NDArray[np.uint8] | None:
    if all(run.labels is None for run in runs):
        return None
    return np.concatenate(
        [np.full(run.count, NO_LABEL, np.uint8) if run.labels is None else run.labels for run in runs]
    )


def _most(of: Network) -> int:
    """Return the most images of a chunk: what a core does in 50 to 100 ms.

    A Dask round trip of 10 ms hides behind that.
    """
    return 1_472 if of.has_scores else 19_968


@dataclass(frozen=True, eq=False)
class Pixels:
    """The images of a chunk, ready for a device.

    Parameters
    ----------
    data
        Valid until the scratch memory is used again.
    layout
        How they lie in `data`.
    count
        How many.
    labels
        Shape ``(count,)``, or ``None``. What is no class of the network is `NO_LABEL`, or any number above.
    bad
        Of the chunk's pictures: those that could not be read and are not among `count`, by their place in the
        chunk.
    """

    data: memoryview
    layout: Layout
    count: int
    labels: NDArray[np.uint8] | None
    bad: dict[int, str]

    def as_array(self, of: Network) -> NDArray[np.uint8]:
        """Return them as an array of shape ``(count, height, width, 3)`` or ``(count, height, width)``."""
        flat = np.frombuffer(self.data, np.uint8)
        if self.layout is Layout.PIXELS:
            return flat.reshape(self.count, *of.shape)
        planes = flat.reshape(self.count, of.record_bytes)[:, 1:]
        images = planes.reshape(self.count, of.channels, of.height, of.width)
        return np.moveaxis(images, 1, 3)

    def as_records(self, of: Network) -> memoryview:
        """Return them as CIFAR-10 binary records; labels of pixels become 0."""
        if self.layout is Layout.RECORDS:
            return self.data
        records = np.zeros((self.count, of.record_bytes), np.uint8)
        planes = records[:, 1:].reshape(self.count, of.channels, of.height, of.width)
        planes[:] = self.as_array(of).transpose(0, 3, 1, 2)
        return records.reshape(-1).data


class Scratch:
    """Memory that files are read into, kept from one chunk to the next: new memory costs page faults."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def view(self, blob: Blob) -> memoryview:
        """Return a blob's bytes; those of a file are valid until the next one is read."""
        if not isinstance(blob, FileBlob):
            return blob.view()
        if len(self._memory) < blob.nbytes:  # made anew, because the old one may still be looked at
            self._memory = bytearray(blob.nbytes)
        return blob.view(self._memory)


def load(
    chunk: Images, of: Network, *, invert: bool, skip_bad: bool, scratch: Scratch | None = None
) -> Pixels:
    """Read the images of a chunk.

    Parameters
    ----------
    invert
        Of pictures: make dark bright.
    skip_bad
        Leave pictures out that cannot be read, with a warning.
    scratch
        A file is read into this.

    Raises
    ------
    DataError
        If a file cannot be read or is no picture.
    """
    if chunk.layout == PICTURES:
        return _decoded(chunk, of, invert=invert, skip_bad=skip_bad)
    if len(chunk.content) == 1:
        data = (scratch or Scratch()).view(chunk.content[0])
    else:
        data = memoryview(b"".join(blob.view() for blob in chunk.content))
    if chunk.layout != RECORDS:
        return Pixels(data, Layout.PIXELS, chunk.count, chunk.labels, {})
    return Pixels(data, Layout.RECORDS, chunk.count, np.frombuffer(data, np.uint8)[:: of.record_bytes], {})


def _decoded(chunk: Images, of: Network, *, invert: bool, skip_bad: bool) -> Pixels:
    pictures: list[NDArray[np.uint8]] = []
    bad: dict[int, str] = {}
    for number, (blob, name) in enumerate(zip(chunk.content, chunk.names, strict=True)):
        try:
            pictures.append(_pictures.prepared(blob.view(), of, invert=invert, name=name))
        except DataError as error:
            if not skip_bad:
                raise
            _log.warning("skipped: %s", error)
            bad[number] = str(error)
    stacked = np.stack(pictures) if pictures else np.empty((0, *of.shape), np.uint8)
    return Pixels(stacked.reshape(-1).data, Layout.PIXELS, len(pictures), None, bad)
