"""A plain numpy model of the five BNN-PYNQ networks: slow and obvious, to compare the engine with.

Written from the published description of the networks, ``FORMAT.md`` ("F" below, with its section), and from
nothing else; its layer table is not the engine's. What it computes is checked against the published vectors
in ``tests/unit/test_bnn_reference.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Activations = NDArray[np.float32]
Outputs = NDArray[np.generic]
Style = Literal["plain", "unordered", "extreme", "ties", "garbage", "saturated"]

STYLES: tuple[Style, ...] = ("plain", "unordered", "extreme", "ties", "garbage", "saturated")
OUTPUTS = 64
RECORD_BYTES = 3073


@dataclass(frozen=True)
class Layer:
    """One row of the tables in F 5.

    Attributes
    ----------
    kernel
        3 for a 3x3 convolution, 1 for fully connected.
    rows, columns
        Neurons (MH) and synapses (MW).
    simd, pe
        The folding, which says how the parameter files are laid out.
    weight_bits
        1 or 2.
    thresholds
        For each neuron (NT); 0 in the layer that gives scores.
    fixed_point
        Whether it is the first layer of a CNV, which takes pixels.
    counts
        Whether the accumulator is the count of agreeing bits, not the signed sum (F 6).
    pool
        Whether 2x2 max-pooling follows.
    """

    kernel: int
    rows: int
    columns: int
    simd: int
    pe: int
    weight_bits: int
    thresholds: int
    fixed_point: bool = False
    counts: bool = False
    pool: bool = False

    @property
    def neuron_folds(self) -> int:
        """NF."""
        return self.rows // self.pe

    @property
    def synapse_folds(self) -> int:
        """SF."""
        return self.columns // self.simd


# kernel, rows, columns, pool (F 5.1)
_CNV_SHAPES = (
    (3, 64, 27, False),
    (3, 64, 576, True),
    (3, 128, 576, False),
    (3, 128, 1152, True),
    (3, 256, 1152, False),
    (3, 256, 2304, False),
    (1, 512, 256, False),
    (1, 512, 512, False),
    (1, 64, 512, False),
)
# simd, pe (F 5.1)
_CNV_W1_FOLDS = ((3, 16), (32, 32), (32, 16), (32, 16), (32, 4), (32, 1), (4, 1), (8, 1), (1, 4))
_CNV_W2_FOLDS = ((3, 8), (16, 16), (16, 8), (16, 8), (8, 4), (8, 1), (2, 1), (2, 2), (1, 4))
# rows, columns, simd, pe (F 5.2)
_LFC_SHAPES = ((1024, 832, 64, 32), (1024, 1024, 32, 64), (1024, 1024, 64, 32), (64, 1024, 8, 16))


def _cnv(folds: Sequence[tuple[int, int]], weight_bits: int, activation_bits: int) -> tuple[Layer, ...]:
    layers = []
    for number, ((kernel, rows, columns, pool), (simd, pe)) in enumerate(
        zip(_CNV_SHAPES, folds, strict=True)
    ):
        first, last = number == 0, number == 8
        layers.append(
            Layer(
                kernel=kernel,
                rows=rows,
                columns=columns,
                simd=simd,
                pe=pe,
                weight_bits=weight_bits,
                thresholds=0 if last else activation_bits,
                fixed_point=first,
                counts=not first and activation_bits == 1,
                pool=pool,
            )
        )
    return tuple(layers)


def _lfc(activation_bits: int) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            1, rows, columns, simd, pe, 1, 1 if number == 3 else activation_bits, counts=activation_bits == 1
        )
        for number, (rows, columns, simd, pe) in enumerate(_LFC_SHAPES)
    )


NETWORKS: dict[str, tuple[Layer, ...]] = {
    "cnvW1A1": _cnv(_CNV_W1_FOLDS, 1, 1),
    "cnvW1A2": _cnv(_CNV_W1_FOLDS, 1, 2),
    "cnvW2A2": _cnv(_CNV_W2_FOLDS, 2, 2),
    "lfcW1A1": _lfc(1),
    "lfcW1A2": _lfc(2),
}


def is_cnv(network: str) -> bool:
    """Return whether a network takes colour pictures and gives scores."""
    return network.startswith("cnv")


class Reference:
    """One network with the parameters of one folder.

    Parameters
    ----------
    network
        A name from `NETWORKS`.
    folder
        Holds the ``*.bin`` files; what is missing at the end of a file reads as zero (F 4).
    """

    def __init__(self, network: str, folder: Path) -> None:
        self.network = network
        self._layers = NETWORKS[network]
        self._weights = [read_weights(folder, n, layer) for n, layer in enumerate(self._layers)]
        self._thresholds = [read_thresholds(folder, n, layer) for n, layer in enumerate(self._layers)]

    def run(self, images: Images) -> Outputs:
        """Return the outputs of all 64 neurons for each image.

        Parameters
        ----------
        images
            CNV: shape (N, 32, 32, 3), red, green, blue. LFC: shape (N, 28, 28).

        Returns
        -------
        NDArray
            CNV: int32 scores, shape (N, 64). LFC: uint64 words, shape (N,), bit n is neuron n.
        """
        if is_cnv(self.network):
            parts = [self._scores(images[start : start + 8]) for start in range(0, len(images), 8)]
            return np.concatenate([np.zeros((0, OUTPUTS), np.int32), *parts])
        return self._words(images)

    def classes(self, outputs: Outputs, number_class: int) -> NDArray[np.int32]:
        """Return what ``inference_multiple`` decides (F 7)."""
        return classes(outputs, number_class)

    def single_classes(self, outputs: Outputs, number_class: int) -> NDArray[np.int32]:
        """Return what ``inference`` decides on each image (F 7)."""
        return single_classes(outputs, number_class)

    def _scores(self, images: Images) -> NDArray[np.int32]:
        values = self._layer(0, quantised(images))
        for number in range(1, 8):
            values = self._layer(number, values)
        last = self._accumulate(8, values.reshape(len(images), -1))
        return last.astype(np.int16).astype(np.int32)

    def _words(self, images: Images) -> NDArray[np.uint64]:
        values = binarised(images)
        for number in range(4):
            values = self._layer(number, values)
        bits = (values > 0).astype(np.uint64)  # the last layer has one threshold in both networks
        places = np.uint64(1) << np.arange(OUTPUTS, dtype=np.uint64)
        words: NDArray[np.uint64] = (bits * places).sum(axis=1, dtype=np.uint64)
        return words

    def _layer(self, number: int, values: Activations) -> Activations:
        layer = self._layers[number]
        if layer.kernel == 3:
            values = patches(values)
        else:
            values = values.reshape(len(values), -1)
        accumulators = self._accumulate(number, values)
        fired = (accumulators[..., None] > self._thresholds[number]).sum(axis=-1)
        activations = (2 * fired - 1 if layer.thresholds == 1 else fired - 1).astype(np.float32)
        return pooled(activations) if layer.pool else activations

    def _accumulate(self, number: int, values: Activations) -> NDArray[np.int64]:
        layer = self._layers[number]
        # Exact: no sum leaves the 24 bits of a float's integers (at most 27 * 128, or 2304 * 2).
        sums = (values @ self._weights[number].T).astype(np.int64)
        if layer.fixed_point:
            sums *= 2
        elif layer.counts:
            sums = (sums + layer.columns) // 2
        return np.asarray(sums, np.int64)


# ---- inputs (F 3)


def quantised(images: Images) -> Activations:
    """Return the 8-bit numbers of pixels (F 3.1), computed as written there, in single precision."""
    scaled = np.float32(2) * images.astype(np.float32) / np.float32(255)
    real = np.float32(-1) + scaled.astype(np.float32)
    numbers = np.floor(real * np.float32(128) + np.float32(0.5))
    return np.asarray(np.clip(numbers, -128, 127), np.float32)


def binarised(images: Images) -> Activations:
    """Return the 832 inputs, -1 or +1, of grey pictures (F 3.3); the padding is -1."""
    columns = np.full((len(images), 832), -1, np.float32)
    columns[:, :784] = np.where(images.reshape(len(images), 784) >= 128, 1, -1)
    return columns


def to_records(images: Images, labels: NDArray[np.uint8] | int = 0) -> Images:
    """Return pictures, shape (N, 32, 32, 3), as CIFAR-10 records, shape (N, 3073)."""
    records = np.empty((len(images), RECORD_BYTES), np.uint8)
    records[:, 0] = labels
    records[:, 1:] = images.transpose(0, 3, 1, 2).reshape(len(images), RECORD_BYTES - 1)
    return records


def from_records(records: Images) -> Images:
    """Return the pictures, shape (N, 32, 32, 3), of CIFAR-10 records, shape (N, 3073)."""
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def to_idx3(images: Images) -> bytes:
    """Return grey pictures as an idx3 file."""
    header = [0x803, *images.shape]
    return b"".join(number.to_bytes(4, "big") for number in header) + images.tobytes()


# ---- layers (F 4, 6)


def patches(values: Activations) -> Activations:
    """Return what each 3x3 window sees, columns ordered (ky, kx, channel): (N, y, x, 9 * channels)."""
    dim = values.shape[1] - 2
    windows = [values[:, y : y + dim, x : x + dim, :] for y in range(3) for x in range(3)]
    return np.concatenate(windows, axis=-1)


def pooled(values: Activations) -> Activations:
    """Return the maximum of each 2x2 square of (N, y, x, channels)."""
    n, dim, _, channels = values.shape
    squares = values.reshape(n, dim // 2, 2, dim // 2, 2, channels)
    return np.asarray(squares.max(axis=(2, 4)), np.float32)


# ---- parameter files (F 4)


def read_weights(folder: Path, number: int, layer: Layer) -> NDArray[np.float32]:
    """Return the weights of a layer, shape (rows, columns)."""
    weights = np.empty((layer.neuron_folds, layer.pe, layer.synapse_folds, layer.simd), np.float32)
    for pe in range(layer.pe):
        words = _read_words(folder / f"{number}-{pe}-weights.bin", layer.neuron_folds * layer.synapse_folds)
        words = words.reshape(layer.neuron_folds, layer.synapse_folds)
        for lane in range(layer.simd):
            code = words >> np.uint64(layer.weight_bits * lane)
            if layer.weight_bits == 1:
                value = np.where(code & np.uint64(1), 1, -1)
            else:
                value = np.array([0, 1, -2, -1])[(code & np.uint64(3)).astype(np.int64)]
            weights[:, pe, :, lane] = value
    return weights.reshape(layer.rows, layer.columns)


def read_thresholds(folder: Path, number: int, layer: Layer) -> NDArray[np.int64]:
    """Return the thresholds of a layer, shape (rows, thresholds)."""
    count = layer.thresholds
    thresholds = np.empty((layer.neuron_folds, layer.pe, count), np.int64)
    for pe in range(layer.pe if count else 0):
        words = _read_words(folder / f"{number}-{pe}-thres.bin", layer.neuron_folds * count)
        thresholds[:, pe, :] = _cut(words, 24 if layer.fixed_point else 16).reshape(-1, count)
    return thresholds.reshape(layer.rows, count)


def _cut(words: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Return the low bits, read as two's complement."""
    low = (words & np.uint64(2**bits - 1)).astype(np.int64)
    return np.asarray(np.where(low >= 2 ** (bits - 1), low - 2**bits, low), np.int64)


