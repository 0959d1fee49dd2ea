"""A platform library that is none, fails, lies or hangs: the error says which call of which library.

The faults are those of a native library behind the real driver (``tests/native/faulty_fletcher.cpp``).
"""

from __future__ import annotations

import pickle
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import accel_sdk as accel
from accel_drivers.fletcher import FletcherKernel, PlatformDriver, Sum, _platform, pyfletcher
from accel_drivers.fletcher._abi import Library
from accel_sdk.ffi import native_file

Arm = Callable[..., Path]
_TABLE = pa.table({"n": pa.array(range(1000))})
_SUM = 499_500


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, compile_cpp: Callable[..., Path]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("faulty")
    source = ["tests/native/faulty_fletcher.cpp", "-shared", "-fPIC", "-O1"]
    return {
        "plain": compile_cpp(folder / "libplain.so", *source),
        "tells": compile_cpp(folder / "libtells.so", "-DTELLS", *source),
        "copies": compile_cpp(folder / "libcopies.so", "-DCOPIES", *source),
        "lacks": compile_cpp(folder / "liblacks.so", "-DLACKS_CACHE", *source),
    }


@pytest.fixture
def arm(libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Arm:
    """Return a function that sets what the library does."""
    monkeypatch.setattr(_platform, "_IDLE", {})

    def set_fault(mode: str, call: str = "", *, which: str = "tells", **settings: object) -> Path:
        monkeypatch.setenv("ACCEL_FLETCHER_LIBRARY", str(libraries[which]))
        monkeypatch.setenv("FAULTY_MODE", mode)
        monkeypatch.setenv("FAULTY_CALL", call)
        for name, value in settings.items():
            monkeypatch.setenv(f"FAULTY_{name.upper()}", str(value))
        return libraries[which]

    return set_fault


@pytest.mark.parametrize("which", ["plain", "tells", "copies"])
def test_any_library_with_the_abi_will_do(arm: Arm, which: str) -> None:
    arm("none", which=which)
    with accel.Runner("sim:*") as runner:
        assert runner.run(Sum(), _TABLE) == _SUM


def test_a_missing_function_is_named(arm: Arm) -> None:
    path = arm("none", which="lacks")
    with pytest.raises(accel.LibraryLoadError, match="lacks platformCacheHostBuffer") as caught:
        accel.open(Sum(), "sim:0")
    assert str(path) in str(caught.value)
    assert caught.value.library == str(path)


def test_files_that_are_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "libtext.so"
    text.write_text("no library")
    for path, problem in (
        (text, "libtext.so"),
        (tmp_path / "none.so", "does not exist"),
        (tmp_path, "directory"),
    ):
        monkeypatch.setenv("ACCEL_FLETCHER_LIBRARY", str(path))
        with pytest.raises(accel.LibraryLoadError, match=problem):
            accel.open(Sum(), "sim:0")


@pytest.mark.parametrize(
    "call",
    ["platformWriteMMIO", "platformReadMMIO", "platformPrepareHostBuffer"],
)
@pytest.mark.parametrize("which", ["plain", "tells"])
def test_a_failed_call_is_named_and_the_next_run_is_right(
    arm: Arm, monkeypatch: pytest.MonkeyPatch, call: str, which: str
) -> None:
    path = arm("fails", call, which=which)
    with accel.open(Sum(), "sim:0") as board:
        with pytest.raises(accel.KernelFaultError) as caught:
            board.run(_TABLE)
        text = str(caught.value)
        assert text.startswith(f"sim:0: {call} returned FLETCHER_STATUS_ERROR (1) in {path}: ")
        assert ("was told to fail" in text) == (which == "tells")
        assert pickle.loads(pickle.dumps(caught.value)).call == call
        monkeypatch.setenv("FAULTY_MODE", "none")
        assert board.run(_TABLE) == _SUM


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (1, accel.KernelFaultError),
        (2, accel.DeviceNotFoundError),
        (3, accel.DeviceMemoryError),
        (2**64 - 1, accel.KernelFaultError),
    ],
)
def test_every_status_has_its_error(arm: Arm, status: int, expected: type[accel.AccelError]) -> None:
    arm("fails", "platformPrepareHostBuffer", status=status)
    with accel.open(Sum(), "sim:0") as board, pytest.raises(expected) as caught:
        board.run(_TABLE)
    assert caught.value.status == status


@pytest.mark.parametrize("call", ["platformInit", "platformGetName"])
def test_a_platform_that_does_not_come_up(arm: Arm, call: str) -> None:
    arm("fails", call)
    with pytest.raises(accel.DeviceError, match=call):
        accel.open(Sum(), "sim:0")


