"""Parameters: packed as FORMAT.md says (unpacked here slowly and plainly), found, unpacked, checked."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_drivers.bnn import Layer, Network, _archive, _params, network, write_parameters
from accel_drivers.bnn._networks import NAMES
from accel_drivers.bnn._params import open_params
from accel_sdk import DataError
from accel_sdk.errors import ShapeError
from bnn_reference import NETWORKS, read_thresholds, read_weights
from bnn_shared import unpack

_LAYER = Layer(
    kernel=1,
    input_dim=1,
    input_channels=1,
    output_dim=1,
    rows=1,
    columns=1,
    pool=1,
    simd=1,
    pe=1,
    input_bits=1,
    weight_bits=1,
    thresholds=1,
)


@st.composite
def _layers(draw: st.DrawFn) -> Layer:
    """Draw any small layer; every lane width that a 64-bit word holds."""
    weight_bits = draw(st.sampled_from([1, 2]))
    simd = draw(st.integers(1, 64 // weight_bits))
    pe = draw(st.integers(1, 5))
    return replace(
        _LAYER,
        simd=simd,
        pe=pe,
        rows=pe * draw(st.integers(1, 4)),
        columns=simd * draw(st.integers(1, 4)),
        weight_bits=weight_bits,
        thresholds=draw(st.sampled_from([1, 2])),
    )


@given(_layers(), st.integers(0, 2**32 - 1))
def test_weights_are_packed_as_published(layer: Layer, seed: int) -> None:
    values = [-1, 1] if layer.weight_bits == 1 else [-1, 0, 1]
    weights = np.random.default_rng(seed).choice(values, (layer.rows, layer.columns)).astype(np.int8)
    words = _params.packed_weights(layer, weights)
    assert words.shape == (layer.pe, layer.weight_words)
    decode = {0: -1, 1: 1} if layer.weight_bits == 1 else {0: 0, 1: 1, 3: -1}
    for row in range(layer.rows):
        for column in range(layer.columns):
            fold, pe = divmod(row, layer.pe)
            place, lane = divmod(column, layer.simd)
            word = int(words[pe, fold * (layer.columns // layer.simd) + place])
            code = word >> (lane * layer.weight_bits) & (2**layer.weight_bits - 1)
            assert decode[code] == weights[row, column]
    used = layer.simd * layer.weight_bits
    assert all(int(word) >> used == 0 for word in words.flat)


@given(_layers(), st.data())
def test_thresholds_are_packed_as_published(layer: Layer, data: st.DataObject) -> None:
    numbers = st.integers(-(2**63), 2**63 - 1)
    row = st.lists(numbers, min_size=layer.thresholds, max_size=layer.thresholds)
    rows = data.draw(st.lists(row, min_size=layer.rows, max_size=layer.rows))
    words = _params.packed_thresholds(layer, np.array(rows, np.int64))
    assert words.shape == (layer.pe, layer.threshold_words)
    for neuron, expected in enumerate(rows):
        fold, pe = divmod(neuron, layer.pe)
        for number, value in enumerate(expected):
            word = int(words[pe, fold * layer.thresholds + number])
            assert (word - 2**64 if word >= 2**63 else word) == value


def _random(of: Network, seed: int) -> tuple[list[NDArray[np.int8]], list[NDArray[np.int64]]]:
    rng = np.random.default_rng(seed)
    weights = [
        rng.choice([-1, 1] if layer.weight_bits == 1 else [-1, 0, 1], (layer.rows, layer.columns))
        for layer in of.layers
    ]
    thresholds = [
        rng.integers(-3000, 3000, (layer.rows, layer.thresholds)) for layer in of.layers if layer.thresholds
    ]
    return [array.astype(np.int8) for array in weights], thresholds


@pytest.mark.parametrize("name", NAMES)
def test_files_of_whole_networks_are_read_by_the_reference_model(name: str, tmp_path: Path) -> None:
    weights, thresholds = _random(network(name), 1)
    write_parameters(tmp_path / "new" / "folder", name, weights, thresholds, ["a", "b c"])
    folder = tmp_path / "new" / "folder"
    for number, layer in enumerate(NETWORKS[name]):
        assert np.array_equal(read_weights(folder, number, layer), weights[number])
        if layer.thresholds:
            assert np.array_equal(read_thresholds(folder, number, layer), thresholds[number])
    assert (folder / "classes.txt").read_bytes() == b"a\nb c\n"
    assert _params.check_sizes(folder, network(name)) == []


def test_writing_refuses_what_is_none(tmp_path: Path) -> None:
    of = network("lfcW1A2")
    weights, thresholds = _random(of, 2)
    with pytest.raises(ShapeError, match="weights must be given for 4 layers, not 3"):
        write_parameters(tmp_path, of, weights[:3], thresholds)
    with pytest.raises(ShapeError, match="thresholds must be given for 4 layers, not 0"):
        write_parameters(tmp_path, of, weights, [])
    with pytest.raises(ShapeError, match=r"shape \(1024, 832\), not int8 of \(832, 1024\)"):
        write_parameters(tmp_path, of, [weights[0].T, *weights[1:]], thresholds)
    with pytest.raises(ShapeError, match="float64"):
        write_parameters(tmp_path, of, [weights[0].astype(float), *weights[1:]], thresholds)
    with pytest.raises(ShapeError, match="thresholds"):
        write_parameters(tmp_path, of, weights, [array[:, :1] for array in thresholds[:3]] + thresholds[3:])
    with pytest.raises(DataError, match="1 bit must be -1 or 1"):
        write_parameters(tmp_path, of, [weights[0] * 0, *weights[1:]], thresholds)
    with pytest.raises(DataError, match="65 class names"):
        write_parameters(tmp_path, of, weights, thresholds, ["x"] * 65)
    with pytest.raises(DataError, match="no network 'vgg'; the networks are cnvW1A1"):
        write_parameters(tmp_path, "vgg", weights, thresholds)
    two_bits = network("cnvW2A2")
    weights, thresholds = _random(two_bits, 3)
    with pytest.raises(DataError, match="2 bit must be -1 or 0 or 1"):
        write_parameters(tmp_path, two_bits, [*weights[:-1], weights[-1] * 2], thresholds)


# --- class names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b"cat\r\ndog", ("cat", "dog")),
        (b"1\n\n2\n", ("1", "", "2")),
        (b"1\n2\n\n", ("1", "2", "")),
        (b"  a b \t\nc", ("a b", "c")),
        (b"\xef\xbb\xbfone\ntwo", ("one", "two")),
        ("Füße\n".encode(), ("Füße",)),
        (b"F\xfc\n", ("F\ufffd",)),
        (b"a\x0cb\x1cc\n", ("a\x0cb\x1cc",)),
    ],
)
def test_class_names(content: bytes, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    assert _params.read_class_names(tmp_path / "classes.txt") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "classes.txt is missing; write one class name on each line"),
        (b"", "names no class"),
        (b"\n \r\n", "names no class"),
        (b"x\n" * 65, "names 65 classes; the networks have 64 outputs"),
    ],
)
def test_wrong_class_names(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        _params.read_class_names(tmp_path / "classes.txt")
    assert str(tmp_path / "classes.txt") in str(caught.value)


def test_64_classes_are_not_too_many(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"x\n" * 64)
    assert len(_params.read_class_names(tmp_path / "classes.txt")) == 64


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").mkdir()
    with pytest.raises(DataError, match="cannot read"):
        _params.read_class_names(tmp_path / "classes.txt")


# --- finding and unpacking ------------------------------------------------------------------------

_OF = network("lfcW1A1")
_FILES = {"0-0-weights.bin": b"\x01" * 8, "0-0-thres.bin": b"\x02" * 16, "classes.txt": b"a\nb\n"}


def _fill(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _FILES.items():
        (folder / name).write_bytes(content)
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _pack(folder: Path, target: Path, inside: str) -> Path:
    """Pack a folder's files under the folder `inside` of an archive."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in folder.iterdir():
                zipped.write(path, f"{inside}{path.name}")
    else:
        mode = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2"}.get(target.suffix, "w:xz")
        with tarfile.open(target, mode) as tar:  # type: ignore[call-overload]
            for path in folder.iterdir():
                tar.add(path, f"{inside}{path.name}")
    return target


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where temporary folders are made; it is empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize("depth", ["", "inner", "two words"])
def test_a_folder(depth: str, tmp_path: Path, temporary: Path) -> None:
    _fill(tmp_path / "set" / depth)
    (tmp_path / "set" / "other").mkdir()
    with open_params(tmp_path / "set", _OF) as parameters:
        assert parameters.class_names == ("a", "b")
        assert parameters.folder == (tmp_path / "set" / depth)
        assert not list(temporary.iterdir()), "nothing is copied"


