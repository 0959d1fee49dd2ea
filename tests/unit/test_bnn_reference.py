"""The tests' own model of the networks, against what the original libraries published."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import bnn_reference as bnn
from bnn_reference import NETWORKS, STYLES, Reference
from bnn_shared import SETS, published, shared, unpack


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("params")


@pytest.mark.parametrize("name", SETS)
def test_every_published_vector(name: str, unpacked: Path) -> None:
    truth = published(name, unpacked)
    reference = Reference(truth.network, truth.folder)
    outputs = reference.run(truth.images)
    if truth.scores is not None:
        np.testing.assert_array_equal(outputs[:, : truth.number_class], truth.scores)
        assert truth.scores.shape[1] == truth.number_class
    if truth.raw_words is not None:
        np.testing.assert_array_equal(outputs, truth.raw_words)
    np.testing.assert_array_equal(reference.classes(outputs, truth.number_class), truth.classes)
    if truth.single_classes is not None:
        np.testing.assert_array_equal(
            reference.single_classes(outputs, truth.number_class), truth.single_classes
        )


def test_the_two_decisions_of_the_original_differ_without_a_positive_score(unpacked: Path) -> None:
    """The probe of F 10: a deer among three classes that it is not."""
    record = np.fromfile(shared("images", "deer.record"), np.uint8).reshape(1, -1)
    reference = Reference("cnvW1A2", unpack("cifar10-cnvW1A2", unpacked))
    scores = reference.run(bnn.from_records(record))
    assert scores[0, :3].tolist() == [-29, -49, -27]
    assert reference.single_classes(scores, 3).tolist() == [2]
    assert reference.classes(scores, 3).tolist() == [0]


def test_quantisation_is_the_published_table() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    expected = [*range(-128, 0), *range(1, 128), 127]
    assert bnn.quantised(pixels).tolist() == expected


def test_decisions_on_words() -> None:
    words = np.array([0, 1, 0b110000, 0b101000, 1 << 63, 2**64 - 1, 0xFFFF800400000000], np.uint64)
    assert bnn.classes(words, 64).tolist() == [0, 0, 5, 5, 63, 63, 63]
    assert bnn.single_classes(words, 64).tolist() == [0, 0, 6, 5, 63, 64, 64]
    assert bnn.classes(words, 47).tolist() == [0, 0, 5, 5, 0, 46, 34]


def test_decisions_on_scores_take_the_first_of_equals() -> None:
    scores = np.array([[3, 7, 7], [-3, -1, -1], [0, 0, 0]], np.int32)
    assert bnn.classes(scores, 3).tolist() == [1, 0, 0]
    assert bnn.single_classes(scores, 3).tolist() == [1, 1, 0]


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_fit_each_other(network: str) -> None:
    dim, channels = (32, 3) if bnn.is_cnv(network) else (1, 832)
    for layer in NETWORKS[network]:
        window = layer.kernel**2
        assert layer.columns == (channels * window if layer.kernel == 3 else channels * dim * dim)
        assert layer.rows % layer.pe == 0
        assert layer.columns % layer.simd == 0
        dim, channels = (dim - layer.kernel + 1) // (2 if layer.pool else 1), layer.rows
    assert (dim, channels) == (1, 64)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("network", ["cnvW2A2", "lfcW1A2"])
def test_random_parameters_are_read_as_they_were_written(
    network: str, style: bnn.Style, tmp_path: Path
) -> None:
    """And what the format ignores makes no difference: written again without it, it is the same network."""
    bnn.random_parameters(network, np.random.default_rng(1), tmp_path / "first", style=style)
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "first", again)
    for number, layer in enumerate(NETWORKS[network]):
        weights = bnn.read_weights(again, number, layer)
        bnn.write_weights(again, number, layer, weights.astype(np.int64))
        if layer.thresholds:
            bnn.write_thresholds(again, number, layer, bnn.read_thresholds(again, number, layer))
    rng = np.random.default_rng(2)
    shape = (3, 32, 32, 3) if bnn.is_cnv(network) else (50, 28, 28)
    images = rng.integers(0, 256, shape, np.uint8)
    first = Reference(network, tmp_path / "first").run(images)
    np.testing.assert_array_equal(first, Reference(network, again).run(images))
    if style != "saturated":
        assert len(np.unique(first)) > 2, "random networks tell pictures apart, or they test nothing"


def test_what_is_missing_in_a_file_reads_as_zero(tmp_path: Path) -> None:
    layer = NETWORKS["lfcW1A2"][3]
    bnn.random_parameters("lfcW1A2", np.random.default_rng(3), tmp_path)
    for kind, keep in (("weights", 100), ("thres", 1)):
        path = tmp_path / f"3-5-{kind}.bin"
        path.write_bytes(path.read_bytes()[: 8 * keep])
    weights = bnn.read_weights(tmp_path, 3, layer)
    assert (weights[16 + 5 :: 16] == -1).all()
    assert (weights[5, 8 * 100 :] == -1).all()
    assert (weights[5, : 8 * 100] == 1).any()
    assert (bnn.read_thresholds(tmp_path, 3, layer)[16 + 5 :: 16] == 0).all()