def _read_words(path: Path, count: int) -> NDArray[np.uint64]:
    found = np.frombuffer(path.read_bytes()[: 8 * count].ljust(8 * count, b"\0"), "<u8")
    return found.astype(np.uint64)


# ---- decisions (F 7)


def classes(outputs: Outputs, number_class: int) -> NDArray[np.int32]:
    """Return what ``inference_multiple`` decides on each image."""
    return _decide(outputs, number_class, _first_positive_maximum, _highest_bit)


def single_classes(outputs: Outputs, number_class: int) -> NDArray[np.int32]:
    """Return what ``inference`` decides on each image alone."""
    return _decide(outputs, number_class, _first_maximum, _rounded_log2)


def _decide(
    outputs: Outputs,
    number_class: int,
    by_scores: Callable[[list[int]], int],
    by_word: Callable[[int], int],
) -> NDArray[np.int32]:
    if outputs.ndim == 2:
        decided = [by_scores(scores[:number_class]) for scores in outputs.tolist()]
    else:
        decided = [by_word(word & (2**number_class - 1)) for word in outputs.tolist()]
    return np.array(decided, np.int32)


def _first_positive_maximum(scores: list[int]) -> int:
    best, best_class = 0, 0
    for number, score in enumerate(scores):
        if score > best:
            best, best_class = score, number
    return best_class


