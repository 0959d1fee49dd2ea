"""A network's library that aborts, hangs, exits or lies: an error that says so, and no mess.

The faults are those of a native library behind the real driver (``tests/native/faulty_bnn.cpp``), which runs
it in a device host process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import accel_sdk as accel
from accel_drivers.bnn import Bnn
from accel_sdk.ffi import native_file
from bnn_reference import Reference, random_parameters
from patience import settles

if TYPE_CHECKING:
    import pyarrow as pa

Arm = Callable[..., None]
PATIENCE_S = 15.0
CALL_S = 1.5  # of a call that hangs

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc on this system")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, compile_cpp: Callable[..., Path]) -> dict[str, Path]:
    """Return folders as ``ACCEL_BNN_LIBRARY_DIR`` names them: one library serves for both networks."""
    source = ["tests/native/faulty_bnn.cpp", "-shared", "-fPIC", "-O1", "-ldl"]
    kinds = {"silent": [], "telling": ["-DTELLS"], "incomplete": ["-DLACKS_DEINIT"]}
    folders: dict[str, Path] = {}
    for kind, defines in kinds.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        library = compile_cpp(folders[kind] / "python_sw-lfcW1A1-pynqZ1-Z2.so", *defines, *source)
        shutil.copy(library, library.with_name("python_sw-cnvW1A1-pynqZ1-Z2.so"))
    return folders


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("params")
    for seed, network in enumerate(("cnvW1A1", "lfcW1A1")):
        rng = np.random.default_rng(seed)
        random_parameters(network, rng, root / network, style="unordered", number_class=20)
    return {network: root / network for network in ("cnvW1A1", "lfcW1A1")}


@pytest.fixture
def arm(libraries: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Arm]:
    """Yield a function that sets what the library does; check afterwards that no process is left."""

    def set_fault(
        mode: str,
        call: str = "inference",
        *,
        every: int = 1,
        once: Path | None = None,
        network: str = "lfcW1A1",
        kind: str = "silent",
    ) -> None:
        monkeypatch.setenv("ACCEL_BNN_LIBRARY_DIR", str(libraries[kind]))
        monkeypatch.setenv("FAULTY_REAL", str(native_file(f"python_sw-{network}-pynqZ1-Z2.so")))
        monkeypatch.setenv("FAULTY_MODE", mode)
        monkeypatch.setenv("FAULTY_CALL", call)
        monkeypatch.setenv("FAULTY_EVERY", str(every))
        if once is not None:
            monkeypatch.setenv("FAULTY_ONCE", str(once))

    before = _children(os.getpid())
    yield set_fault
    assert settles(lambda: _children(os.getpid()) <= before)  # a device that was set aside ends by itself


def _children(pid: int) -> set[int]:
    """Return the ids of a process's children, zombies among them."""
    found: set[int] = set()
    with suppress(OSError):  # it ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found.update(map(int, (task / "children").read_text().split()))
    return found


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # nobody waits for an orphan in a container without an init


