"""The native engine on every instruction set: the published vectors, and random networks."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_drivers.bnn import _abi
from accel_drivers.bnn._abi import Decision, Engine, Layout
from accel_sdk.errors import DataError, ShapeError, UnsupportedError
from bnn_engines import ISAS, SENTINEL, classes_of, loaded, outputs_of, pictures, supported
from bnn_reference import (
    NETWORKS,
    STYLES,
    Reference,
    Style,
    classes,
    from_records,
    is_cnv,
    random_parameters,
    single_classes,
    to_records,
)
from bnn_shared import SETS, Published, published, shared, unpack

RULES = {Decision.MULTIPLE: classes, Decision.SINGLE: single_classes}
CNV_RULES = {**RULES, Decision.ARGMAX: single_classes}  # on scores both are the first maximum

# name of the set, class, scores (F 10); the upstream self-test's
SELF_TEST = {
    ("deer.record", "cifar10-cnvW1A1"): (4, [233, 224, 248, 251, 431, 250, 239, 247, 225, 232]),
    ("deer.record", "cifar10-cnvW1A2"): (4, [-29, -49, -27, -7, 261, 5, -11, -27, -27, -35]),
    ("deer.record", "cifar10-cnvW2A2"): (4, [-18, -31, -27, -20, 244, -7, 0, -13, -23, -17]),
    ("6.record", "streetview-cnvW1A1"): (5, [213, 243, 236, 218, 261, 326, 207, 250, 262, 267, 252]),
    ("stop.record", "road-signs-cnvW1A1"): (
        14,
        [
            *(287, 268, 245, 261, 260, 249, 182, 261, 255, 271, 258, 269, 289, 255, 406, 269, 250, 322, 241),
            *(250, 226, 252, 226, 247, 289, 251, 263, 280, 265, 272, 224, 200, 277, 220, 262, 233, 271, 214),
            *(255, 221, 251, 255, 244, 286),
        ],
    ),
    ("3.image-idx3-ubyte", "mnist-lfcW1A1"): (3, 0x8),
    ("3.image-idx3-ubyte", "mnist-lfcW1A2"): (3, 0x8),
    ("3.image-idx3-ubyte", "chars_merged-lfcW1A1"): (34, 0xFFFF800400000000),
}


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name not in supported():
        pytest.skip(f"this CPU ({platform.machine()}) has no {name}, only {', '.join(supported())}")
    return name


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bnn")


def test_the_instruction_sets_are_the_four() -> None:
    assert tuple(name for name, _ in _abi.isas()) == ISAS
    assert dict(_abi.isas())["portable"]


# ---- published vectors


@functools.cache
def _truth(name: str, scratch: Path) -> Published:
    return published(name, scratch)


@pytest.mark.parametrize("name", SETS)
def test_published_vectors(name: str, isa: str, scratch: Path) -> None:
    truth = _truth(name, scratch)
    with loaded(truth.network, truth.folder, isa) as engine:
        assert engine.isa == isa
        outputs = outputs_of(engine, truth.network, truth.images)
        layouts = {Layout.PIXELS: truth.images}
        if truth.scores is not None:
            np.testing.assert_array_equal(outputs[:, : truth.number_class], truth.scores)
            layouts[Layout.RECORDS] = truth.inputs
        else:
            np.testing.assert_array_equal(outputs, truth.raw_words)
        for layout, images in layouts.items():
            found = classes_of(engine, images, layout, truth.number_class, Decision.MULTIPLE)
            np.testing.assert_array_equal(found, truth.classes)
            found = classes_of(engine, images, layout, truth.number_class, Decision.SINGLE)
            single = truth.single_classes
            if single is None:
                assert truth.scores is not None
                single = truth.scores.argmax(axis=1)
            np.testing.assert_array_equal(found, single)


@pytest.mark.parametrize(("file", "name"), SELF_TEST)
def test_upstream_self_test(file: str, name: str, isa: str, scratch: Path) -> None:
    expected_class, expected = SELF_TEST[file, name]
    folder, network = unpack(name, scratch), name.rpartition("-")[2]
    number_class = len((folder / "classes.txt").read_text().splitlines())
    data = np.frombuffer(shared("images", file).read_bytes(), np.uint8)
    with loaded(network, folder, isa) as engine:
        if isinstance(expected, list):
            images, layout = data, Layout.RECORDS
            scores = np.empty((1, number_class), np.int32)
            engine.run(images.data, 1, layout, number_class, scores=scores)
            assert scores[0].tolist() == expected
        else:
            images, layout = data[16:], Layout.PIXELS
            words = np.empty(1, np.uint64)
            engine.run(images.data, 1, layout, number_class, words=words)
            assert words[0] == expected
        for decision in (Decision.MULTIPLE, Decision.SINGLE):
            found = classes_of(engine, images[None], layout, number_class, decision)
            assert found.tolist() == [expected_class]


def test_the_known_short_sets_load_with_a_warning(scratch: Path) -> None:
    for name in SETS:
        with Engine(name.rpartition("-")[2]) as engine:
            warnings = engine.load(unpack(name, scratch))
        assert bool(warnings) == name.startswith(("streetview", "chars_merged")), (name, warnings)


# ---- random networks


def check_against_the_model(
    network: str, folder: Path, images: NDArray[np.uint8], number_class: int, names: tuple[str, ...]
) -> None:
    expected = Reference(network, folder).run(images)
    for isa in names:
        with loaded(network, folder, isa) as engine:
            np.testing.assert_array_equal(outputs_of(engine, network, images), expected, err_msg=isa)
            for decision, rule in (CNV_RULES if is_cnv(network) else RULES).items():
                found = classes_of(engine, images, Layout.PIXELS, number_class, decision)
                np.testing.assert_array_equal(found, rule(expected, number_class), err_msg=isa)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("network", NETWORKS)
def test_random_networks_on_every_instruction_set(network: str, style: Style, tmp_path: Path) -> None:
    random_parameters(network, np.random.default_rng(7), tmp_path, style=style)
    check_against_the_model(network, tmp_path, pictures(network, 9, seed=8), 10, supported())


@pytest.mark.parametrize("network", NETWORKS)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    style=st.sampled_from(STYLES),
    count=st.integers(1, 20),
    number_class=st.integers(1, 64),
)
def test_any_random_network(
    network: str, scratch: Path, seed: int, style: Style, count: int, number_class: int
) -> None:
    folder = scratch / network  # each example overwrites the files of the last
    random_parameters(network, np.random.default_rng(seed), folder, style=style)
    images = pictures(network, count, seed + 1)
    check_against_the_model(network, folder, images, number_class, supported())


@pytest.mark.parametrize("network", NETWORKS)
def test_results_do_not_depend_on_the_batch(network: str, isa: str, scratch: Path) -> None:
    folder, images, expected = _batch(network, scratch)
    sizes = (1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 70) if is_cnv(network) else range(1, 71)
    with loaded(network, folder, isa) as engine:
        for size in sizes:
            start = (70 - size) // 2
            part = images[start : start + size]
            np.testing.assert_array_equal(
                outputs_of(engine, network, part), expected[start : start + size], err_msg=f"batch of {size}"
            )


@functools.cache
def _batch(network: str, scratch: Path) -> tuple[Path, NDArray[np.uint8], NDArray[np.generic]]:
    folder = scratch / f"batch-{network}"
    random_parameters(network, np.random.default_rng(17), folder, style="unordered")
    images = pictures(network, 70, seed=18)
    return folder, images, Reference(network, folder).run(images)


def test_every_batch_size_on_the_fastest_instruction_set(scratch: Path) -> None:
    for network in NETWORKS:
        folder, images, expected = _batch(network, scratch)
        with loaded(network, folder, supported()[0]) as engine:
            for size in range(1, 71):
                found = outputs_of(engine, network, images[:size])
                np.testing.assert_array_equal(found, expected[:size], err_msg=f"{network}, batch of {size}")


def test_random_networks_tell_pictures_apart(scratch: Path) -> None:
    """Otherwise the comparisons above would be comparisons of constants."""
    for network in NETWORKS:
        _, _, expected = _batch(network, scratch)
        assert len(np.unique(expected, axis=0)) > 20, network


# ---- how a run is asked for


@pytest.mark.parametrize("network", ["cnvW1A1", "lfcW1A2"])
@pytest.mark.parametrize("number_class", [1, 2, 10, 63, 64])
def test_outputs_are_cut_to_the_classes_and_nothing_else_is_written(
    network: str, number_class: int, isa: str, scratch: Path
) -> None:
    folder, images, expected = _batch(network, scratch)
    images, expected = images[:5], expected[:5]
    wide = number_class if is_cnv(network) else 1
    room = np.full(5 * wide + 8, SENTINEL, np.int32)
    decided = np.full(5 + 8, SENTINEL, np.int32)
    with loaded(network, folder, isa) as engine:
        if is_cnv(network):
            engine.run(images.data, 5, Layout.PIXELS, number_class, classes=decided[4:9], scores=room[4:-4])
            np.testing.assert_array_equal(room[4:-4].reshape(5, -1), expected[:, :number_class])
        else:
            room = np.full(5 + 8, 2**64 - 77, np.uint64).view(np.int32)
            words = room.view(np.uint64)
            engine.run(images.data, 5, Layout.PIXELS, number_class, classes=decided[4:9], words=words[4:9])
            np.testing.assert_array_equal(words[4:9], expected, "the whole word, whatever the classes")
            assert (words[:4] == 2**64 - 77).all()
            assert (words[9:] == 2**64 - 77).all()
        engine.run(images.data, 5, Layout.PIXELS, number_class)  # no output at all is no error
    np.testing.assert_array_equal(decided[4:9], classes(expected, number_class))
    assert (decided[:4] == SENTINEL).all()
    assert (decided[9:] == SENTINEL).all()
    if is_cnv(network):
        assert (room[:4] == SENTINEL).all()
        assert (room[-4:] == SENTINEL).all()


@pytest.mark.parametrize("network", ["cnvW1A1", "cnvW2A2"])
def test_records_are_the_same_pictures_whatever_their_label(network: str, isa: str, scratch: Path) -> None:
    folder, images, expected = _batch(network, scratch)
    labels = np.arange(len(images), dtype=np.uint8) * 3
    records = to_records(images, labels)
    np.testing.assert_array_equal(from_records(records), images)
    scores = np.empty((len(images), 64), np.int32)
    with loaded(network, folder, isa) as engine:
        engine.run(records.data, len(records), Layout.RECORDS, 64, scores=scores)
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("network", ["cnvW1A2", "lfcW1A1"])
@pytest.mark.parametrize("offset", [1, 3, 8, 63])
def test_images_may_lie_anywhere_and_be_read_only(network: str, offset: int, isa: str, scratch: Path) -> None:
    folder, images, expected = _batch(network, scratch)
    data = memoryview(bytes(offset) + images[:6].tobytes())[offset:]
    with loaded(network, folder, isa) as engine:
        decided = np.empty(6, np.int32)
        engine.run(data, 6, Layout.PIXELS, 10, classes=decided)
    np.testing.assert_array_equal(decided, classes(expected[:6], 10))


def test_no_images_are_no_error(isa: str, scratch: Path) -> None:
    for network in NETWORKS:
        folder, _, _ = _batch(network, scratch)
        with loaded(network, folder, isa) as engine:
            engine.run(b"", 0, Layout.PIXELS, 10, classes=np.empty(0, np.int32))


def test_the_environment_chooses_the_instruction_set(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine("cnvW1A1") as engine:
        assert engine.isa == supported()[0], "the best there is"
    monkeypatch.setenv("ACCEL_BNN_ISA", isa)
    with Engine("cnvW1A1") as engine:
        assert engine.isa == isa
    with Engine("cnvW1A1", "portable") as engine:
        assert engine.isa == "portable", "an argument wins"


@pytest.mark.parametrize("name", ["avx1024", "AVX2 ", "portable\n"])
def test_an_unknown_instruction_set_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError) as caught:
        Engine("cnvW1A1", name)
    assert name.strip() in str(caught.value)
    assert "portable" in str(caught.value), "what there is"
    if name:
        monkeypatch.setenv("ACCEL_BNN_ISA", name)
        with pytest.raises(UnsupportedError):
            Engine("cnvW1A1")


@pytest.mark.parametrize("name", ["cnvW1A3", "", "CNVW1A1", "cnvW1A1 "])
def test_an_unknown_network_is_named(name: str) -> None:
    with pytest.raises(DataError) as caught:
        Engine(name)
    assert all(network in str(caught.value) for network in NETWORKS)


@pytest.mark.parametrize("network", ["cnvW1A1", "lfcW1A1"])
def test_a_run_that_cannot_be_is_refused_and_harmless(network: str, scratch: Path) -> None:
    folder, images, expected = _batch(network, scratch)
    data = images[:3].tobytes()
    records = Layout.RECORDS
    wrong: list[tuple[bytes, int, int, int, int]] = [
        (data, 2, 1, 10, 0),
        (data, 4, 1, 10, 0),
        (data[:-1], 3, 1, 10, 0),
        (data + b"x", 3, 1, 10, 0),
        (b"", 1, 1, 10, 0),
        (data, 0, 1, 10, 0),
        (data, 3, 1, 0, 0),
        (data, 3, 1, -1, 0),
        (data, 3, 1, 65, 0),
        (data, 3, 1, 2**31 - 1, 0),
        (data, 3, 2, 10, 0),
        (data, 3, -1, 10, 0),
        (data, 3, 1, 10, 3),
        (data, 3, 1, 10, -1),
        (data, 3, records, 10, 0),  # not as many bytes as records have; an LFC knows no records
        *([] if is_cnv(network) else [(data, 3, 1, 10, 2)]),  # an LFC has no scores for ARGMAX
        (data, 2**64 // len(data), 1, 10, 0),  # whose bytes, counted in 64 bits, wrap around
    ]
    decided = np.full(3, SENTINEL, np.int32)
    engine = loaded(network, folder, "portable")
    for buffer, count, layout, number_class, decision in wrong:
        with pytest.raises(DataError) as caught:
            engine.run(buffer, count, layout, number_class, decision)  # type: ignore[arg-type]
        assert "accel_bnn_run returned ACCEL_BNN_BAD_ARGUMENT (-1)" in str(caught.value)
    with pytest.raises(ShapeError):
        engine.run(data, 3, Layout.PIXELS, 10, classes=decided[:2])
    assert (decided == SENTINEL).all()
    scores, words = np.empty((3, 10), np.int32), np.empty(3, np.uint64)
    foreign = {"words": words} if is_cnv(network) else {"scores": scores}
    with pytest.raises(DataError):
        engine.run(data, 3, Layout.PIXELS, 10, **foreign)
    engine.run(data, 3, Layout.PIXELS, 10, classes=decided)
    np.testing.assert_array_equal(decided, classes(expected[:3], 10))
    engine.close()
    engine.close()
