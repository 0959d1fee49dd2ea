"""The device host process: a place for libraries that need a process of their own.

A vendor library may keep global state, insist on the main thread, hang, abort, or call ``exit``. A driver
that says so (`Driver.isolated`) has its accelerators opened in a child process. The parent's half,
`HostedAccelerator`, looks like any other accelerator: chunks and results cross through shared memory, a
crash becomes `DeviceLostError` with the signal's name and the library's last words, a call that takes too
long gets its process killed, and the next call starts a new one. The child ends with its parent, however
that ends.

Protocol, over a socket pair: the parent sends ``(sys.path, driver class, kernel, device)``, the child
answers ``("ready",)`` or ``("error", exception)``. Then one ``("run", pickle, sizes)`` for each chunk,
answered by ``("done", pickle, sizes, device seconds)`` or ``("error", exception)``. Large buffers are not in
the pickles (protocol 5, out of band) but one after another in an arena, an anonymous memory file that both
map.
"""

from __future__ import annotations

import atexit
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import IO, Any, NoReturn, cast

from accel_sdk.device import Device
from accel_sdk.driver import Accelerator, AnyAccelerator, Driver
from accel_sdk.errors import (
    AccelError,
    DataError,
    DeviceLostError,
    KernelFaultError,
    KernelTimeoutError,
    portable,
)
from accel_sdk.kernel import AnyKernel

_START_TIMEOUT_S = 60.0  # programming a card takes seconds
_STOP_TIMEOUT_S = 2.0
_ALIGNMENT = 64  # of every buffer in the arena: what DMA engines and vector loads like
_OUTPUT_LINES = 20