def test_failures_at_the_end_lose_no_result(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    arm("fails", "platformDeviceFree", which="copies")
    with accel.open(Sum(), "sim:0") as board:
        assert board.run(_TABLE) == _SUM
    assert "device memory is lost" in caplog.text
    arm("fails", "platformTerminate")
    with accel.open(Sum(), "sim:0") as board:
        assert board.run(_TABLE) == _SUM


def test_what_was_prepared_is_freed_when_a_run_fails(arm: Arm, tmp_path: Path) -> None:
    log = tmp_path / "log"
    arm("fails", "platformWriteMMIO", which="copies", log=log)
    with accel.open(Sum(), "sim:0") as board, pytest.raises(accel.KernelFaultError):
        board.run(_TABLE)
    calls = log.read_text().split("\n")
    assert sum(line.startswith("prepare") for line in calls) == calls.count("free") == 1


def test_what_is_not_the_drivers_is_not_freed(arm: Arm, tmp_path: Path) -> None:
    log = tmp_path / "log"
    arm("none", log=log)
    with accel.open(Sum(), "sim:0") as board:
        board.run(_TABLE)
    assert "prepare" in log.read_text()
    assert "free" not in log.read_text()


@pytest.mark.parametrize("mode", ["never", "idle"])
def test_a_run_that_never_ends(arm: Arm, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    path = arm(mode)
    with accel.open(Sum(), "sim:0") as board:
        board.timeout_s = 0.05
        with pytest.raises(accel.KernelTimeoutError, match=r"not done within 0.05 s") as caught:
            board.run(_TABLE)
        assert caught.value.library == str(path)
        monkeypatch.setenv("FAULTY_MODE", "none")
        assert board.run(_TABLE) == _SUM, "the platform is set up anew"


def test_other_threads_run_while_a_device_is_waited_for(arm: Arm) -> None:
    arm("never")
    steps = 0
    done = threading.Event()

    def count() -> None:
        nonlocal steps
        while not done.is_set():
            steps += 1

    counter = threading.Thread(target=count)
    with accel.open(Sum(), "sim:0") as board:
        board.timeout_s = 0.2
        counter.start()
        began = time.perf_counter()
        with pytest.raises(accel.KernelTimeoutError):
            board.run(_TABLE)
        done.set()
        counter.join()
    assert time.perf_counter() - began < 30
    assert steps > 1000


def test_a_run_that_ends_with_an_error(arm: Arm) -> None:
    path = arm("blames")
    with accel.open(Sum(), "sim:0") as board, pytest.raises(accel.KernelFaultError) as caught:
        board.run(_TABLE)
    assert "status register 0xd" in str(caught.value)
    assert "the bus answered with an error" in str(caught.value)
    assert caught.value.library == str(path)


def test_pyfletcher_raises_and_waits_no_longer_than_told(arm: Arm) -> None:
    arm("never")
    platform = pyfletcher.Platform("sim")
    platform.init()
    context = pyfletcher.Context(platform)
    context.queue_record_batch(_TABLE.to_batches()[0].cast(pa.schema([pa.field("n", pa.int64(), False)])))
    context.enable()
    kernel = pyfletcher.Kernel(context)
    kernel.timeout_s = 0.05
    kernel.start()
    with pytest.raises(accel.KernelTimeoutError):
        kernel.poll_until_done(1000)
    arm("fails", "platformReadMMIO")
    with pytest.raises(accel.KernelFaultError):
        kernel.poll_until_done()


def test_the_runner_goes_on_without_a_device_that_fails(arm: Arm) -> None:
    arm("fails", "platformPrepareHostBuffer", every=3)
    table = pa.table({"n": pa.array(range(3_000_000))})
    with accel.Runner("sim:*", options=accel.RunnerOptions(retries=9, failures_to_set_aside=9)) as runner:
        assert runner.run(Sum(), table) == 3_000_000 * 2_999_999 // 2
        assert runner.report.retries >= 1


# --- which devices there are ----------------------------------------------------------------------


def _listed() -> dict[str, accel.Kind]:
    return {device.name: device.kind for device in PlatformDriver().devices()}


def test_boards_are_devices_of_their_own(
    libraries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(_listed().values()) == [accel.Kind.SIMULATED] * 2
    board = tmp_path / "libfletcher_aws.so"
    shutil.copy(libraries["copies"], board)
    monkeypatch.setenv("ACCEL_FLETCHER_LIBRARY", str(board))
    monkeypatch.setenv("FAULTY_NAME", "aws")
    assert _listed() == {
        "aws": accel.Kind.HARDWARE,
        "sim:0": accel.Kind.SIMULATED,
        "sim:1": accel.Kind.SIMULATED,
    }
    with accel.open(Sum(), "aws") as first, accel.open(FletcherKernel(), "aws") as second:
        assert first.run(_TABLE) == _SUM
        assert second.stats.device_s is None
    assert pyfletcher.Platform().name() == "aws"
    with accel.open(Sum(), "sim:0") as simulated:
        assert simulated.run(_TABLE) == _SUM
        assert simulated.stats.device_s is not None, "the built-in one"


def test_a_board_is_never_taken_for_a_simulated_device(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    arm("none")
    monkeypatch.setenv("FAULTY_NAME", "aws")
    with pytest.raises(accel.LibraryLoadError, match=r"drives the board 'aws'.*libfletcher_aws\.so"):
        accel.open(Sum(), "sim:0")


def test_libraries_on_the_loaders_path_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libfletcher_oc-accel.so").touch()
    (tmp_path / "libfletcher_echo.so").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert list(_listed()) == ["oc-accel", "echo", "sim:0", "sim:1"]
    assert _listed()["echo"] is accel.Kind.SIMULATED, "it asks the user, so it is used only when named"


def test_a_library_that_is_closed_is_used_again() -> None:
    with accel.open(Sum(), "sim:0") as first, accel.open(Sum(), "sim:0") as second:
        a, b = _library(first), _library(second)
        assert a is not b
    with accel.open(Sum(), "sim:1") as third:
        assert _library(third) in (a, b)
        assert _library(third).device == "sim:1"
        _library(third).simulate("latency_cycles", 5)
        changed = _library(third)
    with accel.open(Sum(), "sim:0") as x, accel.open(Sum(), "sim:0") as y, accel.open(Sum(), "sim:0") as z:
        assert changed not in (_library(x), _library(y), _library(z))


def _library(board: Any) -> Library:
    library: Library = board._platform.library
    return library


def test_the_built_in_library_says_what_it_is() -> None:
    library = Library(native_file("libfletcher_sim.so"), device="sim:0", private=True)
    assert library.name() == "sim"
    assert library.model() in ("rtl", "functional")
    assert not library.simulate("nonsense", 1)
