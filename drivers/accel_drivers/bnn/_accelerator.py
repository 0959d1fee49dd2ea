"""What every accelerator of the family does: read a chunk, have it classified, make the table."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from accel_drivers.bnn import _images, _results
from accel_drivers.bnn._images import Images, Pixels, Scratch
from accel_drivers.bnn._kernel import Bnn
from accel_drivers.bnn._networks import network
from accel_sdk.device import Device
from accel_sdk.driver import Accelerator

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from accel_drivers.bnn._images import Chunk


class Classifier(Accelerator["Chunk", "pa.Table"]):
    """`Bnn` on a device. Takes chunks, and whatever `Bnn` takes, which it cuts into chunks itself.

    Parameters
    ----------
    kernel, device
        As ever.
    class_names
        Of the parameters that were loaded.
    """

    def __init__(self, kernel: Bnn, device: Device, class_names: tuple[str, ...]) -> None:
        super().__init__(kernel, device)
        self._bnn = kernel
        self._class_names = class_names
        self._network = network(kernel.network)
        self._scratch = Scratch()

    def _run(self, chunk: Chunk) -> pa.Table:
        if isinstance(chunk, Images):
            return self._classified(chunk)
        return self._bnn.merge(self._classified(part) for part in self._bnn.split(chunk, [1.0]))

    def _classified(self, chunk: Images) -> pa.Table:
        pixels = _images.load(
            chunk,
            self._network,
            invert=self._bnn.invert,
            skip_bad=self._bnn.skip_bad,
            scratch=self._scratch,
        )
        classes, scores = self._classify(pixels)
        return _results.table(
            classes, self._class_names, scores=scores, labels=pixels.labels, skipped=pixels.bad
        )

    @abstractmethod
    def _classify(self, pixels: Pixels) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """Return the class of each image, and the scores if the kernel asks for them and there are any."""

    @property
    def _wants_scores(self) -> bool:
        return self._bnn.detail and self._network.has_scores
