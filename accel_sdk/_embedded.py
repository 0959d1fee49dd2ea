"""All devices in this process: the runner's default.

Each device has a Dask worker with one thread, and one Dask task for the life of the runner: it takes calls
from a queue and delivers their outcomes, by reference. A Dask task for each chunk would cost the devices 4 ms
of every chunk, measured, because Dask's event loop and their threads share one GIL.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import dask
from distributed import Client, LocalCluster, Worker

from accel_sdk import device as _device
from accel_sdk._memory import keep_freed_memory
from accel_sdk._pool import Pool
from accel_sdk._slot import Slot, Ticket
from accel_sdk._worker import DeviceCache, Outcome
from accel_sdk.device import Device
from accel_sdk.errors import DeviceLostError
from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import default_registry

if TYPE_CHECKING:
    from distributed import Future

_LOOPBACK = "127.0.0.1:0"
_UNWATCHED = {
    # Dask watches its workers: samples of every thread's stack 100 times a second, ticks 50 times. In this
    # process that takes the GIL from the devices' threads, and nobody looks at the result.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "60s",
}


@dataclass
class _Call:
    """A call on its way to a device."""

    function: Callable[..., Outcome]
    arguments: tuple[object, ...]
    deliver: Callable[[Outcome], None]
    forgotten: bool = False

    def forget(self) -> None:
        self.forgotten = True
        self.arguments = ()  # the chunk's memory is not held by a device that hangs


_Inbox = Union["queue.SimpleQueue[_Call | None]"]
_INBOXES: dict[str, _Inbox] = {}  # by name, because Dask's tasks carry no queues


def _pump(name: str) -> None:
    """Run the calls of an inbox, in a Dask worker's thread, until the pool closes."""
    inbox = _INBOXES.get(name)
    while inbox is not None and (call := inbox.get()) is not None:
        arguments = call.arguments
        if not call.forgotten:
            call.deliver(call.function(*arguments))
        del call, arguments  # or the chunk would stay until the next one comes


class _EmbeddedWorker(Worker):
    """A worker that closes without waiting for its thread.

    A native call cannot be interrupted. Its thread is a daemon and its accelerator closes itself when the
    call returns, so waiting would only keep Ctrl-C, or a hung device, from ending the program.
    """

    async def close(
        self,
        timeout: float = 30,
        executor_wait: bool = True,
        nanny: bool = True,
        reason: str = "worker-close",
    ) -> str | None:
        result: str | None = await super().close(
            timeout=timeout, executor_wait=False, nanny=nanny, reason=reason
        )
        return result


class EmbeddedPool(Pool):
    """All devices in this process, a Dask worker with one thread for each. Nothing is copied.

    Parameters
    ----------
    names
        Device names or globs; ``None`` for the default devices.
    """

    def __init__(self, names: str | Sequence[str] | None) -> None:
        super().__init__()
        self._names = names
        candidates = self._candidates()
        _quieten_dask()
        keep_freed_memory()
        with dask.config.set(_UNWATCHED):
            self._cluster = LocalCluster(
                n_workers=len(candidates),
                processes=False,
                threads_per_worker=1,
                worker_class=_EmbeddedWorker,
                dashboard_address=_LOOPBACK,  # Dask insists on its HTTP servers; nobody else is to see them
                worker_dashboard_address=_LOOPBACK,
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,  # Dask would spill what is on its way to the output
                silence_logs=False,  # it would turn the log on again at its end, for other runners too
            )
            self._client = Client(self._cluster, set_as_default=False)
        self._client.register_plugin(DeviceCache(self.cache))
        workers = self._cluster.workers.values()
        self._addresses = {d.name: w.address for d, w in zip(candidates, workers, strict=True)}
        self._inboxes: dict[str, _Inbox] = {}
        self._pumps: list[Future] = []
        self._abandoned: set[str] = set()

    def _candidates(self) -> list[Device]:
        """Return every device that some kernel could be given; a worker costs 3 ms."""
        if self._names is not None:
            return default_registry().match(self._names)
        seen = default_registry().devices()
        if _device.names_from_environment() is not None:
            return seen
        return [device for device in seen if device.kind is not _device.Kind.SIMULATED]

    def slots(self, kernel: AnyKernel) -> list[Slot]:
        registry = default_registry()
        kernels = registry.kernels_by_device()
        chosen = [d for d in registry.select(kernel, self._names) if d.name in self._addresses]
        usable = [d for d in chosen if d.name not in self._abandoned]
        if chosen and not usable:
            raise DeviceLostError(
                f"a call on {_device.name_list(chosen)} never returned", hint="start a new process"
            )
        return [Slot(d, self._addresses[d.name], frozenset(kernels[d.name])) for d in usable]

    def send(
        self,
        slot: Slot,
        function: Callable[..., Outcome],
        arguments: Sequence[object],
        deliver: Callable[[Outcome], None],
    ) -> Ticket:
        call = _Call(function, tuple(arguments), deliver)
        self._inbox(slot).put(call)
        return call

    def abandon(self, slot: Slot) -> None:
        self._abandoned.add(slot.device.name)

    def _inbox(self, slot: Slot) -> _Inbox:
        """Return the queue that feeds a device; start the Dask task that empties it if need be."""
        if slot.device.name not in self._inboxes:
            name = f"{self.cache}-{slot.device.name}"
            inbox = self._inboxes[slot.device.name] = _INBOXES[name] = queue.SimpleQueue()
            self._pumps.append(
                self._client.submit(
                    _pump, name, key=name, workers=[slot.address], allow_other_workers=False, pure=False
                )
            )
            return inbox
        return self._inboxes[slot.device.name]

    def close(self) -> None:
        self.closed = True
        for inbox in self._inboxes.values():
            inbox.put(None)
        for name in self._inboxes:
            _INBOXES.pop(f"{self.cache}-{name}", None)
        with suppress(Exception):  # a cluster that is half gone must not hide why
            self._client.close(timeout=1)
        with suppress(Exception):
            self._cluster.close(timeout=5)


def _quieten_dask() -> None:
    """Turn off the running commentary that Dask logs by default; a level that the user chose stays."""
    logger = logging.getLogger("distributed")
    if logger.level in (logging.NOTSET, logging.INFO):  # INFO is what Dask's own set-up gives it
        logger.setLevel(logging.ERROR)
