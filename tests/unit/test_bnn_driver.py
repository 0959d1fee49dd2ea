"""Which devices the family lists, which library it opens for them, and what its errors are."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accel_drivers.bnn import Bnn, LibraryDriver, NativeDriver, _abi, network
from accel_drivers.bnn._abi import Decision, Engine, Layout
from accel_drivers.bnn._driver import library_path
from accel_drivers.bnn._params import open_params
from accel_sdk import DataError, Device, Driver, Kind, Runner
from accel_sdk.errors import (
    AccelError,
    DeviceMemoryError,
    KernelError,
    KernelFaultError,
    LibraryLoadError,
    UnsupportedError,
)
from accel_sdk.ffi import native_file, open_library
from bnn_reference import Reference, classes, random_parameters


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that ``$ACCEL_BNN_LIBRARY_DIR`` names."""
    monkeypatch.setenv("ACCEL_BNN_LIBRARY_DIR", str(tmp_path))
    monkeypatch.delenv("BOARD", raising=False)
    return tmp_path


def _names(driver: LibraryDriver) -> list[str]:
    return [device.name for device in driver.devices()]


def test_simulated_devices_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_SIM_DEVICES", "3")
    assert _names(LibraryDriver()) == ["sim:0", "sim:1", "sim:2"]
    assert {device.platform for device in LibraryDriver().devices()} == {"bnn-pynq"}
    cores = len(os.sched_getaffinity(0))
    assert [device.name for device in NativeDriver().devices()] == [f"cpu:{n}" for n in range(cores)]


def test_a_board_is_there_when_its_libraries_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = LibraryDriver()
    monkeypatch.setenv("BOARD", "Pynq-Z2")
    assert _names(driver) == ["sim:0", "sim:1"]
    _touch(folder, "python_sw-cnvW1A1-pynqZ1-Z2.so")
    assert _names(driver) == ["sim:0", "sim:1"]
    _touch(folder, "python_hw-cnvW1A1-pynqZ1-Z2.so")
    board, *_ = driver.devices()
    assert (board.name, board.kind) == ("Pynq-Z2", Kind.HARDWARE)
    monkeypatch.delenv("BOARD")
    assert _names(driver) == ["sim:0", "sim:1"]


def test_the_built_in_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built_in = native_file("python_sw-lfcW1A2-pynqZ1-Z2.so")
    assert library_path("lfcW1A2", Kind.SIMULATED) == built_in
    _touch(tmp_path, "python_hw-lfcW1A2-pynqZ1-Z2.so")
    monkeypatch.setenv("ACCEL_BNN_LIBRARY_DIR", str(tmp_path))
    assert library_path("lfcW1A2", Kind.SIMULATED) == built_in, "that folder has none for simulated devices"


def test_libraries_in_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(folder, "python_sw-cnvW1A1-x.so", "python_sw-cnvW1A2-x.so", "python_hw-cnvW1A1-y.so", "other.so")
    assert library_path("cnvW1A1", Kind.SIMULATED) == folder / "python_sw-cnvW1A1-x.so"
    assert library_path("cnvW1A1", Kind.HARDWARE) == folder / "python_hw-cnvW1A1-y.so"
    with pytest.raises(LibraryLoadError, match=r"has no python_sw-lfcW1A1-\*\.so"):
        library_path("lfcW1A1", Kind.SIMULATED)
    with pytest.raises(LibraryLoadError, match=r"has no python_hw-cnvW1A2-\*\.so"):
        library_path("cnvW1A2", Kind.HARDWARE)


