"""The libraries with BNN-PYNQ's own C ABI, called as its programs call them: by ctypes, on files.

Their state is global, so every test has them in a process of its own, which must end well and print nothing.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sdk.ffi import native_file
from bnn_engines import ISAS, pictures, supported
from bnn_reference import (
    NETWORKS,
    Reference,
    classes,
    is_cnv,
    random_parameters,
    single_classes,
    to_idx3,
    to_records,
)
from bnn_shared import SETS, published, shared, unpack

# Reads calls as JSON lines, makes them, writes an answer for each: what was returned, and what was filled in.
_CLIENT = """
import ctypes, json, sys
library = ctypes.CDLL(sys.argv[1])
library.load_parameters.restype = None
library.inference_multiple.restype = ctypes.POINTER(ctypes.c_int)
library.free_results.argtypes = [ctypes.POINTER(ctypes.c_int)]
library.accel_bnn_pynq_error.restype = ctypes.c_char_p
library.accel_bnn_device_seconds.restype = ctypes.c_double

def text(path):
    return None if path is None else path.encode()

def load(path):
    library.load_parameters(text(path))

def inference(path, number_class, results=True):
    room = (ctypes.c_int * 80)(*[-77] * 80)
    usec = ctypes.c_float(-1)
    found = library.inference(text(path), room if results else None, number_class,
                              ctypes.byref(usec) if results else None)
    return [found, list(room), usec.value]

def multiple(path, number_class, detail=0, out=True):
    number, usec = ctypes.c_int(-77), ctypes.c_float(-1)
    found = library.inference_multiple(text(path), number_class, ctypes.byref(number) if out else None,
                                       ctypes.byref(usec) if out else None, detail)
    if not found:
        return [None, number.value, usec.value]
    size = number.value * (number_class if detail and "cnv" in sys.argv[1] else 1) if out else 1
    values = found[:size]
    library.free_results(found)
    return [values, number.value, usec.value]

def deinit():
    library.deinit()

def free_null():
    library.free_results(None)

def seconds():
    return library.accel_bnn_device_seconds()

with open(sys.argv[2], "w") as answers:
    for line in open(sys.argv[3]):
        name, arguments = json.loads(line)
        result = globals()[name](**arguments)
        error = library.accel_bnn_pynq_error().decode()
        answers.write(json.dumps([result, error]) + "\\n")
