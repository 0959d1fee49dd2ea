"""The contract a driver implements: find devices, open kernels on them, run chunks."""

from __future__ import annotations

import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

from accel_sdk.data import sizeof
from accel_sdk.device import Device
from accel_sdk.errors import AccelError, ClosedError, KernelFaultError
from accel_sdk.kernel import AnyKernel, In, Kernel, Out

CONTRACT_VERSION = 1
"""Version of the contract between the SDK and drivers; a driver of another version is not loaded."""

_Self = TypeVar("_Self", bound="AnyAccelerator")


@dataclass
class Stats:
    """What an accelerator did since it was opened.

    Attributes
    ----------
    chunks, failures
        Chunks that gave a result, and those that did not.
    amount
        Work done, in the kernel's unit.
    nbytes_in, nbytes_out
        Bytes of those chunks and of their results.
    busy_s
        Wall seconds spent in `run`.
    device_s
        Modelled seconds of the simulated hardware; ``None`` for devices that are not simulated. Never to
        be added to, or compared with, wall seconds as if they were the same thing.
    """

    chunks: int = 0
    failures: int = 0
    amount: int = 0
    nbytes_in: int = 0
    nbytes_out: int = 0
    busy_s: float = 0.0
    device_s: float | None = None

    def add(self, other: Stats) -> None:
        """Add what `other` counted."""
        for item in fields(Stats):
            mine, more = getattr(self, item.name), getattr(other, item.name)
            if more is not None:
                setattr(self, item.name, more if mine is None else mine + more)

    @property
    def rate(self) -> float:
        """Work per wall second of being busy, in units of the kernel; 0 before the first chunk."""
        return self.amount / self.busy_s if self.busy_s else 0.0


class Accelerator(ABC, Generic[In, Out]):
    """A kernel opened on a device. A context manager; one chunk at a time.

    Drivers implement `_run` and `_close`, and `_device_s` where time is modelled. This class does for all
    of them what must never be forgotten: state checks, counting, and a `close` that never pulls a native
    handle away under a call that still runs.

    Parameters
    ----------
    kernel, device
        What is opened, and where.

    Attributes
    ----------
    timeout_s
        Longest wall time of a chunk, where a call can be given up at all: in a device host process, and
        in drivers that poll. ``None`` for no limit.
    """

    timeout_s: float | None = None

    def __init__(self, kernel: Kernel[In, Out], device: Device) -> None:
        self.kernel = kernel
        self.device = device
        self.stats = Stats()
        self._state = threading.Condition()
        self._running = False
        self._closed = False
        self._released = False
        self._gone = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def run(self, chunk: In) -> Out:
        """Run the kernel on one chunk and return its result.

        Calls from several threads take turns. The chunk is not kept.

        Raises
        ------
        ClosedError
            After `close`.
        DataError
            If the chunk is not what the kernel takes, or is damaged.
        AccelError
            If the device failed; the classes of the error tree say how.
        """
        with self._state:
            self._state.wait_for(lambda: not self._running or self._closed)
            if self._closed:
                raise ClosedError(f"{self.device}: {self.kernel.name} was closed")
            self._running = True
        started = time.perf_counter()
        try:
            result = self._run(chunk)
        except BaseException as error:
            self.stats.failures += 1
            if isinstance(error, AccelError) and error.device is None:
                error.device = self.device.name
            raise
        else:
            self._count(chunk, result)
            return result
        finally:
            self.stats.busy_s += time.perf_counter() - started
            self.stats.device_s = self._device_s()
            self._finish()

    def close(self) -> None:
        """Release the device. May be called twice, and while a chunk runs: then the chunk's end does it."""
        with self._state:
            self._closed = True
            self._state.notify_all()
            running = self._running
            if not running:
                if self._released:
                    return
                self._released = True
        if running:
            self._give_up()
        else:
            self._release()

    def wait_released(self, timeout_s: float) -> bool:
        """Wait for a chunk that was running at `close` to end; return whether the device is released."""
        return self._gone.wait(timeout_s)

    def _finish(self) -> None:
        with self._state:
            self._running = False
            self._state.notify_all()
            if not self._closed or self._released:
                return
            self._released = True
        self._release()

    def _release(self) -> None:
        try:
            self._close()
        finally:
            self._gone.set()

    def _count(self, chunk: In, result: Out) -> None:
        self.stats.chunks += 1
        self.stats.amount += self.kernel.amount(chunk)
        self.stats.nbytes_in += sizeof(chunk)
        self.stats.nbytes_out += sizeof(result)

    @abstractmethod
    def _run(self, chunk: In) -> Out:
        """Run one chunk."""

    def _close(self) -> None:
        """Release what was opened. Called once, never while `_run` is at work."""

    def _give_up(self) -> None:
        """End a call that runs in another thread, if that can be done. `close` asks for it."""

    def _device_s(self) -> float | None:
        """Return modelled seconds since opening, or ``None`` where nothing is modelled."""
        return None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(
                f"{self.device}: {self.kernel.name} was never closed", ResourceWarning, stacklevel=2
            )
            self.close()


AnyAccelerator = Accelerator[Any, Any]


class Driver(ABC):
    """Finds the devices of one platform and opens kernels on them. The plug-in boundary.

    A driver is found through the entry-point group ``accel_sdk.drivers`` and made without arguments, so
    its constructor must neither load a library nor touch a device.

    Attributes
    ----------
    name
        ``<family>.<platform>``.
    kernels
        What it can run.
    contract_version
        The `CONTRACT_VERSION` it was written for.
    """

    name: ClassVar[str]
    kernels: ClassVar[tuple[type[AnyKernel], ...]]
    contract_version: ClassVar[int] = CONTRACT_VERSION

    @abstractmethod
    def devices(self) -> Iterable[Device]:
        """Return the devices there are. A missing board is an empty answer, never an error."""

    @abstractmethod
    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        """Open a kernel on one of this driver's devices.

        Raises
        ------
        AccelError
            If the library, bitstream or board cannot be used; the text says what to do.
        """

    def isolated(self, kernel: AnyKernel, device: Device) -> bool:
        """Return whether this must be opened in a process of its own (`accel_sdk.host`).

        For libraries that keep global state, need a main thread, or may end the process.
        """
        return False


def check_size(reported: int, capacity: int, *, call: str, library: str, device: str) -> int:
    """Return a size that native code reported, if the buffer it speaks of can hold it.

    Raises
    ------
    KernelFaultError
        If it cannot: nothing behind such an answer may be read.
    """
    if 0 <= reported <= capacity:
        return reported
    raise KernelFaultError(
        f"an impossible size: at most {capacity} bytes fit",
        device=device,
        library=library,
        call=call,
        status=reported,
        hint="the library does not match this driver, or the device is broken",
    )
