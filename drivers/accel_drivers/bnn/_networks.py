"""The networks and their layers, as the native library's table describes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from accel_sdk.errors import DataError

NAMES = ("cnvW1A1", "cnvW1A2", "cnvW2A2", "lfcW1A1", "lfcW1A2")
"""What the networks are called. Everything else about them comes from the native library's table."""

OUTPUTS = 64
"""Neurons of every network's last layer, hence the most classes."""

CLOCK_HZ = 100_000_000
"""Clock of the published boards."""

_WORD_BYTES = 8


@dataclass(frozen=True)
class Layer:
    """One layer: a matrix of `rows` neurons by `columns` synapses, applied at every output pixel.

    Parameters
    ----------
    kernel
        3 for a convolution 3x3 (stride 1, unpadded), 1 where fully connected.
    input_dim, output_dim
        Pixels along a side, before pooling; 1 where fully connected.
    input_channels
        Channels of the input.
    rows, columns
        Neurons, and synapses of each, padding included.
    pool
        2 where a max-pool 2x2 follows, else 1.
    simd, pe
        Columns that a processing element takes in a cycle, and rows that are at work at once.
    input_bits
        8 for pixels, 1 or 2 for activations.
    weight_bits
        1 for -1 and +1, 2 for -1, 0 and +1.
    thresholds
        Of each neuron; 0 in a layer that gives scores.
    """

    kernel: int
    input_dim: int
    input_channels: int
    output_dim: int
    rows: int
    columns: int
    pool: int
    simd: int
    pe: int
    input_bits: int
    weight_bits: int
    thresholds: int

    @property
    def neuron_folds(self) -> int:
        """Turns in which the processing elements go through the rows."""
        return self.rows // self.pe

    @property
    def synapse_folds(self) -> int:
        """Cycles that a processing element needs for one row."""
        return self.columns // self.simd

    @property
    def output_pixels(self) -> int:
        """How often the matrix is applied to an image."""
        return self.output_dim * self.output_dim

    @property
    def cycles(self) -> int:
        """Clock cycles of the hardware for an image: synapse folds x neuron folds x output pixels."""
        return self.synapse_folds * self.neuron_folds * self.output_pixels

    @property
    def weight_words(self) -> int:
        """64-bit words in the weight file of each processing element."""
        return self.neuron_folds * self.synapse_folds

    @property
    def threshold_words(self) -> int:
        """64-bit words in the threshold file of each processing element; 0 if there is none."""
        return self.neuron_folds * self.thresholds

    @property
    def weight_bytes(self) -> int:
        """Size of the weight file of each processing element, bytes."""
        return self.weight_words * _WORD_BYTES

    @property
    def threshold_bytes(self) -> int:
        """Size of the threshold file of each processing element, bytes; 0 if there is none."""
        return self.threshold_words * _WORD_BYTES


@dataclass(frozen=True)
class Network:
    """One network.

    Parameters
    ----------
    name
        One of `NAMES`.
    height, width
        Of its input images, pixels.
    channels
        3 for red, green and blue; 1 for grey.
    has_scores
        Whether a run gives a score for each class (CNV) or one output bit for each (LFC).
    layers
        First to last.
    """

    name: str
    height: int
    width: int
    channels: int
    has_scores: bool
    layers: tuple[Layer, ...]

    @property
    def image_bytes(self) -> int:
        """Bytes of an image's pixels."""
        return self.height * self.width * self.channels

    @property
    def record_bytes(self) -> int:
        """Bytes of an image as a record of a CIFAR-10 binary file: a label, then the colour planes."""
        return 1 + self.image_bytes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image as an array of pixels."""
        size = (self.height, self.width)
        return size if self.channels == 1 else (*size, self.channels)

    @property
    def cycles(self) -> int:
        """Clock cycles between images in the hardware's pipeline: those of its slowest layer."""
        return max(layer.cycles for layer in self.layers)


@cache
def network(name: str) -> Network:
    """Return the network of that name.

    Raises
    ------
    DataError
        If there is none; the text lists those that there are.
    LibraryLoadError
        If the native library, which has the table, is not installed.
    """
    check_name(name)
    from accel_drivers.bnn import _abi

    return next(found for found in _abi.networks() if found.name == name)


def networks() -> tuple[Network, ...]:
    """Return all networks there are, in the order of `NAMES`."""
    return tuple(network(name) for name in NAMES)


def check_name(name: str) -> None:
    """Raise a `DataError` unless a network has that name."""
    if name not in NAMES:
        raise DataError(f"there is no network {name!r}", hint=f"the networks are {', '.join(NAMES)}")