def test_the_board_says_which_of_several(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["python_hw-cnvW1A1-pynqZ1-Z2.so", "python_hw-cnvW1A1-ultra96.so", "python_hw-cnvW1A1-kria.so"]
    _touch(folder, *names)
    boards = [("Pynq-Z1", 0), ("Pynq-Z2", 0), ("Ultra96", 1), ("Kria", 2)]
    for board, expected in boards:
        monkeypatch.setenv("BOARD", board)
        assert library_path("cnvW1A1", Kind.HARDWARE) == folder / names[expected]
    for unknown in ("", "ZCU104"):
        monkeypatch.setenv("BOARD", unknown)
        with pytest.raises(LibraryLoadError, match=r"has several libraries: .*ultra96\.so; set BOARD"):
            library_path("cnvW1A1", Kind.HARDWARE)


def test_a_folder_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCEL_BNN_LIBRARY_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(LibraryLoadError, match=r"nowhere is no folder \(from ACCEL_BNN_LIBRARY_DIR\)"):
        library_path("cnvW1A1", Kind.SIMULATED)
    monkeypatch.delenv("ACCEL_BNN_LIBRARY_DIR")
    with pytest.raises(LibraryLoadError, match="set ACCEL_BNN_LIBRARY_DIR"):
        library_path("cnvW1A1", Kind.HARDWARE)
    assert _names(LibraryDriver()) == ["sim:0", "sim:1"], "listing never fails"


@pytest.mark.parametrize("driver", [NativeDriver(), LibraryDriver()])
def test_another_kernel(driver: NativeDriver | LibraryDriver) -> None:
    from accel_drivers.gzip import Gzip

    with pytest.raises(UnsupportedError, match=f"{driver.name} cannot run gzip"):
        driver.open(Gzip(), Device("x", Kind.CPU))


def test_listing_devices_is_quick() -> None:
    """Neither numpy, Arrow nor Pillow is imported, and no library opened, to say what there is."""
    code = (
        "import sys; from accel_drivers.bnn import *; LibraryDriver().devices(); NativeDriver().devices();"
        "Bnn('cnvW1A1', 'random'); print(sorted({'numpy', 'pyarrow', 'PIL', 'cffi'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _missing(folder: Path) -> str:
    (folder / "3-7-weights.bin").unlink()
    return "3-7-weights.bin"


def _empty(folder: Path) -> str:
    (folder / "3-7-weights.bin").write_bytes(b"")
    return "3-7-weights.bin"


def _short(folder: Path) -> str:
    os.truncate(folder / "2-3-thres.bin", 56)
    return "2-3-thres.bin has 56 bytes"


def _oversized(folder: Path) -> str:
    os.truncate(folder / "8-0-weights.bin", 65544)
    return "8-0-weights.bin has 65544 bytes"


def _no_classes(folder: Path) -> str:
    (folder / "classes.txt").unlink()
    return "classes.txt is missing"


def _many_classes(folder: Path) -> str:
    (folder / "classes.txt").write_text("x\n" * 65)
    return "names 65 classes"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("driver", "device"), [(NativeDriver(), "cpu:0"), (LibraryDriver(), "sim:0")])
@pytest.mark.parametrize("spoil", [_missing, _empty, _short, _oversized, _no_classes, _many_classes])
def test_wrong_parameters(
    spoil: Callable[[Path], str],
    driver: Driver,
    device: str,
    packed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both drivers say the same of them, and leave nothing behind."""
    params = tmp_path / "params"
    with open_params("random", network("cnvW1A1")) as made:
        shutil.copytree(made.folder, params)
    expected = spoil(params)
    if packed:
        params = Path(shutil.make_archive(str(tmp_path / "set"), "tar", tmp_path, "params"))
    scratch = tmp_path / "scratch"  # of its own: others unpack parameters at the same time
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(DataError) as caught:
        driver.open(Bnn("cnvW1A1", params), next(d for d in driver.devices() if d.name == device))
    assert expected in str(caught.value)
    assert str(params) in str(caught.value)
    assert not list(scratch.iterdir())


def test_nothing_is_left_of_a_program_that_ends_while_parameters_are_unpacked(tmp_path: Path) -> None:
    """Worker threads do not keep a program from ending."""
    code = (
        "import threading, time\n"
        "from accel_drivers.bnn import Bnn, NativeDriver\n"
        "from accel_sdk.device import Device, Kind\n"
        "def work():\n"
        "    while True: NativeDriver().open(Bnn('cnvW1A1', 'random'), Device('cpu:0', Kind.CPU)).close()\n"
        "for _ in range(2): threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep({})\n"
    )
    for seconds in (0.31, 0.37):
        done = subprocess.run(
            [sys.executable, "-c", code.format(seconds)],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_when_the_next_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from accel_drivers.bnn._params import open_params\n"
        "from accel_drivers.bnn import network\n"
        "with open_params('random', network('cnvW1A1')):\n"
        "    print('here', flush=True); input()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"here\n"
        (folder,) = tmp_path.iterdir()
        os.utime(folder, (0, 0))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with open_params("random", network("cnvW1A1")) as made:
            assert folder.is_dir(), "its process lives"
            assert made.folder != folder
        holder.kill()
    assert list(tmp_path.iterdir()) == [folder]
    with open_params("random", network("cnvW1A1")) as made:
        assert list(tmp_path.iterdir()) == [made.folder]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("packed", [False, True])
def test_neurons_that_are_missing_are_told_once(
    packed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params = tmp_path / "params"
    with open_params("random", network("lfcW1A1")) as made:
        shutil.copytree(made.folder, params)
    for pe in range(16):
        os.truncate(params / f"3-{pe}-weights.bin", 3 * 128 * 8)
        os.truncate(params / f"3-{pe}-thres.bin", 3 * 8)
    if packed:
        params = Path(shutil.make_archive(str(tmp_path / "set"), "tar", tmp_path, "params"))
    kernel = Bnn("lfcW1A1", params)
    with caplog.at_level(logging.WARNING):
        (work,) = kernel.plan(np.zeros((28, 28), np.uint8), [1.0])
        for _ in range(2):
            NativeDriver().open(work.kernel, Device("cpu:0", Kind.CPU)).close()
    (record,) = caplog.records
    text = "layer 3 has parameters for 48 of its 64 neurons; the others read as zero"
    assert record.getMessage() == f"{params}: {text}"


# --- statuses -------------------------------------------------------------------------------------

_CLASSES: dict[str, type[AccelError]] = {
    "ACCEL_BNN_BAD_ARGUMENT": DataError,
    "ACCEL_BNN_NO_NETWORK": DataError,
    "ACCEL_BNN_NO_ISA": UnsupportedError,
    "ACCEL_BNN_BAD_PARAMETERS": DataError,
    "ACCEL_BNN_NOT_LOADED": KernelError,
    "ACCEL_BNN_NO_MEMORY": DeviceMemoryError,
}


def _enum(name: str) -> dict[str, int]:
    library = open_library(native_file("libaccel_bnn.so"), ["bnn.abi.h"])
    return {text: number for number, text in library.ffi.typeof(f"enum {name}").elements.items()}


@pytest.mark.parametrize("text", ["", "what the library says"])
def test_every_status_of_the_header_has_its_class(text: str) -> None:
    statuses = _enum("accel_bnn_status")
    assert statuses.pop("ACCEL_BNN_OK") == 0
    assert set(statuses) == set(_CLASSES)
    for name, status in statuses.items():
        error = _abi.engine_error(status, "accel_bnn_run", text, device="cpu:0")
        assert type(error) is _CLASSES[name]
        assert (error.status, error.symbol, error.call, error.device) == (
            status,
            name,
            "accel_bnn_run",
            "cpu:0",
        )
        assert str(error).startswith(f"cpu:0: accel_bnn_run returned {name} ({status}) in ")
        assert text in str(error)
        assert "\n" not in str(error)


def test_a_status_that_the_header_does_not_have() -> None:
    error = _abi.engine_error(-99, "accel_bnn_load", "")
    assert type(error) is KernelFaultError
    assert "returned -99" in str(error)


def test_what_to_do_is_said() -> None:
    statuses = _enum("accel_bnn_status")
    no_network = _abi.engine_error(statuses["ACCEL_BNN_NO_NETWORK"], "accel_bnn_create", "")
    assert str(no_network).endswith("the networks are cnvW1A1, cnvW1A2, cnvW2A2, lfcW1A1, lfcW1A2")
    no_isa = _abi.engine_error(statuses["ACCEL_BNN_NO_ISA"], "accel_bnn_create", "")
    assert "ACCEL_BNN_ISA" in str(no_isa)


@pytest.mark.parametrize(("ours", "prefix"), [(Layout, "accel_bnn_layout"), (Decision, "accel_bnn_decision")])
def test_numbers_are_those_of_the_header(ours: type[Layout] | type[Decision], prefix: str) -> None:
    theirs = {name.removeprefix("ACCEL_BNN_"): number for name, number in _enum(prefix).items()}
    assert {item.name: item.value for item in ours} == theirs


def test_a_library_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _abi._checked_engine_library.cache_clear()
    monkeypatch.setattr(_abi, "ABI_VERSION", 999)
    with pytest.raises(UnsupportedError, match="has version 1 of the ABI, this driver needs 999"):
        Engine("cnvW1A1")


@pytest.mark.parametrize(
    "classes",
    [
        np.empty(2, np.int32),
        np.empty(4, np.int32),
        np.empty(3, np.int64),
        np.empty(3, np.uint32),
        np.empty(6, np.int32)[::2],
    ],
)
def test_results_never_go_beyond_an_array(classes: np.ndarray[tuple[int], np.dtype[np.int32]]) -> None:
    images = bytes(3 * 28 * 28)
    with Engine("lfcW1A1") as engine, pytest.raises(DataError, match="classes must be a writable"):
        engine.run(images, 3, Layout.PIXELS, 10, classes=classes)


def test_results_never_go_into_a_constant() -> None:
    classes = np.empty(3, np.int32)
    classes.flags.writeable = False
    with Engine("lfcW1A1") as engine, pytest.raises(DataError, match="writable"):
        engine.run(bytes(3 * 784), 3, Layout.PIXELS, 10, classes=classes)


def test_images_must_lie_one_after_another() -> None:
    images = np.zeros((6, 28, 28), np.uint8)[::2]
    with Engine("lfcW1A1") as engine, pytest.raises(DataError, match="C-contiguous"):
        engine.run(images.data, 3, Layout.PIXELS, 10)


def test_a_class_without_a_neuron_is_an_error(tmp_path: Path) -> None:
    with open_params("random", network("cnvW1A1")) as made:
        shutil.copytree(made.folder, tmp_path / "set")
    for file in (tmp_path / "set").glob("8-*-weights.bin"):
        file.write_bytes(file.read_bytes()[:4096])  # one of 16 neuron folds: four neurons for ten classes
    for driver, kind in ((NativeDriver(), Kind.CPU), (LibraryDriver(), Kind.SIMULATED)):
        with pytest.raises(DataError, match=r"for 4 neurons of the last layer, but .* names 10 classes"):
            driver.open(Bnn("cnvW1A1", tmp_path / "set"), Device(f"{kind}:0", kind))


def test_parameters_that_change_between_runs_are_loaded_again(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    kernel = Bnn("lfcW1A1", folder)
    digits = np.random.default_rng(1).integers(0, 256, (40, 28, 28), np.uint8)
    with Runner("cpu:0") as runner:
        results = []
        for seed in (1, 2, 1):
            rng = np.random.default_rng(seed)
            shutil.rmtree(folder, ignore_errors=True)
            random_parameters("lfcW1A1", rng, folder, style="plain", number_class=10)
            expected = classes(Reference("lfcW1A1", folder).run(digits), 10)
            results.append(runner.run(kernel, digits)["class_index"].to_pylist())
            assert results[-1] == expected.tolist()
    assert results[0] != results[1]