"""

Call = tuple[str, dict[str, Any]]
Talk = Callable[..., list[tuple[Any, str]]]

ABI = {"load_parameters", "inference", "inference_multiple", "free_results", "deinit"}
EXTENSIONS = {"accel_bnn_pynq_error", "accel_bnn_device_seconds"}


def library_of(network: str) -> Path:
    return native_file(f"python_sw-{network}-pynqZ1-Z2.so")


def load(path: Path | str | None) -> Call:
    return "load", {"path": None if path is None else str(path)}


def first(path: Path | str | None, number_class: int = 10, **more: bool) -> Call:
    return "inference", {"path": None if path is None else str(path), "number_class": number_class, **more}


def every(path: Path | str | None, number_class: int = 10, **more: int) -> Call:
    return "multiple", {"path": None if path is None else str(path), "number_class": number_class, **more}


SECONDS: Call = ("seconds", {})
DEINIT: Call = ("deinit", {})


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    """Return a function that has calls made in a new process; returns results and error texts."""

    def run(network: str, calls: Iterable[Call], isa: str = "") -> list[tuple[Any, str]]:
        questions, answers = tmp_path / "questions", tmp_path / "answers"
        questions.write_text("".join(json.dumps(call) + "\n" for call in calls))
        command = [sys.executable, "-c", _CLIENT, str(library_of(network)), str(answers), str(questions)]
        environment = {**os.environ, "ACCEL_BNN_ISA": isa}
        done = subprocess.run(command, env=environment, capture_output=True, timeout=100)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        return [tuple(json.loads(line)) for line in answers.read_text().splitlines()]

    return run


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pynq")


@pytest.fixture(scope="module")
def sound(scratch: Path) -> Path:
    """Return a folder with a folder of random parameters for each network."""
    for seed, network in enumerate(NETWORKS):
        rng = np.random.default_rng(seed)
        random_parameters(network, rng, scratch / "sound" / network, style="unordered")
    return scratch / "sound"


def write_images(path: Path, network: str, images: NDArray[np.uint8]) -> Path:
    path.write_bytes(to_records(images, 255).tobytes() if is_cnv(network) else to_idx3(images))
    return path


def well(answers: list[tuple[Any, str]]) -> list[Any]:
    """Return the results of calls that must all have succeeded."""
    assert [error for _, error in answers] == [""] * len(answers)
    return [result for result, _ in answers]


# ---- results


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", SETS)
def test_published_vectors(name: str, isa: str, talk: Talk, scratch: Path, tmp_path: Path) -> None:
    if isa not in supported():
        pytest.skip(f"this CPU ({platform.machine()}) has no {isa}, only {', '.join(supported())}")
    truth = published(name, scratch)
    network, number_class = truth.network, truth.number_class
    file = tmp_path / "images"
    file.write_bytes(truth.inputs.tobytes() if is_cnv(network) else to_idx3(truth.inputs))
    alone = [
        write_images(tmp_path / f"{n}", network, truth.images[n : n + 1]) for n in range(len(truth.images))
    ]
    calls = [load(truth.folder), every(file, number_class), every(file, number_class, detail=1)]
    results = well(talk(network, [*calls, *(first(path, number_class) for path in alone)], isa))
    assert results[1][:2] == [truth.classes.tolist(), len(truth.inputs)]
    singles = [found for found, _, _ in results[3:]]
    if truth.scores is not None:
        assert results[2][:2] == [truth.scores.reshape(-1).tolist(), len(truth.inputs)]
        assert singles == truth.scores.argmax(axis=1).tolist()
        for (_, room, _), scores in zip(results[3:], truth.scores.tolist(), strict=True):
            assert room == scores + [-77] * (80 - number_class)
    else:
        assert truth.single_classes is not None
        assert singles == truth.single_classes.tolist()
        assert results[2][0] == truth.classes.tolist(), "detail is not for LFCs"


def test_the_decision_probe(talk: Talk, scratch: Path) -> None:
    """F 10: three classes without a positive score, where the two calls differ."""
    deer, folder = shared("images", "deer.record"), unpack("cifar10-cnvW1A2", scratch)
    results = well(talk("cnvW1A2", [load(f"{folder}/"), first(deer, 3), every(deer, 3)]))
    assert results[1][0] == 2
    assert results[1][1][:4] == [-29, -49, -27, -77]
    assert results[2][0] == [0]


@pytest.mark.parametrize("network", NETWORKS)
def test_random_parameters_and_pictures(network: str, talk: Talk, sound: Path, tmp_path: Path) -> None:
    images = pictures(network, 30, seed=4)
    expected = Reference(network, sound / network).run(images)
    file = write_images(tmp_path / "images", network, images)
    numbers = (1, 7, 64)
    calls = [load(sound / network)]
    for number in numbers:
        calls += [every(file, number), every(file, number, detail=1), first(file, number)]
    results = well(talk(network, calls))[1:]
    for number, (found, detailed, single) in zip(
        numbers, zip(results[::3], results[1::3], results[2::3], strict=True), strict=True
    ):
        assert found[:2] == [classes(expected, number).tolist(), 30]
        assert single[0] == single_classes(expected[:1], number)[0]
        if is_cnv(network):
            assert detailed[:2] == [expected[:, :number].reshape(-1).tolist(), 30]
            assert single[1] == expected[0, :number].tolist() + [-77] * (80 - number)
        else:
            assert detailed[:2] == found[:2]
            assert single[1] == [int(n == single[0]) for n in range(64)] + [-77] * 16, "one-hot, 64 always"
        for microseconds in (found[2], detailed[2], single[2]):
            assert 0 < microseconds < 1e6


@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_nobody_wants(network: str, talk: Talk, sound: Path, tmp_path: Path) -> None:
    images = pictures(network, 3, seed=5)
    file = write_images(tmp_path / "images", network, images)
    expected = Reference(network, sound / network).run(images)
    calls = [load(sound / network), first(file, results=False), every(file, out=False), ("free_null", {})]
    results = well(talk(network, calls))
    assert results[1] == [single_classes(expected[:1], 10)[0], [-77] * 80, -1]
    assert results[2] == [[classes(expected[:1], 10)[0]], -77, -1]


def test_more_records_than_the_original_takes(talk: Talk, sound: Path, tmp_path: Path) -> None:
    images = pictures("cnvW1A1", 50, seed=6)
    expected = Reference("cnvW1A1", sound / "cnvW1A1").run(images)
    file = tmp_path / "images"
    file.write_bytes(to_records(images).tobytes() * 201)
    results = well(talk("cnvW1A1", [load(sound / "cnvW1A1"), every(file)]))
    assert results[1][:2] == [classes(expected, 10).tolist() * 201, 10_050]


@pytest.mark.parametrize("network", NETWORKS)
def test_deinit_any_time(network: str, talk: Talk, sound: Path, tmp_path: Path) -> None:
    file = write_images(tmp_path / "images", network, pictures(network, 4, seed=7))
    calls = [DEINIT, load(sound / network), every(file), DEINIT, DEINIT, every(file), first(file), DEINIT]
    results = well(talk(network, calls))
    assert results[2][:2] == results[5][:2]
    assert results[2][1] == 4


@pytest.mark.parametrize("network", NETWORKS)
def test_before_any_load_all_memories_are_zero(network: str, talk: Talk, tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    random_parameters(network, np.random.default_rng(1), zeros)
    for path in zeros.glob("*.bin"):
        path.write_bytes(b"")
    images = pictures(network, 5, seed=8)
    file = write_images(tmp_path / "images", network, images)
    expected = Reference(network, zeros).run(images)
    before, _, after = well(talk(network, [every(file, 64), load(zeros), every(file, 64)]))
    assert before[0] == after[0] == classes(expected, 64).tolist()


@pytest.mark.parametrize("network", NETWORKS)
def test_short_files_read_as_zeros_and_long_ones_are_cut(
    network: str, talk: Talk, sound: Path, tmp_path: Path
) -> None:
    """As in the original (F 2), in any layer."""
    place = tmp_path / "params"
    shutil.copytree(sound / network, place)
    rng = np.random.default_rng(9)
    for path in sorted(place.glob("*.bin")):
        data = path.read_bytes()
        if rng.random() < 0.3:
            words = rng.integers(0, len(data) // 8)
            path.write_bytes(data[: 8 * words] if rng.random() < 0.7 else data + data[: 8 * words] + b"xyz")
    images = pictures(network, 6, seed=10)
    expected = Reference(network, place).run(images)
    file = write_images(tmp_path / "images", network, images)
    _, found = well(talk(network, [load(place), every(file, 64)]))
    assert found[0] == classes(expected, 64).tolist()


def test_the_last_load_wins(talk: Talk, sound: Path, tmp_path: Path) -> None:
    network = "lfcW1A1"
    other = tmp_path / "other"
    random_parameters(network, np.random.default_rng(11), other, style="unordered")
    images = pictures(network, 30, seed=12)
    file = write_images(tmp_path / "images", network, images)
    one, two = (classes(Reference(network, folder).run(images), 64) for folder in (sound / network, other))
    assert (one != two).any()
    calls = [load(sound / network), every(file, 64), load(other), every(file, 64), load(sound / network)]
    results = well(talk(network, [*calls, every(file, 64)]))
    assert [results[n][0] for n in (1, 3, 5)] == [one.tolist(), two.tolist(), one.tolist()]


# ---- input files


def test_an_incomplete_last_record_is_dropped(talk: Talk, sound: Path, tmp_path: Path) -> None:
    """As in the original: no call of its programs fails that did not fail there."""
    file = write_images(tmp_path / "images", "cnvW1A1", pictures("cnvW1A1", 3, seed=1))
    data = file.read_bytes()
    calls = [load(sound / "cnvW1A1"), every(file)]
    for number, size in enumerate((3073, 3074, 2 * 3073 - 1, 3 * 3073 - 1)):
        part = tmp_path / str(number)
        part.write_bytes(data[:size])
        calls += [every(part), first(part)]
    results = well(talk("cnvW1A1", calls))
    whole = results[1][0]
    assert [found[:2] for found in results[2::2]] == [
        [whole[:1], 1],
        [whole[:1], 1],
        [whole[:1], 1],
        [whole[:2], 2],
    ]
    assert len({found[0] for found in results[3::2]}) == 1


def test_pixels_missing_from_an_idx3_file_are_zero(talk: Talk, sound: Path, tmp_path: Path) -> None:
    """As in the original: the header's count is believed."""
    images = pictures("lfcW1A2", 4, seed=2)
    images[1:] = 200
    file = tmp_path / "images"
    file.write_bytes(to_idx3(images)[: 16 + 784 + 100])
    cut = images.copy()
    cut.reshape(-1)[784 + 100 :] = 0
    expected = Reference("lfcW1A2", sound / "lfcW1A2").run(cut)
    results = well(talk("lfcW1A2", [load(sound / "lfcW1A2"), every(file, 64)]))
    assert results[1][:2] == [classes(expected, 64).tolist(), 4]


