"""Parameter folders, good and bad: what the engine loads, what it says, and that nothing is lost."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_drivers.bnn._abi import ENGINE_LIBRARY, Engine, Layout
from accel_sdk.errors import ClosedError, DataError, KernelError
from accel_sdk.ffi import Library, native_file, open_library
from bnn_engines import loaded, outputs_of, pictures
from bnn_reference import NETWORKS, Reference, random_parameters, write_weights

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a folder of parameters for each network."""
    root = tmp_path_factory.mktemp("sound")
    for seed, network in enumerate(NETWORKS):
        random_parameters(network, np.random.default_rng(seed), root / network)
    return root


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies a network's folder, to be damaged."""

    def copy(network: str) -> Path:
        target = tmp_path / network
        shutil.copytree(sound / network, target)
        return target

    return copy


@pytest.fixture(scope="module")
def library() -> Library:
    return open_library(native_file(ENGINE_LIBRARY), ["bnn.abi.h"])


def fails(engine: Engine, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        engine.load(folder)
    text = str(caught.value)
    assert "accel_bnn_load returned ACCEL_BNN_BAD_PARAMETERS (-4)" in text
    assert "\n" not in text.replace(str(folder), "")
    return text


# ---- one file is wrong

FILES = [
    ("cnvW1A1", "0-0-weights.bin", 36 * 8),
    ("cnvW1A1", "4-3-thres.bin", 64 * 8),
    ("cnvW1A2", "1-31-thres.bin", 2 * 2 * 8),
    ("cnvW2A2", "7-1-weights.bin", 65536 * 8),
    ("cnvW2A2", "8-3-weights.bin", 8192 * 8),
    ("lfcW1A1", "2-31-weights.bin", 512 * 8),
    ("lfcW1A1", "3-15-thres.bin", 4 * 8),
    ("lfcW1A2", "0-31-thres.bin", 32 * 2 * 8),
    ("lfcW1A2", "3-0-weights.bin", 512 * 8),
]


@pytest.mark.parametrize(("network", "name", "nbytes"), FILES)
def test_a_file_of_the_wrong_size_is_named_with_both_sizes(
    network: str, name: str, nbytes: int, folder: Callable[[str], Path]
) -> None:
    wrong = folder(network)
    data = (wrong / name).read_bytes()
    assert len(data) == nbytes, "the table of this test"
    with Engine(network) as engine:
        for changed in (b"", data[:1], data[:-1], data + b"\0", data + bytes(8), data + data):
            (wrong / name).write_bytes(changed)
            text = fails(engine, wrong)
            assert str(wrong / name) in text
            assert f"{len(changed)} bytes" in text
            assert f"expected {nbytes}" in text


def _remove(path: Path) -> None:
    path.unlink()


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("every file is readable to root")
    path.chmod(0)


_DAMAGES = [_remove, _make_folder, _dangle, _loop, _pipe, _endless, _unreadable]


@pytest.mark.parametrize("damage", _DAMAGES, ids=[damage.__name__ for damage in _DAMAGES])
def test_a_file_that_cannot_be_read_is_named(damage: Damage, folder: Callable[[str], Path]) -> None:
    wrong = folder("lfcW1A2")
    with Engine("lfcW1A2") as engine:
        for name in ("1-5-thres.bin", "1-63-weights.bin"):  # a layer's weights are read first
            damage(wrong / name)
            assert str(wrong / name) in fails(engine, wrong)


@pytest.mark.parametrize("network", NETWORKS)
def test_each_file_is_missed(network: str, folder: Callable[[str], Path]) -> None:
    """But for the thresholds of a CNV's last layer, which has none, and the names of the classes."""
    place = folder(network)
    with Engine(network) as engine:
        files = sorted(place.iterdir())
        for path in {*files[::5], *files[-40:]}:
            hidden = path.rename(place.parent / "hidden")
            if path.suffix == ".bin":
                assert path.name in fails(engine, place)
            else:
                assert path.name == "classes.txt"
                assert engine.load(place) == []
            hidden.rename(path)
        assert engine.load(place) == []


def test_what_the_folder_holds_besides_is_ignored(folder: Callable[[str], Path]) -> None:
    place = folder("cnvW1A1")
    (place / "8-0-thres.bin").write_bytes(b"never read")
    (place / "9-0-weights.bin").mkdir()
    (place / "0-16-weights.bin").write_bytes(b"")
    with Engine("cnvW1A1") as engine:
        assert engine.load(place) == []


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("other", NETWORKS)
def test_parameters_of_another_network_are_told(network: str, other: str, sound: Path) -> None:
    with Engine(network) as engine:
        if network == other:
            assert engine.load(sound / other) == []
        else:
            text = fails(engine, sound / other)
            assert other in text.replace(str(sound / other), "")


# ---- folders


@pytest.mark.parametrize("name", ["missing", "a file", "", "x" * 300, "y/" * 2500])
def test_a_folder_that_is_none_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("here")
    place = Path(f"{tmp_path / name}") if name else tmp_path
    with Engine("lfcW1A1") as engine:
        assert str(place) in fails(engine, place)


def test_a_folders_name_may_be_anything(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = tmp_path / "a b\n\N{SNOWMAN} %s %n 'q'"
    strange.symlink_to(sound / "lfcW1A1")
    monkeypatch.chdir(sound)
    with Engine("lfcW1A1") as engine:
        for place in (strange, Path("lfcW1A1"), Path("./lfcW1A1/../lfcW1A1/")):
            assert engine.load(place) == []
        assert "%s %n" in fails(engine, strange / "deeper")


# ---- the last layer may have fewer neurons


@pytest.mark.parametrize(
    ("network", "layer", "folds_most"),
    [("cnvW1A1", 8, 16), ("cnvW2A2", 8, 16), ("lfcW1A1", 3, 4), ("lfcW1A2", 3, 4)],
)
def test_a_last_layer_of_fewer_neurons_is_filled_with_zeros(
    network: str, layer: int, folds_most: int, folder: Callable[[str], Path]
) -> None:
    place = folder(network)
    whole = {path: path.read_bytes() for path in place.glob(f"{layer}-*.bin")}
    images = pictures(network, 6, seed=3)
    with Engine(network) as engine:
        for folds in (1, folds_most - 1):
            for path, data in whole.items():
                path.write_bytes(data[: len(data) * folds // folds_most])
            warnings = engine.load(place)
            assert len(warnings) == 1
            neurons = NETWORKS[network][layer].pe * folds
            assert str(neurons) in warnings[0]
            assert "64" in warnings[0]
            expected = Reference(network, place).run(images)
            np.testing.assert_array_equal(outputs_of(engine, network, images), expected)
        for path, data in whole.items():
            path.write_bytes(data)
        assert engine.load(place) == [], "the warning is that of the last load"


@pytest.mark.parametrize(("network", "layer"), [("cnvW1A2", 8), ("lfcW1A1", 3)])
def test_files_of_a_last_layer_must_agree(network: str, layer: int, folder: Callable[[str], Path]) -> None:
    place = folder(network)
    with Engine(network) as engine:
        for path in sorted(place.glob(f"{layer}-*.bin")):
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2])
            assert path.name in fails(engine, place)
            path.write_bytes(data)


@pytest.mark.parametrize(("network", "layer", "row_words"), [("cnvW1A2", 8, 512), ("lfcW1A1", 3, 128)])
@pytest.mark.parametrize("words", [0, 1, -1])
def test_no_part_of_a_neuron_may_be_missing(
    network: str, layer: int, row_words: int, words: int, folder: Callable[[str], Path]
) -> None:
    place = folder(network)
    for path in place.glob(f"{layer}-*-weights.bin"):
        path.write_bytes(path.read_bytes()[: 8 * (row_words * (words != 0) + words)])
    with Engine(network) as engine:
        assert f"{layer}-0-weights.bin" in fails(engine, place)


@pytest.mark.parametrize("network", NETWORKS)
def test_no_other_layer_may_be_short(network: str, folder: Callable[[str], Path]) -> None:
    place = folder(network)
    for path in [*place.glob("0-*-weights.bin"), *place.glob("0-*-thres.bin")]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Engine(network) as engine:
        assert "0-0-weights.bin" in fails(engine, place)


def test_a_weight_of_minus_two_is_no_weight(folder: Callable[[str], Path]) -> None:
    """The format could hold it (F 4); no trained network does, and bit planes cannot."""
    place = folder("cnvW2A2")
    layer = NETWORKS["cnvW2A2"][3]
    weights = np.zeros((layer.rows, layer.columns), np.int64)
    weights[100, 1000] = -2
    write_weights(place, 3, layer, weights)
    with Engine("cnvW2A2") as engine:
        text = fails(engine, place)
    assert str(place / f"3-{100 % layer.pe}-weights.bin") in text
    assert "-2" in text


# ---- state


@pytest.mark.parametrize("network", ["cnvW1A1", "lfcW1A2"])
def test_a_failed_load_keeps_what_was_there(network: str, folder: Callable[[str], Path]) -> None:
    place = folder(network)
    images = pictures(network, 4, seed=5)
    expected = Reference(network, place).run(images)
    with loaded(network, place, "portable") as engine:
        last = max(place.glob("*-weights.bin"), key=lambda path: int(path.name.partition("-")[0]))
        for path in (place / "0-0-weights.bin", last):  # the first to be read, and one of the last
            data = path.read_bytes()
            path.write_bytes(data[:-8])
            random_parameters_but(network, place, path)
            fails(engine, place)
            np.testing.assert_array_equal(outputs_of(engine, network, images), expected)


def random_parameters_but(network: str, place: Path, kept: Path) -> None:
    """Replace all files of a folder but one."""
    data = kept.read_bytes()
    random_parameters(network, np.random.default_rng(99), place)
    kept.write_bytes(data)


def test_a_new_load_replaces_the_old_one(sound: Path, tmp_path: Path) -> None:
    random_parameters("lfcW1A1", np.random.default_rng(77), tmp_path, style="unordered")
    images = pictures("lfcW1A1", 10, seed=1)
    first, second = (Reference("lfcW1A1", place).run(images) for place in (sound / "lfcW1A1", tmp_path))
    assert (first != second).any()
    with Engine("lfcW1A1") as engine:
        for place, expected in ((sound / "lfcW1A1", first), (tmp_path, second), (sound / "lfcW1A1", first)):
            engine.load(place)
            np.testing.assert_array_equal(outputs_of(engine, "lfcW1A1", images), expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_before_any_load_says_so(network: str, tmp_path: Path) -> None:
    images = pictures(network, 1, seed=1)
    with Engine(network) as engine:
        for _ in range(2):
            with pytest.raises(KernelError, match="ACCEL_BNN_NOT_LOADED"):
                engine.run(images.data, 1, Layout.PIXELS, 10)
            fails(engine, tmp_path)  # a failed load is none


def test_a_closed_engine_says_so(sound: Path) -> None:
    engine = loaded("lfcW1A1", sound / "lfcW1A1", "portable")
    engine.close()
    with pytest.raises(ClosedError):
        engine.load(sound / "lfcW1A1")
    with pytest.raises(ClosedError):
        engine.run(bytes(784), 1, Layout.PIXELS, 10)


@pytest.mark.parametrize("network", ["cnvW1A1", "lfcW1A1"])
def test_a_load_while_others_run_changes_no_run_half_way(network: str, sound: Path, tmp_path: Path) -> None:
    random_parameters(network, np.random.default_rng(55), tmp_path, style="unordered")
    images = pictures(network, 24, seed=6)
    places = (sound / network, tmp_path)
    either = [Reference(network, place).run(images) for place in places]
    assert (either[0] != either[1]).any()
    over = threading.Event()

    def keep_running(engine: Engine) -> set[int]:
        seen: set[int] = set()
        while not over.is_set():
            seen.add(_which(outputs_of(engine, network, images), either))
        return seen

    with loaded(network, places[0], "portable") as engine, ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(keep_running, engine) for _ in range(3)]
        try:
            for turn in range(20):
                engine.load(places[turn % 2])
                if turn % 5 == 0:
                    fails(engine, tmp_path / "missing")
        finally:
            over.set()
        seen = set().union(*(run.result() for run in runs))
        assert seen <= {0, 1}, "outputs of no parameter set, or of a mixture"
        np.testing.assert_array_equal(outputs_of(engine, network, images), either[1])


def _which(found: NDArray[np.generic], either: list[NDArray[np.generic]]) -> int:
    return next((number for number, one in enumerate(either) if np.array_equal(found, one)), -1)


# ---- fuzz


@pytest.fixture(scope="module")
def fuzzed(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("fuzzed")
    names = ("cnvW2A2", "lfcW1A2")
    for network in names:
        shutil.copytree(sound / network, root / network)
    return {network: root / network for network in names}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    network=st.sampled_from(["cnvW2A2", "lfcW1A2"]),
    which=st.integers(0, 10_000),
    last=st.booleans(),
    keep=st.floats(0, 1.5),
    garbage=st.binary(max_size=40),
    place=st.floats(0, 1),
)
@example("lfcW1A2", 3, True, 0.75, b"", 0.0)
@example("cnvW2A2", 0, False, 1.0, bytes(range(40)), 0.5)
def test_damaged_files_give_an_error_or_what_they_say(
    fuzzed: dict[str, Path], network: str, which: int, last: bool, keep: float, garbage: bytes, place: float
) -> None:
    folder = fuzzed[network]
    files = sorted(folder.glob(f"{'3' if network == 'lfcW1A2' else '8'}-*.bin" if last else "*.bin"))
    path = files[which % len(files)]
    data = path.read_bytes()
    damaged = bytearray((data * 2)[: int(len(data) * keep)])
    start = int(place * len(damaged))
    damaged[start : start + len(garbage)] = garbage
    images = pictures(network, 2, seed=which)
    try:
        path.write_bytes(damaged)
        with Engine(network) as engine:
            problem = _problem(engine, folder)
            if problem:
                assert str(path) in problem
                assert len(damaged) != len(data) or "-2" in problem
            else:
                expected = Reference(network, folder).run(images)
                np.testing.assert_array_equal(outputs_of(engine, network, images), expected)
    finally:
        path.write_bytes(data)


def _problem(engine: Engine, folder: Path) -> str:
    try:
        engine.load(folder)
    except DataError as error:
        return str(error)
    return ""


# ---- the ABI as a C program may use it


def calls(library: Library) -> tuple[Any, Any]:
    """Return cffi's two objects, whose types no checker knows."""
    return library.ffi, library.lib


def test_null_is_refused_everywhere(library: Library, sound: Path) -> None:
    ffi, lib = calls(library)
    null, bad = ffi.NULL, -1
    lib.accel_bnn_destroy(null)
    holder = ffi.new("struct accel_bnn **")
    assert lib.accel_bnn_create(null, null, holder) == bad
    assert lib.accel_bnn_create(b"cnvW1A1", null, null) == bad
    assert lib.accel_bnn_network_at(0, null) == bad
    assert lib.accel_bnn_layer_at(0, 0, null) == bad
    assert lib.accel_bnn_load(null, b"x") == bad
    assert lib.accel_bnn_run(null, b"x", 1, 1, 0, 1, 0, null, null, null) == bad
    assert ffi.string(lib.accel_bnn_isa(null)) == b""
    text = ffi.new("char[]", b"something")
    assert lib.accel_bnn_error(null, text, 9) >= 0
    assert lib.accel_bnn_warning(null, text, 9) >= 0
    assert lib.accel_bnn_create(b"lfcW1A1", null, holder) == 0
    handle = holder[0]
    assert lib.accel_bnn_load(handle, null) == bad
    assert lib.accel_bnn_load(handle, os.fsencode(sound / "lfcW1A1")) == 0
    assert lib.accel_bnn_run(handle, null, 784, 1, 1, 10, 0, null, null, null) == bad
    assert lib.accel_bnn_run(handle, null, 0, 0, 1, 10, 0, null, null, null) == 0, "no images, no pointer"
    lib.accel_bnn_destroy(handle)


def test_tables_end(library: Library) -> None:
    ffi, lib = calls(library)
    network, layer = ffi.new("struct accel_bnn_network *"), ffi.new("struct accel_bnn_layer *")
    for index in range(5):
        assert lib.accel_bnn_network_at(index, network) == 0
        assert ffi.string(network.name).decode() == list(NETWORKS)[index]
        for number in (-1, network.layers, 2**31 - 1, -(2**31)):
            assert lib.accel_bnn_layer_at(index, number, layer) < 0
    for index in (-1, 5, 2**31 - 1, -(2**31)):
        assert lib.accel_bnn_network_at(index, network) == -2
        assert lib.accel_bnn_layer_at(index, 0, layer) == -2
        assert lib.accel_bnn_isa_at(index) == ffi.NULL
        assert lib.accel_bnn_isa_supported(index) == 0


def test_the_table_is_the_published_one(library: Library) -> None:
    ffi, lib = calls(library)
    layer = ffi.new("struct accel_bnn_layer *")
    for index, layers in enumerate(NETWORKS.values()):
        for number, expected in enumerate(layers):
            assert lib.accel_bnn_layer_at(index, number, layer) == 0
            for name in ("kernel", "rows", "columns", "simd", "pe", "weight_bits", "thresholds"):
                assert getattr(layer, name) == getattr(expected, name), (index, number, name)
            assert layer.pool == (2 if expected.pool else 1)


def test_a_handle_that_could_not_be_made_tells_why(library: Library) -> None:
    ffi, lib = calls(library)
    for network, isa, status in ((b"cnvW9A9", ffi.NULL, -2), (b"cnvW1A1", b"mmx", -3)):
        holder = ffi.new("struct accel_bnn **")
        assert lib.accel_bnn_create(network, isa, holder) == status
        handle = holder[0]
        assert handle != ffi.NULL
        assert ffi.string(lib.accel_bnn_isa(handle)) == b""
        assert lib.accel_bnn_error(handle, ffi.NULL, 0) > 0
        assert lib.accel_bnn_load(handle, b".") < 0
        assert lib.accel_bnn_run(handle, b"x" * 784, 784, 1, 1, 10, 0, ffi.NULL, ffi.NULL, ffi.NULL) < 0
        lib.accel_bnn_destroy(handle)


def test_texts_are_cut_to_the_room_there_is(library: Library) -> None:
    ffi, lib = calls(library)
    holder = ffi.new("struct accel_bnn **")
    assert lib.accel_bnn_create(b"lfcW1A1", ffi.NULL, holder) == 0
    handle = holder[0]
    room = ffi.new("char[]", b"#" * 300)
    assert lib.accel_bnn_error(handle, room, 300) == 0
    assert lib.accel_bnn_warning(handle, room, 300) == 0
    assert ffi.string(room) == b""
    assert lib.accel_bnn_load(handle, b"/nowhere/at/all") == -4
    length = lib.accel_bnn_error(handle, room, 300)
    whole = ffi.string(room)
    assert length == len(whole) > 20
    for capacity in (-1, 0, 1, 2, 7, length, length + 1):
        room[0:300] = b"#" * 300
        assert lib.accel_bnn_error(handle, room, capacity) == length
        written = max(0, min(capacity, length + 1))
        assert ffi.buffer(room, written)[:] == (whole[: written - 1] + b"\0" if written else b"")
        assert ffi.buffer(room, 300)[written:] == b"#" * (300 - written)
    lib.accel_bnn_destroy(handle)
