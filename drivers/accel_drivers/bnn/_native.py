"""`Bnn` on a CPU core, by the native engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accel_drivers.bnn._abi import Decision, Engine
from accel_drivers.bnn._accelerator import Classifier
from accel_drivers.bnn._images import Pixels
from accel_drivers.bnn._kernel import Bnn
from accel_drivers.bnn._networks import network
from accel_drivers.bnn._params import open_params
from accel_sdk.device import Device

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DECISIONS = {"multiple": Decision.MULTIPLE, "argmax": Decision.ARGMAX}


class NativeClassifier(Classifier):
    """The engine's handle, with parameters in it."""

    def __init__(self, kernel: Bnn, device: Device) -> None:
        with open_params(kernel.params, network(kernel.network)) as parameters:
            engine = Engine(kernel.network, device=device.name)
            try:
                engine.load(parameters.folder)  # checks more than the sizes, and tells the same
                parameters.check(network(kernel.network))
            except BaseException:
                engine.close()
                raise
        super().__init__(kernel, device, parameters.class_names)
        self._engine = engine

    def _classify(self, pixels: Pixels) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        number_class = len(self._class_names)
        classes = np.empty(pixels.count, np.int32)
        scores = np.empty((pixels.count, number_class), np.int32) if self._wants_scores else None
        self._engine.run(
            pixels.data,
            pixels.count,
            pixels.layout,
            number_class,
            _DECISIONS[self._bnn.decision],
            classes=classes,
            scores=scores,
        )
        return classes, scores

    def _close(self) -> None:
        self._engine.close()