@pytest.mark.parametrize("inside", ["", "./", "set/", "./set/"])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".unknown"])
def test_an_archive(suffix: str, inside: str, tmp_path: Path, temporary: Path) -> None:
    archive = _pack(_fill(tmp_path / "files"), tmp_path / f"set{suffix}", inside)
    for form in (archive, str(archive)):
        with open_params(form, _OF) as parameters:
            assert _contents(parameters.folder) == _FILES
            assert parameters.class_names == ("a", "b")
            assert parameters.origin == archive
        assert not list(temporary.iterdir()), "nothing of it is left"


def test_errors_within_the_block_name_the_archive(tmp_path: Path, temporary: Path) -> None:
    archive = _pack(_fill(tmp_path / "files"), tmp_path / "set.zip", "set/")
    with (
        pytest.raises(DataError) as caught,
        open_params(archive, _OF) as parameters,
    ):
        raise DataError(f"{parameters.folder}/0-0-weights.bin has 8 bytes")
    assert str(caught.value) == f"{archive}/set/0-0-weights.bin has 8 bytes"
    assert not list(temporary.iterdir())


def test_installed_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, data = tmp_path / "first", tmp_path / "second", tmp_path / "data"
    monkeypatch.setenv("ACCEL_BNN_PARAMS_DIR", f"{first}:{second}:")
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    home = _fill(data / "accel-sdk" / "bnn" / "mnist-lfcW1A1")
    assert _params.locate("mnist", "lfcW1A1") == home
    assert _params.locate("mnist-lfcW1A1", "lfcW1A1") == home
    with pytest.raises(DataError, match="no parameters 'mnist' for lfcW1A2") as caught:
        _params.locate("mnist", "lfcW1A2")
    assert str(second) in str(caught.value)
    second.mkdir()
    archive = _pack(home, second / "mnist.tar.xz", "")
    assert _params.locate("mnist", "lfcW1A1") == archive
    assert _params.locate("mnist", "lfcW1A1") == _params.locate("mnist", "lfcW1A2")
    nearer = _fill(first / "mnist")
    assert _params.locate("mnist", "lfcW1A1") == nearer
    monkeypatch.chdir(tmp_path)
    here = _fill(tmp_path / "mnist")
    assert _params.locate("mnist", "lfcW1A1") == here, "a path that exists is that path"