def _await(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return condition()


def _open(
    params: dict[str, Path], network: str = "lfcW1A1", *, detail: bool = False
) -> accel.Accelerator[Any, Any]:
    return accel.open(Bnn(network, params[network], detail=detail), "sim:0")


def _images(count: int, network: str = "lfcW1A1") -> NDArray[np.uint8]:
    """Return pictures; every hundred are the same."""
    shape = (28, 28) if network.startswith("lfc") else (32, 32, 3)
    some = np.random.default_rng(9).integers(0, 256, (min(count, 100), *shape), np.uint8)
    return np.concatenate([some] * -(-count // 100))[:count]


def _check(table: pa.Table, images: NDArray[np.uint8], folder: Path, network: str = "lfcW1A1") -> None:
    reference = Reference(network, folder)
    expected = reference.classes(reference.run(images[:100]), 20)
    assert table["class_index"].to_pylist() == np.resize(expected, len(images)).tolist()


# ---- it ends

ENDINGS = {
    "abort": ("SIGABRT", "bnn: about to give up"),
    "throw": ("SIGABRT", "Could not open file"),
    "crash": ("SIGSEGV", "bnn: about to give up"),
    "exit": ("exit status 3", "bnn: about to give up"),
}


@pytest.mark.parametrize("mode", ENDINGS)
def test_a_library_that_ends_its_process_in_a_call(mode: str, arm: Arm, params: dict[str, Path]) -> None:
    arm(mode, every=2)
    ending, words = ENDINGS[mode]
    images = _images(50)
    with _open(params) as board:
        _check(board.run(images), images, params["lfcW1A1"])
        first = _children(os.getpid())
        with pytest.raises(accel.DeviceLostError) as caught:
            board.run(images)
        text = str(caught.value)
        assert text.startswith("sim:0: ")
        assert ending in text
        assert words in text
        assert "Setting network weights and thresholds" in text, "what it printed before, too"
        assert not _children(os.getpid()) & first, "it was waited for"
        _check(board.run(images), images, params["lfcW1A1"])
        assert not _children(os.getpid()) & first, "in a new process"
        assert (board.stats.chunks, board.stats.failures) == (2, 1)


@pytest.mark.parametrize("mode", ["throw", "exit"])
def test_a_library_that_ends_its_process_in_a_load(
    mode: str, arm: Arm, params: dict[str, Path], tmp_path: Path
) -> None:
    arm(mode, "load", once=tmp_path / "done")
    with pytest.raises(accel.DeviceLostError) as caught:
        _open(params)
    assert all(words in str(caught.value) for words in ENDINGS[mode])
    with _open(params) as board:
        _check(board.run(_images(5)), _images(5), params["lfcW1A1"])


# ---- it hangs


def test_a_call_that_hangs_is_ended(arm: Arm, params: dict[str, Path]) -> None:
    arm("hang", every=2)
    images = _images(5)
    with _open(params) as board:
        board.run(images)
        board.timeout_s = CALL_S
        started = time.monotonic()
        with pytest.raises(accel.KernelTimeoutError, match=r"sim:0: .* within 1\.5 s"):
            board.run(images)
        assert time.monotonic() - started < CALL_S + PATIENCE_S / 2
        assert _children(os.getpid()) == set(), "it was killed at once"
        board.timeout_s = None
        _check(board.run(images), images, params["lfcW1A1"])


def test_a_load_that_hangs_is_ended(
    arm: Arm, params: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    arm("hang", "load")
    monkeypatch.setattr("accel_sdk.host._START_TIMEOUT_S", CALL_S)
    with pytest.raises(accel.KernelTimeoutError, match="'open'"):
        _open(params)


def test_closing_ends_a_call_that_hangs(arm: Arm, params: dict[str, Path]) -> None:
    arm("hang")
    board = _open(params)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            board.run(_images(1))
        except accel.AccelError as error:
            errors.append(error)

    caller = threading.Thread(target=run)
    caller.start()
    threading.Event().wait(0.3)  # until it is in the call
    board.close()
    caller.join(PATIENCE_S)
    assert not caller.is_alive()
    assert len(errors) == 1


# ---- it lies


@pytest.mark.parametrize("kind", ["silent", "telling"])
def test_wrong_answers_are_not_believed(kind: str, arm: Arm, params: dict[str, Path]) -> None:
    modes = ("null", "none", "fewer", "more", "minus", "huge", "class", "negative")
    arm(",".join(modes), every=2, kind=kind)
    images = _images(7)
    with _open(params) as board:
        for mode in modes:
            _check(board.run(images), images, params["lfcW1A1"])
            child = _children(os.getpid())
            with pytest.raises(accel.KernelFaultError) as caught:
                board.run(images)
            text = str(caught.value)
            assert "sim:0" in text
            assert "inference_multiple" in text
            assert "python_sw-lfcW1A1-pynqZ1-Z2.so" in text
            assert ("the FPGA did not answer" in text) == (kind == "telling" and mode == "null")
            assert _children(os.getpid()) == child, "a wrong answer is no reason to start again"


def test_wrong_scores_are_not_believed(arm: Arm, params: dict[str, Path]) -> None:
    arm("score", every=2, network="cnvW1A1")
    images = _images(3, "cnvW1A1")
    with _open(params, "cnvW1A1", detail=True) as board:
        table = board.run(images)
        expected = Reference("cnvW1A1", params["cnvW1A1"]).run(images)[:, :20]
        assert table["scores"].to_pylist() == expected.tolist()
        with pytest.raises(accel.KernelFaultError, match="1048576"):
            board.run(images)
        _check(board.run(images), images, params["cnvW1A1"], "cnvW1A1")


def test_what_it_prints_is_no_trouble(arm: Arm, params: dict[str, Path]) -> None:
    arm("chatter")
    images = _images(5)
    with _open(params) as board:
        for _ in range(3):
            _check(board.run(images), images, params["lfcW1A1"])
        assert board.stats.device_s is None, "this library models no time"


def test_a_library_that_lacks_a_call_is_refused(arm: Arm, params: dict[str, Path]) -> None:
    arm("none", kind="incomplete")
    with pytest.raises(accel.LibraryLoadError, match=r"python_sw-lfcW1A1-pynqZ1-Z2\.so lacks deinit"):
        _open(params)


def test_a_file_that_is_no_library_is_refused(
    arm: Arm, params: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arm("none")
    monkeypatch.setenv("ACCEL_BNN_LIBRARY_DIR", str(tmp_path))
    (tmp_path / "python_sw-lfcW1A1-pynqZ1-Z2.so").write_text("no ELF")
    with pytest.raises(accel.LibraryLoadError, match="cannot load"):
        _open(params)


# ---- on all devices


@pytest.mark.parametrize("mode", ["abort", "null", "hang"])
def test_a_chunk_that_fails_once_is_run_again(
    mode: str, arm: Arm, params: dict[str, Path], tmp_path: Path
) -> None:
    arm(mode, once=tmp_path / "done")
    images = _images(20_000)
    options = accel.RunnerOptions(chunk_timeout_s=CALL_S if mode == "hang" else None)
    with accel.Runner("sim:*", options=options) as runner:
        _check(runner.run(Bnn("lfcW1A1", params["lfcW1A1"]), images), images, params["lfcW1A1"])
        assert runner.report.total.failures == 1
        assert runner.report.retries == 1
    assert (tmp_path / "done").exists()


def test_when_every_board_aborts_the_error_says_so(arm: Arm, params: dict[str, Path]) -> None:
    arm("abort")
    options = accel.RunnerOptions(retries=20, failures_to_set_aside=1)
    with accel.Runner("sim:*", options=options) as runner, pytest.raises(accel.NoDeviceLeftError) as caught:
        runner.run(Bnn("lfcW1A1", params["lfcW1A1"]), _images(20_000))
    text = str(caught.value)
    assert "sim:0" in text
    assert "sim:1" in text
    assert "SIGABRT" in text
    assert "about to give up" in text


# ---- the parent ends

_PARENT = """
import sys
import numpy as np
import accel_sdk as accel
from accel_drivers.bnn import Bnn
board = accel.open(Bnn("lfcW1A1", sys.argv[1]), "sim:0")
sys.stdout.write("open\\n")
sys.stdout.flush()
board.run(np.zeros((1, 28, 28), np.uint8))
"""


def test_nothing_is_left_when_the_parent_is_killed(arm: Arm, params: dict[str, Path]) -> None:
    """Even out of a call that never returns."""
    arm("hang")
    command = [sys.executable, "-c", _PARENT, str(params["lfcW1A1"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "open\n"
        children = _children(parent.pid)
        assert len(children) == 1
        assert all(_is_running(child) for child in children)
        threading.Event().wait(0.3)  # until it is in the call
        parent.kill()
    assert _await(lambda: not any(_is_running(child) for child in children))