class _Arena:
    """Shared memory for one direction, grown on demand, kept between calls."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None
        self._size = 0

    def put(self, buffers: Sequence[pickle.PickleBuffer]) -> list[int]:
        """Copy the buffers in, one after another; return their sizes."""
        views = [buffer.raw() for buffer in buffers]
        self._reserve(sum(_aligned(view.nbytes) for view in views))
        start = 0
        for view in views:
            if view.nbytes:
                cast(mmap.mmap, self._map)[start : start + view.nbytes] = view
            start += _aligned(view.nbytes)
        return [view.nbytes for view in views]

    def get(self, sizes: Sequence[int]) -> list[memoryview]:
        """Return read-only views of the buffers that the other side put there."""
        self._remap(os.fstat(self.fd).st_size)
        views: list[memoryview] = []
        start = 0
        for size in sizes:
            if not 0 <= size <= self._size - start:
                raise KernelFaultError("the device host reported more data than its memory holds")
            whole = memoryview(cast(mmap.mmap, self._map)) if size else memoryview(b"")
            views.append(whole[start : start + size].toreadonly())
            start += _aligned(size)
        return views

    def close(self) -> None:
        """Give back the memory and its descriptor."""
        self._map = None
        os.close(self.fd)

    def _reserve(self, size: int) -> None:
        if size > os.fstat(self.fd).st_size:
            os.ftruncate(self.fd, size)
        self._remap(os.fstat(self.fd).st_size)

    def _remap(self, size: int) -> None:
        # An old map that a view still uses lives until the view goes; it shows the same memory.
        if size > self._size:
            self._map = mmap.mmap(self.fd, size)
            self._size = size


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _pack(value: object, arena: _Arena) -> tuple[bytes, list[int]]:
    buffers: list[pickle.PickleBuffer] = []
    if isinstance(value, (bytes, bytearray, memoryview)):  # pickle copies these twice, or cannot take them
        flat = value if not isinstance(value, memoryview) or value.c_contiguous else value.tobytes()
        value = pickle.PickleBuffer(flat)
    text = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return text, arena.put(buffers)


class HostedAccelerator(Accelerator[Any, Any]):
    """An accelerator whose driver runs in a child process.

    Parameters
    ----------
    driver
        Its class is imported, and made again, in the child.
    kernel, device
        As for `Driver.open`.

    Raises
    ------
    DeviceLostError
        If the child ends before it answers, on opening or on any chunk.
    KernelTimeoutError
        If it does not answer in time; the child is killed.
    AccelError
        Whatever the driver raised in the child.
    """

    def __init__(self, driver: Driver, kernel: AnyKernel, device: Device) -> None:
        child = _start(driver, kernel, device)
        super().__init__(kernel, device)
        self._driver = driver
        self._child: _Child | None = child
        self._device_s_before = 0.0
        self._device_s_now: float | None = None

    def _run(self, chunk: object) -> object:
        child = self._child = self._child or _start(self._driver, self.kernel, self.device)
        try:
            result, self._device_s_now = child.run(chunk, self.timeout_s)
        except BaseException:
            if child.is_waiting:  # lost, too slow, or Ctrl-C: its answer must not pass for the next chunk's
                self._drop(child)
            raise
        return result

    def _drop(self, child: _Child) -> None:
        """Forget a child that is gone; the next chunk starts another."""
        child.stop()
        self._child = None
        self._device_s_before += self._device_s_now or 0.0
        self._device_s_now = None

    def _device_s(self) -> float | None:
        if self._device_s_now is None:
            return self._device_s_before or None
        return self._device_s_before + self._device_s_now

    def _give_up(self) -> None:
        child = self._child
        if child is not None:
            child.kill()  # the call that waits for it then finds it lost

    def _close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()


def _start(driver: Driver, kernel: AnyKernel, device: Device) -> _Child:
    child = _Child(driver, kernel, device)
    try:
        child.wait_ready(_START_TIMEOUT_S)
    except BaseException:
        child.stop()
        raise
    return child


class _Child:
    """The parent's handle on one host process.

    Attributes
    ----------
    is_waiting
        Whether an answer is due that has not come.
    """

    def __init__(self, driver: Driver, kernel: AnyKernel, device: Device) -> None:
        self._device = device.name
        self._inputs = _Arena(os.memfd_create("accel-in"))
        self._outputs = _Arena(os.memfd_create("accel-out"))
        ours, theirs = _socket_pair()
        try:
            self._process = _spawn(theirs, self._inputs.fd, self._outputs.fd)
        except BaseException:
            ours.close()
            self._inputs.close()
            self._outputs.close()
            raise
        finally:
            os.close(theirs)
        self._connection = ours
        self.is_waiting = False
        self._last_lines: deque[str] = deque(maxlen=_OUTPUT_LINES)
        output = cast("IO[bytes]", self._process.stdout)
        self._drain = threading.Thread(target=self._keep_output, args=(output,), daemon=True)
        self._drain.start()
        try:
            self._send((sys.path, type(driver), kernel, device))
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the driver in the child has opened the device."""
        self._answer(timeout_s, "open")

    def run(self, chunk: object, timeout_s: float | None) -> tuple[object, float | None]:
        """Run one chunk; return the result and the modelled seconds so far."""
        try:
            text, sizes = _pack(chunk, self._inputs)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            why = f"a {type(chunk).__name__} cannot be sent to a device in a process of its own: {error}"
            raise DataError(why, device=self._device, hint="give bytes, an array or a path") from error
        self.is_waiting = True  # from here on it owes an answer, and is given up if none comes
        self._send(("run", text, sizes))
        text, sizes, device_s = self._answer(timeout_s, "run")
        # Copied, because the arena is written again by the next chunk.
        buffers = [bytes(view) for view in self._outputs.get(sizes)]
        return pickle.loads(text, buffers=buffers), device_s

    def kill(self) -> None:
        """End the child at once, from any thread."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the child: kindly, then not. Nothing of it is left."""
        self._connection.close()  # a child that waits for work leaves by itself
        try:
            self._process.wait(0 if self.is_waiting else _STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._drain.join(_STOP_TIMEOUT_S)
        cast("IO[bytes]", self._process.stdout).close()
        self._inputs.close()
        self._outputs.close()

    def _send(self, message: object) -> None:
        try:
            self._connection.send_bytes(pickle.dumps(message, protocol=5))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._lost() from error

    def _answer(self, timeout_s: float | None, what: str) -> Any:
        self.is_waiting = True
        try:
            if not self._connection.poll(timeout_s):
                raise KernelTimeoutError(
                    f"no answer to '{what}' within {timeout_s:g} s; its host process was ended",
                    device=self._device,
                )
            verdict, *content = pickle.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionResetError) as error:
            raise self._lost() from error
        self.is_waiting = False
        if verdict == "error":
            raise content[0]
        return content

    def _lost(self) -> DeviceLostError:
        try:
            status = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            how = "closed its connection"
        else:
            how = _ending(status)
        self._drain.join(_STOP_TIMEOUT_S)
        said = " | ".join(self._last_lines)
        return DeviceLostError(
            f"the device host process {how}" + (f"; its last output: {said}" if said else ""),
            device=self._device,
        )

    def _keep_output(self, output: IO[bytes]) -> None:
        # Unbuffered: a buffer's lock, held by this thread when the interpreter ends, would abort the process.
        rest = b""
        with suppress(OSError, ValueError):  # it was closed
            while piece := os.read(output.fileno(), 1 << 16):
                *lines, rest = (rest + piece).split(b"\n")
                self._keep_lines(lines)
        self._keep_lines([rest])

    def _keep_lines(self, lines: Sequence[bytes]) -> None:
        texts = (line.decode(errors="replace").strip() for line in lines)
        self._last_lines.extend(text for text in texts if text)


