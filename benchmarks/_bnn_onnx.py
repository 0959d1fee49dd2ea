"""cnvW1A1 for ONNX Runtime, the peer of the network benchmarks: in float and in int8, both exact.

The models are built from the parameter files alone, read here once more by the format's rules, so that the
peer shares nothing with what it is compared with. Both are what ONNX Runtime was found to run fastest:

* Float: a sum with its threshold in the bias is an odd number, so ``Clip(-1, 1)`` is its sign. ONNX Runtime
  fuses Clip into Conv and keeps its blocked layout (NCHWc) through all six convolutions and both pools.
* int8: activations are the unsigned bytes 0 and 255, weights the signed bytes -1 and 1, zero points 0. A sum
  with its threshold in the bias is a multiple of 255, so the saturation that ends every quantised layer is
  the threshold, at no cost. ONNX Runtime takes its NHWC forms of QLinearConv and MaxPool, and MLAS' kernels
  for symmetric weights (VNNI where there is any). Those want a multiple of four channels: hence the empty
  fourth one of the images. The last convolution has one output pixel: as QGemm it is one product for a whole
  batch, as QLinearConv it would go image by image.

MLAS chooses its instructions by asking the CPU itself; no option, variable or glibc tunable limits that. So
on a machine with AVX-512 the peer always uses AVX-512, and is that for every instruction set of ours.

``python _bnn_onnx.py PARAMETERS VECTORS.npz`` compares both models with reference vectors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Records: TypeAlias = NDArray[np.uint8]
"""CIFAR-10 records, shape (n, 3073)."""

_SIDE = 32
_SCORES = 64
_CONVOLUTIONS = 6
_PIXEL_ZERO = 128  # the byte of a pixel of 0 in the int8 model


@dataclass(frozen=True)
class _Shape:
    """A layer of cnvW1A1: its matrix, and how the parameter files cut it."""

    rows: int
    columns: int
    simd: int
    pe: int
    pool: bool = False

    @property
    def folds(self) -> int:
        return self.rows // self.pe


_SHAPES = (
    _Shape(64, 27, 3, 16),
    _Shape(64, 576, 32, 32, pool=True),
    _Shape(128, 576, 32, 16),
    _Shape(128, 1152, 32, 16, pool=True),
    _Shape(256, 1152, 32, 4),
    _Shape(256, 2304, 32, 1),
    _Shape(512, 256, 4, 1),
    _Shape(512, 512, 8, 1),
    _Shape(64, 512, 1, 4),
)


@dataclass(frozen=True)
class Layer:
    """Parameters of a layer.

    Attributes
    ----------
    weights
        -1 and 1, shape (rows, columns); columns of a convolution are (ky, kx, channel).
    limits
        Shape (rows,). A neuron fires if its sum of ``weight * value`` is above its limit; the value of an
        activation is 0 or 1, of a pixel -128 to 127. In the last layer the score is the sum less the limit.
    pool
        Whether a 2x2 max-pool follows.
    """

    weights: NDArray[np.int8]
    limits: NDArray[np.int64]
    pool: bool


def read_layers(folder: Path) -> list[Layer]:
    """Read a parameter folder of cnvW1A1."""
    return [_read_layer(folder, number, shape) for number, shape in enumerate(_SHAPES)]


def _read_layer(folder: Path, number: int, shape: _Shape) -> Layer:
    words = _read(folder, number, "weights", shape.pe, shape.folds * shape.columns // shape.simd)
    lanes = np.arange(shape.simd, dtype=np.uint64)
    bits = ((words[:, :, None] >> lanes) & np.uint64(1)).astype(np.int8)
    by_fold = bits.reshape(shape.pe, shape.folds, shape.columns).swapaxes(0, 1)
    weights = 2 * by_fold.reshape(shape.rows, shape.columns) - 1
    limits = -(weights < 0).sum(axis=1, dtype=np.int64)  # a count of matches is the sum and these
    if number == 0:
        limits = _thresholds(folder, number, shape, bits=24) // 2  # they are for twice the sum
    elif number < len(_SHAPES) - 1:
        limits += _thresholds(folder, number, shape, bits=16)
    return Layer(weights, limits, shape.pool)


def _thresholds(folder: Path, number: int, shape: _Shape, bits: int) -> NDArray[np.int64]:
    words = _read(folder, number, "thres", shape.pe, shape.folds).T.ravel()
    unused = np.int64(64 - bits)
    return np.asarray(words.view(np.int64) << unused >> unused, np.int64)  # the last shift copies the sign


def _read(folder: Path, number: int, kind: str, files: int, words: int) -> NDArray[np.uint64]:
    """Return the words of all files of a kind, shape (files, words); those a file lacks are 0."""
    found = np.zeros((files, words), np.uint64)
    for pe, row in enumerate(found):
        content = np.fromfile(folder / f"{number}-{pe}-{kind}.bin", "<u8", words)
        row[: len(content)] = content
    return found


class _Graph:
    """A model in the making."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        """Add a constant; return its name."""
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: int | Sequence[int]) -> str:
        """Add a node; return the name of its output."""
        name = f"value{len(self._nodes)}"
        node = helper.make_node(operator, inputs, [name], domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return name

    def model(self, kind: int, channels: int) -> ModelProto:
        """Return the model from "images", any number of them, to what the last node gives."""
        images = helper.make_tensor_value_info("images", kind, ["n", channels, _SIDE, _SIDE])
        result = self._nodes[-1].output[0]
        scores = helper.make_tensor_value_info(result, TensorProto.FLOAT, ["n", _SCORES])
        graph = helper.make_graph(self._nodes, "cnvW1A1", [images], [scores], self._constants)
        domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8)


def _kernel(weights: NDArray[np.generic], channels: int) -> NDArray[np.generic]:
    """Return a convolution's weights as ONNX orders them, for so many channels, the further ones empty."""
    kernel = weights.reshape(len(weights), 3, 3, -1).transpose(0, 3, 1, 2)
    return np.pad(kernel, [(0, 0), (0, channels - kernel.shape[1]), (0, 0), (0, 0)])