def test_installed_sets_in_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = _fill(tmp_path / ".local" / "share" / "accel-sdk" / "bnn" / "chars")
    assert _params.locate("chars", "lfcW1A1") == folder


@pytest.mark.parametrize("params", ["", "no/such/path", Path("nowhere"), Path("random")])
def test_parameters_that_are_nowhere(params: str | Path) -> None:
    with pytest.raises(DataError, match="do not exist"), open_params(params, _OF):
        pass


def _broken_link(folder: Path) -> None:
    (folder / "set").symlink_to("nothing")


def _no_files(folder: Path) -> None:
    (folder / "set" / "deep" / "deeper").mkdir(parents=True)
    (folder / "set" / "deep" / "deeper" / "0-0-weights.bin").touch()


def _two_sets(folder: Path) -> None:
    _fill(folder / "set" / "one")
    _fill(folder / "set" / "two")


def _no_classes(folder: Path) -> None:
    (_fill(folder / "set") / "classes.txt").unlink()


def _text(folder: Path) -> None:
    (folder / "set").write_text("no archive at all")


def _empty(folder: Path) -> None:
    (folder / "set").touch()


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "set")


def _cut_archive(folder: Path) -> None:
    packed = _pack(_fill(folder / "files"), folder / "all.tar.xz", "").read_bytes()
    (folder / "set").write_bytes(packed[: len(packed) // 2])


def _archive_without_classes(folder: Path) -> None:
    files = _fill(folder / "files")
    (files / "classes.txt").unlink()
    _pack(files, folder / "all.zip", "x/").rename(folder / "set")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_broken_link, "neither a folder nor a file"),
        (_no_files, "holds no parameter files; they are called <layer>-<pe>-weights.bin"),
        (_two_sets, "holds several parameter sets: one, two; name one of them"),
        (_no_classes, "classes.txt is missing"),
        (_text, "cannot unpack"),
        (_empty, "cannot unpack"),
        (_pipe, "neither a folder nor a file"),
        (_cut_archive, "cannot unpack"),
        (_archive_without_classes, "x/classes.txt is missing"),
    ],
)
def test_sets_that_are_none(
    make: Callable[[Path], None], message: str, tmp_path: Path, temporary: Path
) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=message) as caught, open_params(tmp_path / "set", _OF):
        pass
    assert str(tmp_path / "set") in str(caught.value)
    assert "temporary" not in str(caught.value).replace(str(tmp_path / "set"), "")
    assert not list(temporary.iterdir())