def _ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended itself with exit status {status}"


def _socket_pair() -> tuple[Connection, int]:
    ours, theirs = socket.socketpair()
    return Connection(ours.detach()), theirs.detach()


def _spawn(connection: int, inputs: int, outputs: int) -> subprocess.Popen[bytes]:
    numbers = [connection, inputs, outputs]
    return subprocess.Popen(
        [sys.executable, "-c", "from accel_sdk.host import main; main()", *map(str, [*numbers, os.getpid()])],
        pass_fds=numbers,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,  # the terminal's Ctrl-C is the parent's to handle
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def main() -> None:
    """Be a host process: open what the parent says and run its chunks until it goes."""
    connection, inputs, outputs, parent_pid = (int(text) for text in sys.argv[1:5])
    _end_with_parent(parent_pid)
    parent = Connection(connection)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is done with us
        _serve(parent, _Arena(inputs), _Arena(outputs))


def _serve(parent: Connection, inputs: _Arena, outputs: _Arena) -> None:
    path, driver, kernel, device = pickle.loads(parent.recv_bytes())
    sys.path[:] = path
    try:
        accelerator: AnyAccelerator = driver().open(kernel, device)
    except Exception as error:
        _reply_error(parent, error)
        return
    with accelerator:
        _reply(parent, ("ready",))
        while True:
            _, text, sizes = pickle.loads(parent.recv_bytes())
            try:
                result = accelerator.run(pickle.loads(text, buffers=inputs.get(sizes)))
                answer = ("done", *_pack(result, outputs), accelerator.stats.device_s)
            except Exception as error:
                _reply_error(parent, error)
            else:
                _reply(parent, answer)


def _reply(parent: Connection, message: object) -> None:
    parent.send_bytes(pickle.dumps(message, protocol=5))


def _reply_error(parent: Connection, error: Exception) -> None:
    if not isinstance(error, AccelError):
        error = KernelFaultError(f"{type(error).__name__}: {error}")
    _reply(parent, ("error", portable(error)))


def end_process(status: int) -> NoReturn:
    """End this process at once, whatever its threads do, but let what is registered for its end be done."""
    cleaning = threading.Thread(target=atexit._run_exitfuncs, daemon=True)
    cleaning.start()
    cleaning.join(_STOP_TIMEOUT_S)
    os._exit(status)


def _end_with_parent(parent: int) -> None:
    """Leave as soon as the parent is gone, even out of a native call that never returns.

    A thread looks, because the kernel's parent-death signal follows the thread that started us, and worker
    threads come and go.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        end_process(1)

    threading.Thread(target=watch, daemon=True).start()
