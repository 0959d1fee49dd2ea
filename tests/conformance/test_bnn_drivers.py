"""Both drivers keep the contract. Expected results come from the numpy reference model."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_drivers.bnn import Bnn, LibraryDriver, NativeDriver, network
from accel_drivers.bnn._params import open_params
from accel_sdk import DataError
from accel_sdk.errors import CorruptStreamError, ShapeError
from accel_sdk.testing import Case, DriverConformance
from bnn_engines import pictures
from bnn_reference import Reference, classes, from_records, is_cnv, to_idx3, to_records

Array = NDArray[np.uint8]
_POOL = 16  # different images: the reference model is slow
_CLASSES = 10  # of the built-in random parameters


@functools.cache
def _pool(name: str) -> Array:
    return pictures(name, _POOL, seed=3)


@functools.cache
def _known(name: str) -> dict[bytes, NDArray[np.generic]]:
    """Return what the reference model says about each image of the pool: all 64 outputs."""
    with open_params("random", network(name)) as parameters:
        outputs = Reference(name, parameters.folder).run(_pool(name))
    return {
        image.tobytes(): output[None] if np.ndim(output) else np.array([output])
        for image, output in zip(_pool(name), outputs, strict=True)
    }


def _pixels(name: str, data: object) -> tuple[Array, Array | None]:
    """Return the images of an input and their labels."""
    if isinstance(data, list):
        parts = [_pixels(name, item) for item in data]
        return np.concatenate([pixels for pixels, _ in parts]), None
    if isinstance(data, np.ndarray):
        return data, None
    assert isinstance(data, bytes)
    if is_cnv(name):
        records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
        return from_records(records), records[:, 0] if len(records) else None
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28), None


def _expected(kernel: Bnn, data: object) -> dict[str, object]:
    images, labels = _pixels(kernel.network, data)
    known = _known(kernel.network)
    if not len(images):
        names = ["class_index", "class_name"]
        return {name: [] for name in names + ["scores"] * (kernel.detail and is_cnv(kernel.network))}
    outputs = np.concatenate([known[image.tobytes()] for image in images])
    found = classes(outputs, _CLASSES)
    if kernel.decision == "argmax":
        found = outputs[:, :_CLASSES].argmax(axis=1).astype(np.int32)
    columns: dict[str, object] = {
        "class_index": found.tolist(),
        "class_name": [f"class {index}" for index in found],
    }
    if kernel.detail and is_cnv(kernel.network):
        columns["scores"] = outputs[:, :_CLASSES].tolist()
    if labels is not None:
        columns["labelled"] = str(np.count_nonzero(labels < _CLASSES))
        columns["correct"] = str(np.count_nonzero(labels == found))
    return columns


def _observed(table: Any) -> dict[str, object]:
    columns: dict[str, object] = table.to_pydict()
    metadata = table.schema.metadata or {}
    return columns | {key.decode().removeprefix("accel."): text.decode() for key, text in metadata.items()}


def _inputs(name: str) -> st.SearchStrategy[object]:
    """Make arrays, bytes and lists of them, of up to 200 images."""
    counts = st.one_of(st.integers(0, 5), st.sampled_from([63, 64, 65, 130, 200]))
    rows = st.builds(
        lambda seed, count: np.random.default_rng(seed).integers(0, _POOL, count), st.integers(0, 99), counts
    )
    arrays: st.SearchStrategy[Any] = rows.map(lambda index: _pool(name)[index])
    packed = arrays.map(_labelled_records if is_cnv(name) else to_idx3)
    return st.one_of(arrays, packed, st.lists(arrays, min_size=1, max_size=3))


def _labelled_records(images: Array) -> bytes:
    return to_records(images, np.arange(len(images), dtype=np.uint8)).tobytes()


def _case(driver: Any, device: str, kernel: Bnn) -> Case:
    of = network(kernel.network)
    one = _pool(kernel.network)[:1]
    wrong = bytes(3072) if of.has_scores else bytes(100)
    return Case(
        driver=driver,
        device=device,
        kernel=kernel,
        data=_inputs(kernel.network),
        empty=one[:0],
        one=one,
        reference=lambda data: _expected(kernel, data),
        observe=_observed,
        variants=[
            Bnn(kernel.network, kernel.params, kernel.detail, kernel.decision, invert=True),
            Bnn(kernel.network, kernel.params, kernel.detail, kernel.decision, skip_bad=True),
        ],
        bad=[
            ("text", DataError),
            (object(), DataError),
            (one.astype(np.float32), ShapeError),
            (one[:, :20], ShapeError),
            (wrong, CorruptStreamError),
            ([one, wrong], CorruptStreamError),
        ],
    )


class TestNativeCnv(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _case(NativeDriver(), "cpu:0", Bnn("cnvW1A1", "random", detail=True))


class TestNativeTwoBits(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _case(NativeDriver(), "cpu:0", Bnn("cnvW2A2", "random", decision="argmax"))


class TestNativeLfc(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return _case(NativeDriver(), "cpu:0", Bnn("lfcW1A2", "random", detail=True))


class TestLibraryCnv(DriverConformance):
    examples = 15

    @pytest.fixture
    def case(self) -> Case:
        return _case(LibraryDriver(), "sim:0", Bnn("cnvW1A2", "random", detail=True))


class TestLibraryArgmax(DriverConformance):
    examples = 15

    @pytest.fixture
    def case(self) -> Case:
        return _case(LibraryDriver(), "sim:0", Bnn("cnvW2A2", "random", decision="argmax"))


class TestLibraryLfc(DriverConformance):
    examples = 15

    @pytest.fixture
    def case(self) -> Case:
        return _case(LibraryDriver(), "sim:0", Bnn("lfcW1A1", "random"))