# --- archives that mean harm ----------------------------------------------------------------------


def _tar_of(target: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(target, "w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "member",
    [
        _member("../outside.bin"),
        _member("set/../../outside.bin"),
        _member("/outside.bin"),
        _member("link.bin", tarfile.SYMTYPE, "/etc/hostname"),
        _member("link.bin", tarfile.SYMTYPE, "0-0-weights.bin"),
        _member("link.bin", tarfile.LNKTYPE, "0-0-weights.bin"),
        _member("device.bin", tarfile.CHRTYPE),
        _member("pipe.bin", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}:{member.type!r}",
)
def test_hostile_tar_archives(member: tarfile.TarInfo, tmp_path: Path) -> None:
    good = (_member("0-0-weights.bin"), b"12345678")
    archive = _tar_of(tmp_path / "set.tar", good, (member, b""))
    folder = tmp_path / "in" / "to"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="is not to be trusted: its member"):
        _archive.unpack(archive, folder)
    assert {path.name for path in folder.parent.rglob("*")} == {"to", "0-0-weights.bin"}
    assert not (tmp_path / "outside.bin").exists()


def test_modes_and_owners_of_members_are_not_used(tmp_path: Path) -> None:
    member = _member("0-0-weights.bin")
    member.mode, member.uid, member.gid = 0o6777, 12345, 12345
    (tmp_path / "to").mkdir()
    _archive.unpack(_tar_of(tmp_path / "set.tar", (member, b"x")), tmp_path / "to")
    status = (tmp_path / "to" / "0-0-weights.bin").stat()
    assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111)
    assert status.st_uid == os.getuid()


@pytest.mark.parametrize("name", ["../outside.bin", "/outside.bin", "a/../../outside.bin", "..\\outside.bin"])
def test_hostile_zip_archives(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo(name), b"x")
    (tmp_path / "to").mkdir()
    with pytest.raises(DataError, match="leads out of it"):
        _archive.unpack(tmp_path / "set.zip", tmp_path / "to")
    assert not list((tmp_path / "to").iterdir())


