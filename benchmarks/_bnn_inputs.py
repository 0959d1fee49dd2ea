"""Parameters and images of the network benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel_drivers.bnn._networks import network
from accel_drivers.bnn._params import RANDOM

CLASSES = 10

_PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "bnn-pynq" / "params"
_DATA_SETS = {True: "cifar10", False: "mnist"}  # by whether a network has scores


def parameters(name: str) -> str | Path:
    """Return published parameters of a network, if they lie beside the checkout, else random ones."""
    archive = _PUBLISHED / f"{_DATA_SETS[network(name).has_scores]}-{name}.tar.xz"
    chosen = archive if archive.exists() else RANDOM
    print(f"{name}: parameters {archive.name if archive.exists() else RANDOM}")
    return chosen


def images(name: str, count: int) -> NDArray[np.uint8]:
    """Return random images: records of 3073 bytes for a CNV, 28 x 28 pixels for an LFC."""
    found = network(name)
    shape = (found.record_bytes,) if found.has_scores else found.shape
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)
