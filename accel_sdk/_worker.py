"""The worker's side of a run: what Dask executes beside a device."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

from distributed import WorkerPlugin, get_worker

from accel_sdk.data import FileBlob, picklable
from accel_sdk.device import Device, names_from_environment
from accel_sdk.driver import AnyAccelerator, Stats
from accel_sdk.errors import AccelError, KernelFaultError, portable
from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import default_registry

if TYPE_CHECKING:
    from distributed import Worker

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 0.5  # Ctrl-C is to end a program within a second


@dataclass(frozen=True)
class Outcome:
    """What became of a chunk. A failure is a value, so that Dask neither logs it nor gives up the task.

    Attributes
    ----------
    result
        The kernel's result, if `error` is ``None``.
    stats
        What this chunk added to the accelerator's counts.
    opened
        Whether the accelerator was open, so that a failure is the chunk's and not the opening's.
    """

    stats: Stats
    result: Any = None
    error: AccelError | None = None
    opened: bool = True

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        result = self.result
        if isinstance(result, (bytes, bytearray, memoryview)):
            result = picklable(result, protocol)
        return Outcome, (self.stats, result, self.error and portable(self.error), self.opened)


class DeviceCache(WorkerPlugin):
    """Keeps accelerators open between chunks: bitstreams and weights load once.

    Parameters
    ----------
    name
        Unique for each runner, so that runners on one cluster do not close each other's devices.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._open: dict[tuple[str, str], AnyAccelerator] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, str]:
        return {"name": self.name}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__init__(state["name"])  # type: ignore[misc]

    def teardown(self, worker: Worker) -> None:
        """Close everything; Dask calls this when the worker or the runner ends."""
        self.close()

    def close(self) -> None:
        """Close every accelerator; one that is busy closes when its chunk ends, soon or never."""
        with self._lock:
            accelerators = list(self._open.values())
            self._open.clear()
        for accelerator in accelerators:
            accelerator.close()
        deadline = time.monotonic() + _CLOSE_TIMEOUT_S
        for accelerator in accelerators:
            accelerator.wait_released(max(0.0, deadline - time.monotonic()))

    def accelerator(self, key: str, kernel: AnyKernel, device: str) -> AnyAccelerator:
        """Return the open accelerator of a kernel on a device; open it if need be."""
        found = self._open.get((key, device))
        if found is None or found.closed:
            found = default_registry().open(kernel, device)
            with self._lock:
                self._open[key, device] = found
        return found


@dataclass(frozen=True)
class Task:
    """Where and how a chunk is to run.

    Attributes
    ----------
    cache
        Name of the runner's `DeviceCache` on the worker.
    key
        Identifies the kernel with its parameters.
    timeout_s
        Longest wall time of the chunk.
    """

    cache: str
    key: str
    kernel: AnyKernel
    device: str
    timeout_s: float | None


def run_chunk(task: Task, chunk: object) -> Outcome:
    """Run one chunk on this worker's device. Never raises."""
    try:
        accelerator = _cache(task).accelerator(task.key, task.kernel, task.device)
    except Exception as error:
        return Outcome(Stats(failures=1), error=_as_ours(error, task), opened=False)
    accelerator.timeout_s = task.timeout_s
    before = replace(accelerator.stats)
    try:
        result = accelerator.run(chunk)
    except Exception as error:
        return Outcome(_since(accelerator.stats, before), error=_as_ours(error, task))
    return Outcome(_since(accelerator.stats, before), result)


def open_device(task: Task) -> Outcome:
    """Open this worker's device, which may take long, before the first chunk's time starts to count."""
    try:
        _cache(task).accelerator(task.key, task.kernel, task.device)
    except Exception as error:
        return Outcome(Stats(failures=1), error=_as_ours(error, task), opened=False)
    return Outcome(Stats())


def _cache(task: Task) -> DeviceCache:
    cache: DeviceCache = get_worker().plugins[task.cache]
    return cache


def _as_ours(error: Exception, task: Task) -> AccelError:
    """Return the error as one of the tree: a driver may raise anything."""
    if isinstance(error, AccelError):
        return error
    _log.debug("%s failed on %s", task.kernel.name, task.device, exc_info=error)
    return KernelFaultError(f"{type(error).__name__}: {error}", device=task.device)


def _since(now: Stats, before: Stats) -> Stats:
    device_s = None if now.device_s is None else now.device_s - (before.device_s or 0.0)
    return Stats(
        now.chunks - before.chunks,
        now.failures - before.failures,
        now.amount - before.amount,
        now.nbytes_in - before.nbytes_in,
        now.nbytes_out - before.nbytes_out,
        now.busy_s - before.busy_s,
        device_s,
    )


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says about itself.

    Attributes
    ----------
    host
        Identifies the machine, so that no device is opened by two of its workers.
    devices
        What the worker may use, best first, each with the names of the kernels it can run.
    named
        Whether ``$DEVICE`` names them, so that simulated ones may be used.
    problem
        Why there are none, if that is an error.
    """

    host: str
    devices: tuple[tuple[Device, tuple[str, ...]], ...]
    named: bool
    problem: str = ""


def describe_worker() -> WorkerInfo:
    """Say which devices this worker sees."""
    registry = default_registry()
    host = f"{socket.gethostname()}:{_boot_id()}"
    try:
        named = names_from_environment() is not None
        kernels = registry.kernels_by_device()
        devices = tuple((device, tuple(kernels[device.name])) for device in registry.devices())
    except AccelError as error:
        return WorkerInfo(host, (), True, str(error))
    return WorkerInfo(host, devices, named)


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def can_read(blobs: Sequence[FileBlob]) -> list[bool]:
    """Return of each blob whether this worker sees the very file: same size and time at the same path."""
    return [_can_read(blob) for blob in blobs]


def _can_read(blob: FileBlob) -> bool:
    try:
        status = os.stat(blob.path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (blob.file_size, blob.mtime_ns)