def test_links_in_zip_archives(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.bin")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as zipped:
        zipped.writestr(info, "/etc/hostname")
    (tmp_path / "to").mkdir()
    with pytest.raises(DataError, match="is no regular file"):
        _archive.unpack(tmp_path / "set.zip", tmp_path / "to")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_archives_that_would_fill_the_disk(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(3):
        (files / f"0-{number}-weights.bin").write_bytes(bytes(1 << 20))
    archive = _pack(files, tmp_path / f"set{suffix}", "")
    assert archive.stat().st_size < 100_000
    for limit, value, message in [
        ("_MOST_FILE_BYTES", (1 << 20) - 1, "is larger than"),
        ("_MOST_BYTES", 2 << 20, "holds more than 2 MiB"),
        ("_MOST_FILES", 2, "more than 2 files"),
    ]:
        target = tmp_path / limit
        target.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(_archive, limit, value)
            with pytest.raises(DataError, match=message):
                _archive.unpack(archive, target)
    (tmp_path / "all").mkdir()
    _archive.unpack(archive, tmp_path / "all")
    assert _contents(tmp_path / "all") == _contents(files)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("packed")
    files = _fill(folder / "files")
    names = ["set.tar", "set.tar.gz", "set.tar.xz", "set.zip"]
    return {name: _pack(files, folder / name, "set/").read_bytes() for name in names}


@given(
    st.sampled_from(["set.tar", "set.tar.gz", "set.tar.xz", "set.zip"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_damaged_archives_are_errors_or_harmless(
    packed: dict[str, bytes], scratch: Path, name: str, changes: list[tuple[float, int]], keep: float
) -> None:
    content = bytearray(packed[name])
    for place, value in changes:
        content[int(place * len(content))] = value
    (scratch / name).write_bytes(content[: max(1, int(keep * len(content)))])
    outside = set(scratch.iterdir())
    said = _what_is_wrong(scratch / name)
    assert said is None or name in said
    assert set(scratch.iterdir()) == outside


def _what_is_wrong(archive: Path) -> str | None:
    try:
        with open_params(archive, _OF) as parameters:
            return None if parameters.class_names else "no names"
    except DataError as error:
        return str(error)


# --- the built-in set -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_random_parameters_are_the_same_every_time(name: str, temporary: Path) -> None:
    found = []
    for _ in range(2):
        with open_params("random", network(name)) as parameters:
            assert parameters.class_names == tuple(f"class {n}" for n in range(10))
            assert _params.check_sizes(parameters.folder, network(name)) == []
            found.append(_contents(parameters.folder))
        assert not list(temporary.iterdir())
    assert found[0] == found[1]


# --- sizes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nominal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a folder with empty-looking files of the right sizes, from the tables."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        for number, layer in enumerate(NETWORKS[name]):
            for pe in range(layer.pe):
                words = layer.neuron_folds * layer.synapse_folds
                _sized(folder / f"{number}-{pe}-weights.bin", words * 8)
                if layer.thresholds:
                    _sized(folder / f"{number}-{pe}-thres.bin", layer.neuron_folds * layer.thresholds * 8)
        return folder

    return make


def _sized(file: Path, nbytes: int) -> None:
    file.touch()
    os.truncate(file, nbytes)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_as_they_should_be(name: str, nominal: Callable[[str], Path]) -> None:
    folder = nominal(name)
    _sized(folder / "8-0-thres.bin", 24)  # as one published set has; no network reads it
    assert _params.check_sizes(folder, network(name)) == []


@pytest.mark.parametrize("name", ["cnvW2A2", "lfcW1A1"])
def test_any_missing_or_resized_file_is_named(name: str, nominal: Callable[[str], Path]) -> None:
    folder = nominal(name)
    for file in sorted(folder.glob("*-[03]-*.bin")):
        right = file.stat().st_size
        for wrong in (0, right - 8, right + 8, right - 1):
            _sized(file, wrong)
            with pytest.raises(DataError) as caught:
                _params.check_sizes(folder, network(name))
            assert f"{file.parent}{os.sep}" in str(caught.value)
            assert "needs" in str(caught.value)
        file.unlink()
        with pytest.raises(DataError, match=rf"{file.name} is missing; {name} needs it \({right} bytes\)"):
            _params.check_sizes(folder, network(name))
        _sized(file, right)
    assert _params.check_sizes(folder, network(name)) == []


def test_the_error_says_expected_and_found(nominal: Callable[[str], Path]) -> None:
    folder = nominal("lfcW1A2")
    _sized(folder / "1-7-thres.bin", 100)
    with pytest.raises(DataError) as caught:
        _params.check_sizes(folder, network("lfcW1A2"))
    assert str(caught.value) == f"{folder / '1-7-thres.bin'} has 100 bytes; lfcW1A2 needs 256"


@pytest.mark.parametrize(
    ("name", "other"), [("cnvW1A1", "cnvW1A2"), ("lfcW1A1", "lfcW1A2"), ("cnvW2A2", "lfcW1A1")]
)
def test_parameters_of_another_network(name: str, other: str, nominal: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match=f"{name} needs .*; the files fit network {other}$"):
        _params.check_sizes(nominal(other), network(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folds", [1, 3])
def test_a_short_last_layer_is_a_warning(name: str, folds: int, nominal: Callable[[str], Path]) -> None:
    folder = nominal(name)
    number, layer = len(NETWORKS[name]) - 1, NETWORKS[name][-1]
    for pe in range(layer.pe):
        _sized(folder / f"{number}-{pe}-weights.bin", folds * layer.synapse_folds * 8)
        if layer.thresholds:
            _sized(folder / f"{number}-{pe}-thres.bin", folds * layer.thresholds * 8)
    (warning,) = _params.check_sizes(folder, network(name))
    assert f"layer {number} has parameters for {folds * layer.pe} of its 64 neurons" in warning
    _sized(folder / f"{number}-0-weights.bin", (folds + 1) * layer.synapse_folds * 8)
    with pytest.raises(DataError, match=f"{number}-0|{number}-1"):
        _params.check_sizes(folder, network(name))


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("cifar10-cnvW1A1", None),
        ("mnist-lfcW1A2", None),
        ("streetview-cnvW1A1", "layer 8 has parameters for 12 of its 64 neurons"),
        ("chars_merged-lfcW1A1", "layer 3 has parameters for 48 of its 64 neurons"),
    ],
)
def test_published_sets(name: str, warning: str | None, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path)
    found = _params.check_sizes(folder, network(name.rpartition("-")[2]))
    assert len(found) == (warning is not None)
    assert warning is None or warning in found[0]


def test_published_class_names(tmp_path: Path) -> None:
    names = _params.read_class_names(unpack("streetview-cnvW1A1", tmp_path) / "classes.txt")
    assert (len(names), names.count("")) == (11, 1)
    signs = _params.read_class_names(unpack("road-signs-cnvW1A1", tmp_path) / "classes.txt")
    assert (len(signs), signs[14], signs[43]) == (44, "Stop", "Not a roadsign")