def _idx3(magic: int = 0x803, count: int = 1, rows: int = 28, columns: int = 28, nbytes: int = 784) -> bytes:
    header = b"".join(number.to_bytes(4, "big") for number in (magic, count, rows, columns))
    return header + bytes(nbytes)


BAD_FILES = {
    "cnvW1A1": {"empty": b"", "a byte": b"x", "nearly a record": bytes(3072)},
    "lfcW1A1": {
        "empty": b"",
        "part of a header": _idx3()[:15],
        "labels": _idx3(magic=0x801),
        "little-endian": (0x803).to_bytes(4, "little") + _idx3()[4:],
        "no images": _idx3(count=0),
        "other rows": _idx3(rows=27),
        "other columns": _idx3(columns=32),
        "huge rows": _idx3(rows=2**32 - 1, columns=2**32 - 1),
        "negative count": _idx3(count=2**32 - 1),
        "huge count": _idx3(count=2**31 - 1),
    },
}


@pytest.mark.parametrize(("network", "name"), [(n, name) for n in BAD_FILES for name in BAD_FILES[n]])
def test_a_file_that_is_none_is_named(
    network: str, name: str, talk: Talk, sound: Path, tmp_path: Path
) -> None:
    bad, good = tmp_path / "bad file", tmp_path / "good"
    bad.write_bytes(BAD_FILES[network][name])
    write_images(good, network, pictures(network, 2, seed=3))
    calls = [load(sound / network), every(good), every(bad), every(bad, detail=1), first(bad), every(good)]
    answers = talk(network, calls)
    for found, error in answers[2:4]:
        assert found[:2] == [None, 0], "NULL, and no images"
        assert str(bad) in error
    found, error = answers[4]
    assert found[0] == -1
    assert found[1] == [-77] * 80
    assert str(bad) in error
    assert answers[5][0][:2] == answers[1][0][:2], "it keeps going"
    assert answers[5][1] == "", "and the text is that of the last call"