def float_model(layers: Sequence[Layer]) -> ModelProto:
    """Return the network in float: pixels of -128 to 127, shape (n, 3, 32, 32), to scores, shape (n, 64).

    Activations are -1 and 1: their sum is twice the sum over 0 and 1, less the sum of all weights.
    """
    graph, value = _Graph(), "images"
    low, high = graph.constant(np.float32(-1)), graph.constant(np.float32(1))
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        weights = layer.weights * np.float32(2 if number == 0 else 0.5 if last else 1)
        total = 0 if number == 0 else layer.weights.sum(axis=1, dtype=np.int64)
        bias = total / 2 - layer.limits if last else total - 2 * layer.limits - 1
        offset = graph.constant(np.float32(bias))
        if number == _CONVOLUTIONS:
            value = graph.add("Flatten", value)
        if number < _CONVOLUTIONS:
            value = graph.add("Conv", value, graph.constant(_kernel(weights, weights.shape[1] // 9)), offset)
        else:
            value = graph.add("Gemm", value, graph.constant(weights), offset, transB=1)
        if not last:
            value = graph.add("Clip", value, low, high)
        if layer.pool:
            value = graph.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    return graph.model(TensorProto.FLOAT, 3)


def int8_model(layers: Sequence[Layer]) -> ModelProto:
    """Return the network in int8: pixels + 128, shape (n, 4, 32, 32), to scores, shape (n, 64).

    The fourth channel does not matter. Scores are off by what float makes of 1/255: round them.
    """
    graph, value = _Graph(), "images"
    zero, weight_zero = graph.constant(np.uint8(0)), graph.constant(np.int8(0))
    unit, small = graph.constant(np.float32(1)), graph.constant(np.float32(1 / 255))
    for number, layer in enumerate(layers):
        first, last = number == 0, number == len(layers) - 1
        shift = _PIXEL_ZERO * layer.weights.sum(axis=1, dtype=np.int64)
        bias = graph.constant(np.int32(-layer.limits - shift if first else -255 * layer.limits))
        if number < _CONVOLUTIONS - 1:
            kernel = graph.constant(_kernel(layer.weights, 4 if first else layer.weights.shape[1] // 9))
            result = small if first else unit  # to make 255 of the least sum that fires
            value = graph.add("QLinearConv", value, unit, zero, kernel, unit, weight_zero, result, zero, bias)
        else:
            if number == _CONVOLUTIONS - 1:  # nothing moves: it is NHWC inside, as the weights are
                value = graph.add("Flatten", graph.add("Transpose", value, perm=[0, 2, 3, 1]))
            matrix, output = graph.constant(layer.weights), () if last else (unit, zero)
            inputs = (value, small if last else unit, zero, matrix, unit, weight_zero, bias, *output)
            value = graph.add("QGemm", *inputs, domain="com.microsoft", transB=1)
        if layer.pool:
            value = graph.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    return graph.model(TensorProto.UINT8, 4)


def _pixels(records: Records) -> NDArray[np.int8]:
    """Return the pixels of records as the network takes them, shape (n, 3, 32, 32)."""
    real = np.float32(-1) + np.float32(2) * np.arange(256, dtype=np.float32) / np.float32(255)
    table = np.clip(np.floor(real * 128 + np.float32(0.5)), -128, 127).astype(np.int8)
    return cast("NDArray[np.int8]", table[records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)])


def float_images(records: Records) -> NDArray[np.float32]:
    """Return records as `float_model` takes them."""
    return _pixels(records).astype(np.float32)


def int8_images(records: Records) -> NDArray[np.uint8]:
    """Return records as `int8_model` takes them."""
    moved = (_pixels(records).view(np.uint8) + np.uint8(_PIXEL_ZERO)).astype(np.uint8)
    return np.pad(moved, [(0, 0), (0, 1), (0, 0), (0, 0)])


class Peer:
    """A model in ONNX Runtime, on the calling thread alone.

    Parameters
    ----------
    model
        Of this module.
    prepare
        Makes of records what the model takes.
    optimized
        Where to write what ONNX Runtime makes of the model, for a look.
    """

    def __init__(
        self,
        model: ModelProto,
        prepare: Callable[[Records], NDArray[np.generic]],
        optimized: Path | None = None,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3  # the layout of the fused model fits this machine alone, it warns
        if optimized:
            options.optimized_model_filepath = str(optimized)
        content = model.SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.prepare = prepare

    def scores(self, images: NDArray[np.generic], batch: int = 64) -> NDArray[np.int32]:
        """Return the scores of prepared images, shape (n, 64), computed so many at a time."""
        parts = self._run(images, batch)
        return np.rint(np.concatenate(parts)).astype(np.int32)

    def run(self, images: NDArray[np.generic], batch: int) -> None:
        """Do the work of `scores` and drop the result, so that nothing but the model is timed."""
        self._run(images, batch)

    def _run(self, images: NDArray[np.generic], batch: int) -> list[NDArray[np.float32]]:
        starts = range(0, len(images), batch)
        return [self._session.run(None, {"images": images[n : n + batch]})[0] for n in starts]


def peers(folder: Path) -> dict[str, Peer]:
    """Return both models of a parameter folder."""
    layers = read_layers(folder)
    return {
        "ONNX Runtime int8": Peer(int8_model(layers), int8_images),
        "ONNX Runtime fp32": Peer(float_model(layers), float_images),
    }


def check(folder: Path, vectors: Path) -> dict[str, tuple[int, int, int]]:
    """Compare both models with reference vectors.

    Returns
    -------
    dict
        Of each model: images of the right class, images of the right scores, images.
    """
    expected = np.load(vectors)
    number_class = expected["scores"].shape[1]
    agreed = {}
    for name, peer in peers(folder).items():
        scores = peer.scores(peer.prepare(expected["inputs"]))[:, :number_class]
        classes = int((scores.argmax(axis=1) == expected["classes"]).sum())
        agreed[name] = classes, int((scores == expected["scores"]).all(axis=1).sum()), len(scores)
    return agreed


def main() -> None:
    parser = argparse.ArgumentParser(description="compare the ONNX models with reference vectors")
    parser.add_argument("params", type=Path)
    parser.add_argument("vectors", type=Path)
    arguments = parser.parse_args()
    agreed = check(arguments.params, arguments.vectors)
    for name, (classes, scores, count) in agreed.items():
        print(f"{name}: {classes} of {count} classes and {scores} of {count} scores agree")
    sys.exit(any(min(found) != found[2] for found in agreed.values()))


if __name__ == "__main__":
    main()
