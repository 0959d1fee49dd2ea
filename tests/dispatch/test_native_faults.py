"""A board fails, lies, hangs or ends its process: the result is right all the same, and the report names it.

The faults are those of a native library behind the real driver (``tests/native/faulty_xfzlib.cpp``).
"""

from __future__ import annotations

import base64
import gzip
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import accel_sdk as accel
from accel_drivers.gzip import Gunzip, Gzip
from accel_sdk.ffi import native_file
from patience import settles

Arm = Callable[..., None]
_DATA = base64.encodebytes(random.Random(1).randbytes(15 << 20))  # 20 MB: half a dozen chunks


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, compile_cpp: Callable[..., Path]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("faulty")
    source = ["tests/native/faulty_xfzlib.cpp", "-shared", "-fPIC", "-O1", "-ldl"]
    return {
        "buffer": compile_cpp(folder / "libbuffer.so", "-DWITH_BUFFER_CALL", *source),
        "file": compile_cpp(folder / "libfile.so", *source),
        "fork": compile_cpp(
            folder / "libfork.so", "-DxfZlib_destructor_wrapper=DeleteInstanceOfClass", *source
        ),
        "leaky": compile_cpp(folder / "libleaky.so", "-DxfZlib_destructor_wrapper=nothing", *source),
    }


@pytest.fixture
def arm(libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Arm]:
    """Yield a function that sets what the library does; check afterwards that no process is left."""

    def set_fault(mode: str, *, calls: str = "all", device: int | None = None, call: str = "buffer") -> None:
        monkeypatch.setenv("ACCEL_GZIP_LIBRARY", str(libraries[call]))
        monkeypatch.setenv("FAULTY_REAL", str(native_file("libxfzlib_sim.so")))
        monkeypatch.setenv("FAULTY_MODE", mode)
        monkeypatch.setenv("FAULTY_CALLS", calls)
        if device is not None:
            monkeypatch.setenv("FAULTY_DEVICE", str(device))

    before = _children()
    yield set_fault
    assert settles(lambda: _children() <= before)  # a device that was set aside ends by itself


def _children() -> set[str]:
    """Return the ids of this process's children, as the kernel knows them."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that ended meanwhile
            found.update((task / "children").read_text().split())
    return found


def _compress(data: bytes = _DATA, **options: float) -> accel.Report:
    """Compress on both simulated boards, check the result with Python's gzip, return the report."""
    with accel.Runner("sim:*", options=accel.RunnerOptions(**options)) as runner:  # type: ignore[arg-type]
        assert gzip.decompress(runner.run(Gzip(), data)) == data
        return runner.report


def _rows(report: accel.Report) -> dict[str, accel.DeviceReport]:
    return {row.device: row for row in report.devices}


@pytest.mark.parametrize("mode", ["fail", "null", "huge", "flip"])
def test_every_third_call_goes_wrong(arm: Arm, mode: str) -> None:
    arm(mode, calls="3")
    report = _compress(retries=5)
    assert report.retries >= 1
    assert report.total.failures == report.retries
    assert not any(row.set_aside for row in report.devices), "never three in a row"


@pytest.mark.parametrize("mode", ["fail", "huge"])
def test_the_file_calls_are_checked_too(arm: Arm, mode: str) -> None:
    arm(mode, calls="3", call="file")
    report = _compress(retries=5)
    assert report.total.failures >= 1


@pytest.mark.parametrize("mode", ["fail", "abort", "exit"])
def test_a_device_that_always_fails_is_set_aside_and_named(arm: Arm, mode: str) -> None:
    arm(mode, device=0)
    rows = _rows(_compress(_DATA * 4, retries=5))  # enough chunks for three failures
    assert rows["sim:0"].set_aside
    assert rows["sim:0"].stats.chunks == 0
    assert rows["sim:0"].stats.failures == 3
    assert not rows["sim:1"].set_aside
    assert rows["sim:1"].stats.amount == len(_DATA) * 4
    if mode == "abort":
        assert "SIGABRT" in rows["sim:0"].set_aside
        assert "about to give up" in rows["sim:0"].set_aside, "the library's last words"
    if mode == "exit":
        assert "exit status 3" in rows["sim:0"].set_aside


def test_a_call_that_hangs_is_ended_and_its_chunk_run_elsewhere(arm: Arm) -> None:
    arm("hang", device=1)
    report = _compress(chunk_timeout_s=0.7, failures_to_set_aside=1)
    rows = _rows(report)
    assert "did not" in rows["sim:1"].set_aside or "no answer" in rows["sim:1"].set_aside
    assert rows["sim:0"].stats.amount == len(_DATA)
    assert report.retries >= 1


def test_when_no_device_is_left_the_error_says_what_each_one_said(arm: Arm) -> None:
    arm("fail")
    with pytest.raises(accel.NoDeviceLeftError) as caught:
        _compress(retries=50)
    text = str(caught.value)
    assert "sim:0" in text
    assert "sim:1" in text
    assert "compress_buffer_wrapper returned NULL" in text
    assert set(caught.value.errors) == {"sim:0", "sim:1"}


def test_a_chunk_that_fails_everywhere_ends_the_run(arm: Arm) -> None:
    arm("fail")
    with pytest.raises(accel.KernelFaultError, match=r"chunk \d+ failed on sim:\d, sim:\d"):
        _compress(retries=1)


def test_decompression_recovers_as_well(arm: Arm) -> None:
    arm("fail", calls="3")
    with accel.Runner("cpu:0") as plain:
        packed = plain.run(Gzip(), _DATA)
    with accel.Runner("sim:*", options=accel.RunnerOptions(retries=50)) as runner:
        with pytest.raises(accel.AccelError):
            runner.run(Gunzip(), packed)  # every chunk holds three members or more
        assert all(row.stats.failures for row in runner.report.devices)


def test_one_accelerator_reports_a_lost_device_and_recovers(arm: Arm) -> None:
    arm("abort", calls="2")
    with accel.open(Gzip(), "sim:0") as board:
        assert gzip.decompress(board.run(b"a" * 5000)) == b"a" * 5000
        with pytest.raises(accel.DeviceLostError, match="SIGABRT"):
            board.run(b"b" * 5000)
        assert gzip.decompress(board.run(b"c" * 5000)) == b"c" * 5000, "a new host process"
        assert (board.stats.chunks, board.stats.failures) == (2, 1)
        assert board.stats.device_s is None, "this library models no time"


def test_the_forks_destructor_will_do(arm: Arm) -> None:
    arm("none", call="fork")
    with accel.open(Gzip(), "sim:0") as board:
        assert gzip.decompress(board.run(b"a" * 5000)) == b"a" * 5000


def test_a_library_without_any_destructor_is_refused(arm: Arm) -> None:
    arm("none", call="leaky")
    with pytest.raises(accel.LibraryLoadError, match=r"libleaky\.so lacks xfZlib_destructor_wrapper"):
        accel.open(Gzip(), "sim:0")