def _no_file(path: Path) -> None:
    del path


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [_no_file, Path.mkdir, _loop], ids=["missing", "folder", "loop"])
@pytest.mark.parametrize("network", ["cnvW2A2", "lfcW1A2"])
def test_a_file_that_cannot_be_read_is_named(
    network: str, make: Callable[[Path], None], talk: Talk, sound: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    make(bad)
    (found, error), (single, single_error) = talk(network, [load(sound / network), every(bad), first(bad)])[
        1:
    ]
    assert found[:2] == [None, 0]
    assert single[0] == -1
    assert str(bad) in error
    assert str(bad) in single_error


@pytest.mark.parametrize("network", NETWORKS)
def test_arguments_out_of_range(network: str, talk: Talk, sound: Path, tmp_path: Path) -> None:
    good = write_images(tmp_path / "good", network, pictures(network, 2, seed=3))
    numbers = (0, -1, 65, 2**31 - 1, -(2**31))
    calls = [load(sound / network), every(None), first(None), every(good)]
    for number in numbers:
        calls += [every(good, number), first(good, number)]
    answers = talk(network, [*calls, every(good)])
    assert answers[1][0][:2] == [None, 0]
    assert answers[2][0][0] == -1
    assert answers[1][1]
    assert answers[2][1]
    for (found, error), (single, single_error) in zip(answers[4:-1:2], answers[5:-1:2], strict=True):
        assert found[:2] == [None, 0]
        assert single[:2] == [-1, [-77] * 80]
        assert "64" in error
        assert "64" in single_error
    assert answers[-1] == (answers[3][0][:2] + answers[-1][0][2:], "")


# ---- parameter folders


@pytest.mark.parametrize("network", ["cnvW1A2", "lfcW1A1"])
def test_a_failed_load_fails_until_one_succeeds(
    network: str, talk: Talk, sound: Path, tmp_path: Path
) -> None:
    good = write_images(tmp_path / "good", network, pictures(network, 2, seed=3))
    incomplete, missing = tmp_path / "incomplete", tmp_path / "missing"
    shutil.copytree(sound / network, incomplete)
    (incomplete / "2-7-weights.bin").unlink()
    calls = [load(sound / network), every(good)]
    for bad in (missing, incomplete, None, good):
        calls += [load(bad), every(good), first(good)]
    answers = talk(network, [*calls, load(sound / network), every(good)])
    names = (str(missing), str(incomplete / "2-7-weights.bin"), "", str(good))
    for start, name in enumerate(names):
        (_, error), (found, found_error), (single, single_error) = answers[2 + 3 * start : 5 + 3 * start]
        assert error
        assert name in error
        assert found[:2] == [None, 0]
        assert single[0] == -1
        assert found_error
        assert single_error
    assert answers[-2] == (None, "")
    assert answers[-1][0][:2] == answers[1][0][:2]


def test_an_instruction_set_that_is_none_is_named(talk: Talk, sound: Path, tmp_path: Path) -> None:
    good = write_images(tmp_path / "good", "cnvW1A1", pictures("cnvW1A1", 2, seed=3))
    for calls in ([every(good)], [load(sound / "cnvW1A1"), first(good)]):
        answers = talk("cnvW1A1", calls, "mmx")
        assert "mmx" in answers[0][1]
        assert answers[-1][0][0] in (None, -1)
        assert answers[-1][1]


# ---- modelled time

# output pixels of each layer (F 5.1)
_CNV_PIXELS = (30**2, 28**2, 12**2, 10**2, 3**2, 1, 1, 1, 1)


def _image_seconds(network: str) -> float:
    """Return the time between images of the pipeline: its slowest layer's cycles at 100 MHz."""
    pixels = _CNV_PIXELS if is_cnv(network) else (1,) * 4
    layers = zip(NETWORKS[network], pixels, strict=True)
    return max(layer.neuron_folds * layer.synapse_folds * count for layer, count in layers) / 100e6


@pytest.mark.parametrize("network", NETWORKS)
def test_modelled_time_per_image_and_per_call(network: str, talk: Talk, sound: Path, tmp_path: Path) -> None:
    per_image = _image_seconds(network)
    sizes = (1, 2, 10, 33, 1)
    files = [
        write_images(tmp_path / str(number), network, pictures(network, size, seed=1))
        for number, size in enumerate(sizes)
    ]
    calls = [SECONDS, load(sound / network), SECONDS]
    for file in files:
        calls += [every(file), SECONDS]
    calls += [every(tmp_path / "missing"), SECONDS, first(files[2]), SECONDS]
    seconds = [
        result
        for (name, _), (result, _) in zip(calls, talk(network, calls), strict=True)
        if name == "seconds"
    ]
    assert seconds[:2] == [0, 0], "loading is no computing"
    spent = np.diff(seconds[1:])
    constant = spent[0] - per_image
    assert 0 < constant < 0.1
    assert spent[: len(sizes)] == pytest.approx([constant + size * per_image for size in sizes])
    assert spent[-2] == 0, "a call that failed"
    assert spent[-1] == pytest.approx(constant + per_image), "inference takes the first image only"


def test_modelled_time_of_the_published_network() -> None:
    """32,768 cycles, 0.3277 ms (the published runs)."""
    assert _image_seconds("cnvW1A1") == pytest.approx(0.32768e-3)


# ---- symbols


def _exported(library: Path) -> set[str]:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm on this machine")
    listed = subprocess.run(
        [nm, "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listed.stdout.splitlines()}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_libraries_export_the_abi_and_nothing_else(network: str) -> None:
    assert _exported(library_of(network)) == ABI | EXTENSIONS


def test_the_engine_exports_its_abi_and_nothing_else() -> None:
    names = _exported(native_file("libaccel_bnn.so"))
    assert all(name.startswith("accel_bnn_") for name in names)
    assert {f"accel_bnn_{verb}" for verb in ("create", "load", "run", "error", "destroy")} <= names


def test_all_five_in_one_process(sound: Path, tmp_path: Path) -> None:
    """A program may load several; each has a state of its own."""
    for network in NETWORKS:
        write_images(tmp_path / network, network, pictures(network, 3, seed=5))
    program = """
import ctypes, json, sys
answers = []
todo = json.loads(sys.argv[1])
libraries = [ctypes.CDLL(path) for path, _, _ in todo]
for library, (_, folder, _) in zip(libraries, todo):
    library.load_parameters(folder.encode())
for library, (_, _, images) in zip(libraries, todo):
    answers.append(library.inference(images.encode(), None, 64, None))
sys.stdout.write(json.dumps(answers))
"""
    todo = [[str(library_of(n)), str(sound / n), str(tmp_path / n)] for n in NETWORKS]
    done = subprocess.run([sys.executable, "-c", program, json.dumps(todo)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    expected = [
        int(single_classes(Reference(n, sound / n).run(pictures(n, 3, seed=5)), 64)[0]) for n in NETWORKS
    ]
    assert json.loads(done.stdout) == expected
