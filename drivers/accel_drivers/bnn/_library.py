"""`Bnn` through a library with BNN-PYNQ's ABI, which takes images as files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from accel_drivers.bnn import _idx, _results
from accel_drivers.bnn._abi import NetworkLibrary
from accel_drivers.bnn._accelerator import Classifier
from accel_drivers.bnn._images import Pixels
from accel_drivers.bnn._kernel import Bnn
from accel_drivers.bnn._networks import Network, network
from accel_drivers.bnn._params import open_params
from accel_sdk.device import Device
from accel_sdk.memfile import MemoryFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_IMAGES = 10_000  # the original ends the process above that (FORMAT.md section 2)


class LibraryClassifier(Classifier):
    """A library with parameters in it. It is the only one in its process: its state is the process's."""

    def __init__(self, kernel: Bnn, device: Device, path: Path) -> None:
        of = network(kernel.network)
        with open_params(kernel.params, of) as parameters:
            parameters.check(of)  # the original aborts, or reads zeros
            library = NetworkLibrary(path, device=device.name)
            library.load(parameters.folder)
        super().__init__(kernel, device, parameters.class_names)
        self._library = library
        self._file = MemoryFile("accel-bnn-images")

    def _classify(self, pixels: Pixels) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        of = self._network
        data = pixels.as_records(of) if of.has_scores else pixels.data
        answers = [self._answer(data, start, count) for start, count in _blocks(pixels.count)]
        if not self._asks_for_scores:
            return np.concatenate([np.empty(0, np.int32), *answers]), None
        scores = np.concatenate([np.empty((0, len(self._class_names)), np.int32), *answers])
        classes = _results.decide(scores, needs_positive=self._bnn.decision == "multiple")
        return classes, scores if self._wants_scores else None

    @property
    def _asks_for_scores(self) -> bool:
        return self._wants_scores or self._bnn.decision == "argmax"

    def _answer(self, data: memoryview, start: int, count: int) -> NDArray[np.int32]:
        """Have some of the images classified: classes, or scores if those are needed."""
        header, size = _file_format(self._network, count)
        self._file.put(header, data[start * size : (start + count) * size])
        return self._library.classify(
            self._file.path, len(self._class_names), detail=self._asks_for_scores, count=count
        )

    def _close(self) -> None:
        self._library.close()
        self._file.close()

    def _device_s(self) -> float | None:
        return self._library.device_s()


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of what goes into one call; nothing for no images, which no library takes."""
    return ((start, min(MOST_IMAGES, count - start)) for start in range(0, count, MOST_IMAGES))


def _file_format(of: Network, count: int) -> tuple[bytes, int]:
    """Return what stands before the images in a file for the network's library, and the bytes of each."""
    if of.has_scores:
        return b"", of.record_bytes
    return _idx.IMAGES_MAGIC + struct.pack(">III", count, of.height, of.width), of.image_bytes
