"""``accel run bnn``: what users see, and every mistake they can make with networks, parameters and images."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from PIL import Image

from accel_drivers.bnn import network
from accel_drivers.bnn._params import open_params
from bnn_shared import published, shared

Done = subprocess.CompletedProcess[bytes]
Accel = Callable[..., Done]
Fails = Callable[..., str]

CNV = ("--network", "cnvW1A1", "--params", "random")
LFC = ("--network", "lfcW1A1", "--params", "random")


def _records(count: int, labels: Any = 0) -> NDArray[np.uint8]:
    records = np.random.default_rng(count).integers(0, 256, (count, 3073), np.uint8)
    records[:, 0] = labels
    return records


def _idx3(count: int, *, magic: int = 0x803, rows: int = 28) -> bytes:
    header = b"".join(number.to_bytes(4, "big") for number in (magic, count, rows, 28))
    return header + np.random.default_rng(count).integers(0, 256, (count, rows, 28), np.uint8).tobytes()


@pytest.fixture
def folder(folder: Path) -> Path:
    """Return the folder that commands run in, with images of every kind."""
    _records(300, labels=3).tofile(folder / "images.bin")
    (folder / "digits").write_bytes(_idx3(50))
    (folder / "photos").mkdir()
    for level in (0, 90, 255):
        Image.new("RGB", (50, 40), (level, 0, level)).save(folder / "photos" / f"{level:03}.png")
    return folder


def _document(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _indices(done: Done) -> list[int]:
    return [row["class_index"] for row in _document(done)["result"]]


# --- what is there --------------------------------------------------------------------------------


def test_help_names_the_networks(accel: Accel) -> None:
    text = " ".join(accel("run", "bnn", "--help").stdout.decode().split())
    assert "one of cnvW1A1, cnvW1A2, cnvW2A2, lfcW1A1, lfcW1A2" in text
    for option in ("--params", "--detail", "--invert", "--skip-bad", "--sheet", "[multiple|argmax]"):
        assert option in text


def test_cores_and_simulated_boards_can_run_it(accel: Accel) -> None:
    found = json.loads(accel("devices", "--kernel", "bnn", "--json").stdout)
    names = {device["device"] if "device" in device else device["name"] for device in found["devices"]}
    assert {"cpu:0", "sim:0", "sim:1"} <= names


def test_a_few_images(accel: Accel) -> None:
    done = accel("run", "bnn", "photos", *CNV, "-q")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["class_index", "class_name"]
    assert all("class " in line for line in lines[1:4])
    assert lines[4:] == ["images 3"]
    assert done.stderr == b""


def test_every_device_says_the_same(accel: Accel) -> None:
    first, second, third = (
        _document(accel("run", "bnn", "images.bin", *CNV, "--json", "--detail", "-d", device))
        for device in ("cpu:0", "cpu:*", "sim:*")
    )
    assert first["result"] == second["result"] == third["result"]
    assert len(first["result"]) == 300
    assert len(first["result"][0]["scores"]) == 10
    assert first["summary"] == third["summary"]
    assert first["summary"]["labelled"] == first["summary"]["images"] == 300
    assert {row["kind"] for row in third["report"]["devices"]} == {"simulated"}
    assert third["report"]["modelled_rate_per_s"] > 0


def test_files_of_results(accel: Accel, folder: Path) -> None:
    expected = _indices(accel("run", "bnn", "images.bin", *CNV, "--json"))
    for name in ("out.parquet", "out.csv"):
        done = accel("run", "bnn", "images.bin", *CNV, "-o", name, "--detail")
        assert done.returncode == 0, done.stderr
        assert b"accuracy" in done.stdout + done.stderr
    table = pyarrow.parquet.read_table(folder / "out.parquet")
    assert table["class_index"].to_pylist() == expected
    assert str(table.schema.field("scores").type) == "fixed_size_list<element: int32>[10]"
    text = pyarrow.csv.read_csv(folder / "out.csv")
    assert text["class_index"].to_pylist() == expected
    assert text.column_names == ["class_index", "class_name", *(f"scores_{n}" for n in range(10))]


def test_accuracy_of_labelled_input(accel: Accel, folder: Path) -> None:
    indices = np.array(_indices(accel("run", "bnn", "images.bin", *CNV, "--json")))
    labels = indices.copy()
    labels[:75] = (labels[:75] + 1) % 10
    records = _records(300, labels=3)
    records[:, 0] = labels
    records.tofile(folder / "images.bin")
    done = accel("run", "bnn", "images.bin", *CNV, "-q")
    assert done.stdout.decode().splitlines()[-2:] == ["images 300", "accuracy 75.00 % (225 of 300)"]
    document = _document(accel("run", "bnn", "images.bin", *CNV, "--json"))
    assert document["summary"] == {"images": 300, "accuracy": 0.75, "correct": 225, "labelled": 300}


def test_labels_beside_idx3(accel: Accel, folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx3(50)))
    indices = _indices(accel("run", "bnn", "train-images-idx3-ubyte.gz", *LFC, "--json"))
    labels = bytes.fromhex("00000801") + (50).to_bytes(4, "big") + bytes(indices)
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    done = accel("run", "bnn", "train-images-idx3-ubyte.gz", *LFC, "-q")
    assert b"accuracy 100.00 % (50 of 50)" in done.stdout


def test_several_inputs_and_standard_input(accel: Accel, folder: Path) -> None:
    both = _indices(accel("run", "bnn", "images.bin", "photos", "images.bin", *CNV, "--json"))
    first = _indices(accel("run", "bnn", "images.bin", *CNV, "--json"))
    photos = _indices(accel("run", "bnn", "photos", *CNV, "--json"))
    assert both == first + photos + first
    piped = accel("run", "bnn", "-", *CNV, "--json", feed=(folder / "images.bin").read_bytes())
    assert _indices(piped) == first
    assert _indices(accel("run", "bnn", "-", *LFC, "--json", feed=gzip.compress(_idx3(50)))) == _indices(
        accel("run", "bnn", "digits", *LFC, "--json")
    )


def test_no_images_are_a_result(accel: Accel, folder: Path) -> None:
    (folder / "none.bin").touch()
    (folder / "none-idx3").write_bytes(_idx3(0))
    for name, options in (("none.bin", CNV), ("none-idx3", LFC)):
        document = _document(accel("run", "bnn", name, *options, "--json"))
        assert (document["result"], document["summary"]) == ([], {"images": 0})
    assert accel("run", "bnn", "none.bin", *CNV, "-o", "none.csv", "--detail").returncode == 0
    assert (folder / "none.csv").read_text().count("\n") == 1


def test_a_sheet(accel: Accel, folder: Path) -> None:
    done = accel("run", "bnn", "images.bin", "photos", *CNV, "--sheet", "sheet.png", "-q")
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 1000


def test_bad_pictures_are_passed_over_and_named(accel: Accel, folder: Path) -> None:
    (folder / "photos" / "100.png").write_text("this is no picture")
    done = accel("run", "bnn", "photos", *CNV, "--skip-bad", "--sheet", "sheet.png")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[-2] == "images 3"
    assert lines[-1].startswith("skipped: cannot read picture photos/100.png: ")
    assert b"Traceback" not in done.stderr
    document = _document(accel("run", "bnn", "photos", *CNV, "--skip-bad", "--json"))
    assert [row["class_index"] is None for row in document["result"]] == [False, False, True, False]
    assert len(document["summary"]["skipped"]) == 1


def test_benchmark_input_comes_with_it(accel: Accel) -> None:
    done = accel("bench", "bnn", "--network", "lfcW1A1", "--params", "random", "--device", "cpu:0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cpu:0"]["amount"] > 1000


@pytest.mark.parametrize(
    ("network_name", "name", "inputs", "expected"),
    [
        ("cnvW1A1", "cifar10", ["deer.jpg", "deer.record"], [4, 4]),
        ("cnvW1A2", "cifar10", ["deer.jpg"], [4]),
        ("cnvW2A2", "cifar10", ["deer.jpg"], [4]),
        ("cnvW1A1", "streetview", ["6.png", "6.record"], [5, 5]),
        ("cnvW1A1", "road-signs", ["stop.jpg", "stop.record"], [14, 14]),
        ("lfcW1A1", "mnist", ["3.image-idx3-ubyte"], [3]),
        ("lfcW1A2", "mnist", ["3.image-idx3-ubyte"], [3]),
        ("lfcW1A1", "chars_merged", ["3.image-idx3-ubyte"], [34]),
    ],
)
def test_upstream_self_test(
    network_name: str, name: str, inputs: list[str], expected: list[int], accel: Accel
) -> None:
    images = [str(shared("images", file)) for file in inputs]
    options = ["--network", network_name, "--params", name, "--json", "-d", "cpu:0"]
    done = accel("run", "bnn", *images, *options, env={"ACCEL_BNN_PARAMS_DIR": str(shared("params"))})
    assert _indices(done) == expected


def test_published_vectors_from_a_file(accel: Accel, folder: Path) -> None:
    truth = published("road-signs-cnvW1A1", folder / "published")
    truth.inputs.tofile(folder / "vectors.bin")
    archive = str(shared("params", "road-signs-cnvW1A1.tar.xz"))
    for device in ("cpu:*", "sim:0"):
        options = ["--network", "cnvW1A1", "--params", archive, "--detail", "--json", "-d", device]
        rows = _document(accel("run", "bnn", "vectors.bin", *options))["result"]
        assert [row["class_index"] for row in rows] == truth.classes.tolist()
        assert truth.scores is not None
        assert [row["scores"] for row in rows] == truth.scores.tolist()


def test_the_known_short_sets_warn(accel: Accel) -> None:
    archive = str(shared("params", "streetview-cnvW1A1.tar.xz"))
    image = str(shared("images", "6.record"))
    for device in ("cpu:0", "sim:0"):
        done = accel("run", "bnn", image, "--network", "cnvW1A1", "--params", archive, "-q", "-d", device)
        assert done.returncode == 0
        assert b"          5  6 " in done.stdout


# --- mistakes -------------------------------------------------------------------------------------


def test_no_such_network(fails: Fails) -> None:
    text = fails("run", "bnn", "images.bin", "--network", "resnet", "--params", "random")
    assert "no network 'resnet'; the networks are cnvW1A1, cnvW1A2, cnvW2A2, lfcW1A1, lfcW1A2" in text


def test_no_such_decision(misused: Fails, fails: Fails) -> None:
    assert "argmax" in misused("run", "bnn", "images.bin", *CNV, "--decision", "best")
    assert "no scores for decision 'argmax'" in fails("run", "bnn", "digits", *LFC, "--decision", "argmax")


@pytest.mark.parametrize("missing", ["--network", "--params"])
def test_options_that_are_needed(missing: str, misused: Fails) -> None:
    at = CNV.index(missing)
    assert missing in misused("run", "bnn", "images.bin", *CNV[:at], *CNV[at + 2 :])


def test_an_output_of_no_format(fails: Fails) -> None:
    assert ".parquet or .csv" in fails("run", "bnn", "images.bin", *CNV, "-o", "out.xlsx")
    assert "no picture can be written as '.txt'" in fails(
        "run", "bnn", "photos", *CNV, "--sheet", "sheet.txt"
    )


@pytest.fixture
def params(folder: Path) -> Path:
    """Return a folder of sound parameters, outside the folder that commands run in."""
    target = folder.parent / "params"
    target.mkdir()
    with open_params("random", network("cnvW1A1")) as made:
        for file in made.folder.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    return target


def _missing(params: Path) -> str:
    (params / "3-7-weights.bin").unlink()
    return "3-7-weights.bin"


def _empty(params: Path) -> str:
    (params / "3-7-weights.bin").write_bytes(b"")
    return "3-7-weights.bin"


def _short(params: Path) -> str:
    file = params / "2-3-thres.bin"
    file.write_bytes(file.read_bytes()[:-8])
    return "2-3-thres.bin"


def _oversized(params: Path) -> str:
    with (params / "8-0-weights.bin").open("ab") as file:
        file.write(bytes(8))
    return "8-0-weights.bin"


def _no_classes(params: Path) -> str:
    (params / "classes.txt").unlink()
    return "classes.txt is missing"


def _many_classes(params: Path) -> str:
    (params / "classes.txt").write_text("x\n" * 65)
    return "names 65 classes"


def _no_class(params: Path) -> str:
    (params / "classes.txt").write_text("")
    return "names no class"


_SPOILERS = [_missing, _empty, _short, _oversized, _no_classes, _many_classes, _no_class]


@pytest.mark.parametrize("spoil", _SPOILERS)
def test_wrong_parameters(spoil: Callable[[Path], str], params: Path, fails: Fails) -> None:
    expected = spoil(params)
    text = fails("run", "bnn", "images.bin", "--network", "cnvW1A1", "--params", str(params))
    assert expected in text
    assert str(params) in text


def test_sizes_are_said(params: Path, fails: Fails) -> None:
    _short(params)
    text = fails("run", "bnn", "images.bin", "--network", "cnvW1A1", "--params", str(params), "-d", "sim:0")
    assert text.endswith("params/2-3-thres.bin has 56 bytes; cnvW1A1 needs 64\n")


def test_errors_name_the_archive(params: Path, fails: Fails) -> None:
    _missing(params)
    archive = params.parent / "set.tar.xz"
    with tarfile.open(archive, "w:xz", preset=0) as packed:
        packed.add(params, "set")
    text = fails("run", "bnn", "images.bin", "--network", "cnvW1A1", "--params", str(archive))
    assert f"{archive}/set/3-7-weights.bin is missing" in text


def test_parameters_of_another_network(params: Path, fails: Fails) -> None:
    for name, images in (("cnvW2A2", "images.bin"), ("lfcW1A1", "digits")):
        text = fails("run", "bnn", images, "--network", name, "--params", str(params))
        assert text.endswith("the files fit network cnvW1A1\n")


@pytest.mark.parametrize("name", ["nowhere", "no/where", "input", ""])
def test_parameters_that_are_none(name: str, fails: Fails) -> None:
    fails("run", "bnn", "images.bin", "--network", "cnvW1A1", "--params", name)


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("a.bin", bytes(3072), CNV, "a.bin is truncated: record 0, from byte 0 on, has 3072 of 3073 bytes"),
        ("a.bin", bytes(3073 * 5 + 7), CNV, "record 5, from byte 15365 on, has 7 of 3073 bytes"),
        ("a.txt", b"hello", CNV, "a.txt is no picture, and its 5 bytes are no whole number"),
        ("a-idx3", _idx3(3, magic=0x801), LFC, "begins with 0x00000801, not 0x00000803"),
        ("a-idx3", _idx3(3, rows=27), LFC, "images of 27 x 28 pixels, not 28 x 28"),
        ("a-idx3", _idx3(3)[:-1], LFC, "is truncated: it ends at byte 2367, in image 2 of 3"),
        ("a-idx3", _idx3(3) + b"x", LFC, "bytes behind its 3 images, from byte 2368 on"),
        ("a-idx3.gz", gzip.compress(_idx3(3), mtime=0)[:-50], LFC, "a-idx3.gz is truncated"),
        ("a-idx3.gz", b"\x1f\x8b" + bytes(100), LFC, "a-idx3.gz"),
        ("a.bin", bytes(3073), LFC, "neither an idx3 file nor a picture; CIFAR-10 records are for the CNV"),
        ("a.png", b"", CNV, "cannot read picture a.png"),
        ("a.jpg", b"\xff\xd8\xff" + bytes(50), LFC, "cannot read picture a.jpg"),
        ("missing", None, CNV, "cannot read missing: No such file"),
    ],
)
def test_wrong_images(
    name: str, content: bytes | None, options: tuple[str, ...], expected: str, folder: Path, fails: Fails
) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    assert expected in fails("run", "bnn", name, *options, "-o", "out.csv")


def test_one_bad_picture_among_many(folder: Path, fails: Fails) -> None:
    for number in range(30):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / "photos" / f"x{number}.png")
    (folder / "photos" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    text = fails("run", "bnn", "photos", *CNV, "-o", "out.parquet", "--sheet", "sheet.png")
    assert "cannot read picture photos/bad.png" in text


def test_an_empty_folder_of_pictures(folder: Path, fails: Fails) -> None:
    (folder / "empty").mkdir()
    assert "empty holds no picture" in fails("run", "bnn", "empty", *CNV)


@pytest.mark.parametrize("feed", [b"x" * 3074, b"x"])
def test_wrong_standard_input(feed: bytes, fails: Fails) -> None:
    assert "is truncated: record" in fails("run", "bnn", "-", *CNV, feed=feed)
    assert "no idx3 file" in fails("run", "bnn", "-", *LFC, feed=feed)


def test_an_instruction_set_that_is_none(fails: Fails) -> None:
    text = fails("run", "bnn", "images.bin", *CNV, "-d", "cpu:0", env={"ACCEL_BNN_ISA": "mmx"})
    assert "mmx" in text
    assert "portable" in text


def test_libraries_that_are_nowhere(fails: Fails) -> None:
    text = fails("run", "bnn", "images.bin", *CNV, "-d", "sim:0", env={"ACCEL_BNN_LIBRARY_DIR": "/nowhere"})
    assert "/nowhere is no folder (from ACCEL_BNN_LIBRARY_DIR)" in text