def _first_maximum(scores: list[int]) -> int:
    return scores.index(max(scores))


def _highest_bit(word: int) -> int:
    return word.bit_length() - 1 if word else 0


def _rounded_log2(word: int) -> int:
    highest = _highest_bit(word)
    return highest + 1 if word * word > 2 ** (2 * highest + 1) else highest


# ---- random parameters


def random_parameters(
    network: str, rng: np.random.Generator, folder: Path, *, style: Style = "plain", number_class: int = 10
) -> None:
    """Write a folder of random parameters, ``classes.txt`` among them.

    Parameters
    ----------
    style
        ``plain``: thresholds near the middle of what the accumulators reach, in ascending order.
        ``unordered``: the same, in any order.
        ``extreme``: among them many that always or never fire, and the ends of every range.
        ``ties``: few different thresholds, weights and last-layer rows, so that accumulators often equal
        their threshold and scores each other.
        ``garbage``: plain, with random bits wherever the format ignores them.
        ``saturated``: a bright picture drives accumulators to both ends of their range in every layer, where
        thresholds just fire.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, layer in enumerate(NETWORKS[network]):
        if style == "saturated":
            weights, thresholds = _saturated(layer, rng)
        else:
            weights, thresholds = _random_weights(layer, rng, style), _random_thresholds(layer, rng, style)
        write_weights(folder, number, layer, weights, rng if style == "garbage" else None)
        if layer.thresholds:
            write_thresholds(folder, number, layer, thresholds)
    (folder / "classes.txt").write_text("".join(f"class {n}\n" for n in range(number_class)))


def write_weights(
    folder: Path,
    number: int,
    layer: Layer,
    weights: NDArray[np.int64],
    noise: np.random.Generator | None = None,
) -> None:
    """Write the weight files of a layer; with `noise`, its unused bits are random."""
    codes = (weights > 0) if layer.weight_bits == 1 else weights & 3
    folds = codes.reshape(layer.neuron_folds, layer.pe, layer.synapse_folds, layer.simd).astype(np.uint64)
    used = layer.weight_bits * layer.simd
    for pe in range(layer.pe):
        words = np.zeros((layer.neuron_folds, layer.synapse_folds), np.uint64)
        for lane in range(layer.simd):
            words |= folds[:, pe, :, lane] << np.uint64(layer.weight_bits * lane)
        if noise is not None and used < 64:
            words |= noise.integers(0, 2**64, words.shape, np.uint64) << np.uint64(used)
        (folder / f"{number}-{pe}-weights.bin").write_bytes(words.astype("<u8").tobytes())


def write_thresholds(folder: Path, number: int, layer: Layer, words: NDArray[np.int64]) -> None:
    """Write the threshold files of a layer, `words` of shape (rows, thresholds) as they are."""
    folds = words.reshape(layer.neuron_folds, layer.pe, layer.thresholds)
    for pe in range(layer.pe):
        (folder / f"{number}-{pe}-thres.bin").write_bytes(folds[:, pe, :].astype("<i8").tobytes())


def _random_weights(layer: Layer, rng: np.random.Generator, style: Style) -> NDArray[np.int64]:
    rows = 4 if style == "ties" and layer.rows == OUTPUTS and layer.kernel == 1 else layer.rows
    shape = (rows, layer.columns)
    if layer.weight_bits == 1:
        weights = rng.integers(0, 2, shape) * 2 - 1
    else:
        weights = rng.choice(np.array([-1, 0, 1]), shape, p=[0.3, 0.4, 0.3])
    return weights[rng.integers(0, rows, layer.rows)] if rows < layer.rows else weights


def _random_thresholds(layer: Layer, rng: np.random.Generator, style: Style) -> NDArray[np.int64]:
    middle, spread = _reach(layer)
    if style == "ties":
        spread = min(spread, 2)
    shape = (layer.rows, layer.thresholds)
    words = np.rint(rng.normal(middle, spread, shape)).astype(np.int64)
    if style != "unordered":
        words.sort(axis=1)
    if style == "extreme":
        ends = [65535, 32767, -32768, 32768, -1, 0, 1, 2**23 - 1, -(2**23), 2**24 - 1, 2**63 - 1, -(2**63)]
        words = np.where(rng.random(shape) < 0.3, rng.choice(np.array(ends), shape), words)
    if style == "garbage":
        cut = 24 if layer.fixed_point else 16
        words = (words & (2**cut - 1)) | (rng.integers(-(2**63), 2**63, shape, np.int64) & -(2**cut))
    return words


def _saturated(layer: Layer, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return weights and thresholds with which inputs of all ones give outputs of all ones.

    Of the rows, some agree with every input, some with none, the others are random.
    """
    ones = np.ones(layer.columns, np.int64)
    ones[784 if layer.columns == 832 else layer.columns :] = -1  # what an LFC's padding is
    weights = _random_weights(layer, rng, "plain")
    kind = rng.integers(0, 3, layer.rows)
    weights[kind == 0], weights[kind == 1] = ones, -ones
    most = 2 * 127 * layer.columns if layer.fixed_point else layer.columns
    least = 0 if layer.counts else -most
    just = np.select([kind == 0, kind == 1], [most - 1, least - 1], least - 1)
    return weights, np.repeat(just[:, None], layer.thresholds, axis=1)


def _reach(layer: Layer) -> tuple[float, float]:
    """Return mean and standard deviation of a layer's accumulators with random weights."""
    root = float(np.sqrt(layer.columns))
    if layer.fixed_point:
        return 0, 2 * 74 * root  # 74: of a uniform 8-bit number
    return (layer.columns / 2, root / 2) if layer.counts else (0, 0.7 * root)
