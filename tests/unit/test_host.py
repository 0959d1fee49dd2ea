"""Device host processes: whatever a library does there, the parent gets results or an error, and no mess."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from accel_sdk.device import Device
from accel_sdk.errors import (
    AccelError,
    ClosedError,
    CorruptStreamError,
    DataError,
    DeviceBusyError,
    DeviceLostError,
    KernelFaultError,
    KernelTimeoutError,
)
from accel_sdk.host import HostedAccelerator
from accel_sdk.registry import Registry

pytestmark = [
    pytest.mark.usefixtures("no_leftovers"),
    pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc on this system"),
]

PATIENCE_S = 10.0

PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
import _host_drivers as drivers
from accel_sdk.host import HostedAccelerator
hosted = HostedAccelerator(drivers.UnrulyDriver(), drivers.Act(), drivers.DEVICE)
sys.stdout.write(f"{hosted.run(('pid',))}\\n")
sys.stdout.flush()
hosted.run(("wait", sys.argv[2]))
"""


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # who has ended but was not yet waited for does not run


def _await(condition: Callable[[], bool]) -> bool:
    """Poll until a condition holds, or patience ends; return whether it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return condition()


@pytest.fixture
def open_host(host_drivers: ModuleType) -> Iterator[Callable[..., HostedAccelerator]]:
    """Yield a function that opens the unruly driver in a child process."""
    opened: list[HostedAccelerator] = []

    def start(**fields: Any) -> HostedAccelerator:
        made = HostedAccelerator(host_drivers.UnrulyDriver(), host_drivers.Act(**fields), host_drivers.DEVICE)
        opened.append(made)
        return made

    yield start
    for accelerator in opened:
        accelerator.close()


@pytest.fixture
def hosted(open_host: Callable[..., HostedAccelerator]) -> HostedAccelerator:
    return open_host()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Return a pipe on which a child waits until the test writes to it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


# --- data -----------------------------------------------------------------------------------------


def test_it_is_another_process(hosted: HostedAccelerator) -> None:
    assert hosted.run(("pid",)) != os.getpid()
    assert hosted.run(("pid",)) == hosted.run(("pid",)), "the same for every chunk"


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4096, 5_000_001])
def test_bytes_come_back(size: int, hosted: HostedAccelerator) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    for chunk in (content, bytearray(content)):
        assert hosted.run(chunk) == content


def test_a_view_is_a_chunk_as_anywhere_else(hosted: HostedAccelerator) -> None:
    assert hosted.run(memoryview(b"abc")) == b"abc"


@pytest.mark.parametrize("size", [0, 3, 100_000])
def test_a_result_may_be_the_chunk_itself(size: int, open_host: Callable[..., HostedAccelerator]) -> None:
    assert bytes(open_host(raw=True).run(b"a" * size)) == b"a" * size


@pytest.mark.parametrize("shape", [(0,), (3,), (5, 0), (7, 5, 3), (300, 2000)], ids=str)
def test_arrays_come_back(shape: tuple[int, ...], hosted: HostedAccelerator) -> None:
    for dtype in ("u1", "<f8", "c16", "?", "S3"):
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        whole = (np.arange(count) % (2 if dtype == "?" else 100)).astype(np.uint8)
        values = whole.view(dtype).reshape(shape)
        for chunk in (values, values[::2], np.asfortranarray(values)):
            result = hosted.run(chunk)
            assert result.dtype == chunk.dtype
            np.testing.assert_array_equal(result, chunk)


def test_several_buffers_of_one_chunk_keep_their_places(hosted: HostedAccelerator) -> None:
    arrays = [np.full(n, n % 251, np.uint8) for n in (1, 0, 63, 64, 65, 100_000)]
    for sent, got in zip(arrays, hosted.run(arrays), strict=True):
        np.testing.assert_array_equal(got, sent)
    assert hosted.run({"a": 1, "b": [None, "text"]}) == {"a": 1, "b": [None, "text"]}


def test_results_are_not_overwritten_by_later_chunks(hosted: HostedAccelerator) -> None:
    first = hosted.run(np.zeros(1000, np.uint8))
    kept = hosted.run(bytes(1000))
    hosted.run(np.ones(1000, np.uint8))
    hosted.run(b"\xff" * 1000)
    assert not first.any()
    assert kept == bytes(1000)


def test_chunks_of_growing_and_shrinking_size(hosted: HostedAccelerator) -> None:
    for size in (10, 1 << 20, 100, 3 << 20, 0, 5):
        content = os.urandom(size)
        assert bytes(hosted.run(content)) == content


def test_threads_take_turns(hosted: HostedAccelerator) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(hosted.run, [bytes([n]) * 5000 for n in range(40)]))
    assert [bytes(result) for result in results] == [bytes([n]) * 5000 for n in range(40)]


def test_output_of_a_library_does_not_block_it(hosted: HostedAccelerator) -> None:
    assert hosted.run(("flood", 1 << 20)) == 1 << 20  # more than a pipe holds


def test_stats_include_modelled_time(hosted: HostedAccelerator) -> None:
    for _ in range(3):
        hosted.run(b"abcd")
    stats = hosted.stats
    assert (stats.chunks, stats.nbytes_in, stats.nbytes_out, stats.device_s) == (3, 12, 12, 0.75)


def test_modelled_time_survives_a_new_start(hosted: HostedAccelerator) -> None:
    hosted.run(b"abcd")
    with pytest.raises(DeviceLostError):
        hosted.run(("leave", 1))
    hosted.run(b"abcd")
    assert hosted.stats.device_s == 0.5


def test_the_registry_opens_isolated_drivers_in_a_child(host_drivers: ModuleType) -> None:
    registry = Registry([host_drivers.UnrulyDriver()])
    with registry.open(host_drivers.Act(), "unruly:0") as accelerator:
        assert isinstance(accelerator, HostedAccelerator)
        assert accelerator.run(("pid",)) != os.getpid()


# --- errors ---------------------------------------------------------------------------------------


def test_an_error_keeps_its_class_and_fields(hosted: HostedAccelerator) -> None:
    with pytest.raises(CorruptStreamError) as caught:
        hosted.run(("corrupt",))
    assert (caught.value.offset_bytes, caught.value.hint, caught.value.device) == (
        77,
        "look there",
        "unruly:0",
    )
    assert hosted.run(b"still there") == b"still there"


@pytest.mark.parametrize(
    ("command", "text"), [("stumble", "ZeroDivisionError: no such luck"), ("lambda", "pickle|local object")]
)
def test_other_exceptions_become_faults(command: str, text: str, hosted: HostedAccelerator) -> None:
    pid = hosted.run(("pid",))
    with pytest.raises(KernelFaultError, match=text) as caught:
        hosted.run((command,))
    assert caught.value.device == "unruly:0"
    assert hosted.run(("pid",)) == pid, "the process is as good as before"


def test_a_chunk_that_cannot_travel_harms_nothing(hosted: HostedAccelerator) -> None:
    pid = hosted.run(("pid",))
    with pytest.raises(Exception, match=r"pickle|local"):
        hosted.run([lambda: 1])
    assert hosted.run(("pid",)) == pid


def test_an_abort_names_signal_and_last_words(hosted: HostedAccelerator) -> None:
    with pytest.raises(DeviceLostError) as caught:
        hosted.run(("abort",))
    text = str(caught.value)
    assert "SIGABRT" in text
    assert "on standard output | terminate called after throwing" in text
    assert "unruly:0" in text
    assert "\n" not in text
    assert hosted.run(b"again") == b"again", "the next chunk starts another process"


@pytest.mark.parametrize("command", ["exit", "leave"])
@pytest.mark.parametrize("status", [0, 7])
def test_an_exit_names_its_status(command: str, status: int, hosted: HostedAccelerator) -> None:
    with pytest.raises(DeviceLostError, match=f"exit status {status}"):
        hosted.run((command, status))
    assert hosted.run(b"again") == b"again"


def test_a_child_that_dies_between_chunks(hosted: HostedAccelerator) -> None:
    pid = hosted.run(("pid",))
    os.kill(pid, signal.SIGKILL)
    assert _await(lambda: not _is_running(pid))
    with pytest.raises(DeviceLostError, match="SIGKILL"):
        hosted.run(b"abc")
    assert hosted.run(b"again") == b"again"


def test_a_hang_ends_in_time_and_the_next_run_works(hosted: HostedAccelerator, fifo: Path) -> None:
    pid = hosted.run(("pid",))
    hosted.timeout_s = 0.3
    started = time.monotonic()
    with pytest.raises(KernelTimeoutError, match=r"unruly:0.*0\.3 s"):
        hosted.run(("wait", str(fifo)))
    assert time.monotonic() - started < PATIENCE_S / 2
    assert not _is_running(pid)
    hosted.timeout_s = PATIENCE_S
    assert hosted.run(b"again") == b"again"
    assert hosted.run(("pid",)) != pid


def test_an_interrupted_run_does_not_answer_the_next(hosted: HostedAccelerator, fifo: Path) -> None:
    """After Ctrl-C the child still works on the old chunk; its answer must not be taken for another's."""
    pid = hosted.run(("pid",))

    def interrupt() -> None:
        assert _await(_entered(fifo).exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        hosted.run(("wait", str(fifo), "the old answer"))
    thread.join()
    assert _await(lambda: _let_go(fifo) or not _is_running(pid))
    hosted.timeout_s = PATIENCE_S
    assert hosted.run(b"new") == b"new"


def _entered(fifo: Path) -> Path:
    """Return the file that a child makes before it waits."""
    return fifo.with_name(f"{fifo.name}.entered")


def _let_go(fifo: Path) -> bool:
    """Let a child that waits go on; return whether one was waiting."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


# --- opening and closing --------------------------------------------------------------------------


def test_an_error_on_opening_keeps_its_class(open_host: Callable[..., HostedAccelerator]) -> None:
    with pytest.raises(DeviceBusyError, match="unruly:0: held by process 4711"):
        open_host(on_open="busy")


@pytest.mark.parametrize(
    ("how", "text"), [("exit", "exit status 1.*the vendor's library gave up"), ("abort", "SIGABRT")]
)
def test_a_child_that_ends_on_opening(
    how: str, text: str, open_host: Callable[..., HostedAccelerator]
) -> None:
    with pytest.raises(DeviceLostError, match=text):
        open_host(on_open=how)


def test_a_kernel_that_cannot_travel_leaves_nothing(host_drivers: ModuleType) -> None:
    with pytest.raises(Exception, match=r"pickle|local|lambda"):
        HostedAccelerator(host_drivers.UnrulyDriver(), host_drivers.Unpicklable(), host_drivers.DEVICE)


def test_a_driver_that_the_child_cannot_import(
    host_drivers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(Path(__file__).parent)])
    with pytest.raises(AccelError, match="_host_drivers"):
        HostedAccelerator(host_drivers.UnrulyDriver(), host_drivers.Act(), host_drivers.DEVICE)


def test_close_ends_the_child(hosted: HostedAccelerator) -> None:
    pid = hosted.run(("pid",))
    hosted.close()
    hosted.close()
    assert not _is_running(pid)
    with pytest.raises(ClosedError):
        hosted.run(b"abc")


def test_close_gives_back_descriptors_and_shared_memory(open_host: Callable[..., HostedAccelerator]) -> None:
    """Chunks are large: a closed accelerator that somebody still holds must not keep their memory."""
    before = set(os.listdir("/proc/self/fd"))
    accelerator = open_host()
    accelerator.run(bytes(1 << 20))
    accelerator.close()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert "accel-in" not in Path("/proc/self/maps").read_text()
    assert "accel-out" not in Path("/proc/self/maps").read_text()


def test_close_ends_a_call_that_hangs(hosted: HostedAccelerator, fifo: Path) -> None:
    pid = hosted.run(("pid",))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hosted.run, ("wait", str(fifo)))
        assert _await(_entered(fifo).exists)
        hosted.close()
        assert isinstance(running.exception(PATIENCE_S), AccelError)
    assert hosted.wait_released(PATIENCE_S)
    assert not _is_running(pid)


def test_the_child_ends_with_its_parent(fifo: Path) -> None:
    """Also when the parent is killed while the child is in a call that never returns."""
    command = [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(fifo)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _is_running(pid)
        parent.kill()
    assert _await(lambda: not _is_running(pid))


def test_devices_travel(host_drivers: ModuleType, open_host: Callable[..., HostedAccelerator]) -> None:
    accelerator = open_host()
    assert isinstance(accelerator.device, Device)
    assert str(accelerator.device) == host_drivers.DEVICE.name


def test_what_cannot_be_sent_is_refused_and_the_child_lives(
    open_host: Callable[..., HostedAccelerator], tmp_path: Path
) -> None:
    hosted = open_host()
    pid = hosted.run(("pid",))
    with (tmp_path / "open").open("wb") as file, pytest.raises(DataError, match="cannot be sent"):
        hosted.run(file)
    assert hosted.run(("pid",)) == pid


def test_a_program_that_closes_nothing_ends_as_it_would() -> None:
    code = (
        "import numpy as np, accel_sdk as accel\n"
        "from accel_drivers.bnn import Bnn\n"
        "device = accel.open(Bnn('lfcW1A1', 'random'), 'sim:0')\n"
        "device.run(np.zeros((1, 28, 28), np.uint8))\n"
        "raise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert "Fatal" not in done.stderr
