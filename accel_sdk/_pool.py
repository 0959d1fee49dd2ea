"""Where a runner's devices are: in this process, or on the workers of a Dask cluster."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, LocalCluster, Worker
from distributed.comm import parse_address
from distributed.comm.registry import get_backend

from accel_sdk import device as _device
from accel_sdk._memory import keep_freed_memory
from accel_sdk._slot import Slot
from accel_sdk._worker import DeviceCache, WorkerInfo, can_read, describe_worker
from accel_sdk.data import FileBlob
from accel_sdk.device import Device
from accel_sdk.errors import ClusterError, DeviceNotFoundError
from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import default_registry

_LOOPBACK = "127.0.0.1:0"
_UNWATCHED = {
    # Dask watches its workers: samples of every thread's stack 100 times a second, ticks 50 times. In this
    # process that takes the GIL from the devices' threads, and nobody looks at the result.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "60s",
}
_POLL_S = 1.0  # how often a cluster is asked which workers it still has


class Pool(ABC):
    """The devices of a runner, reached through a Dask client.

    Attributes
    ----------
    cache
        Name of the plugin that keeps this runner's accelerators on the workers.
    poll_s
        How often `gone` is worth asking; ``None`` where workers cannot go.
    """

    client: Client
    cache: str
    poll_s: float | None = None

    def __init__(self) -> None:
        self.cache = f"accel-{uuid4().hex}"
        self._kernels: list[tuple[AnyKernel, str]] = []
        self._open: set[tuple[str, str, str]] = set()

    def is_open(self, slot: Slot, key: str) -> bool:
        """Return whether a device has a kernel open, or was asked to open it; if not, note that it is now."""
        if (slot.address, slot.device.name, key) in self._open or key in slot.asked_to_open:
            return True
        slot.asked_to_open.add(key)
        return False

    def mark_open(self, slot: Slot, key: str) -> None:
        """Note that a device has opened a kernel: it stays open from run to run."""
        self._open.add((slot.address, slot.device.name, key))

    def key_of(self, kernel: AnyKernel) -> str:
        """Return what names a kernel with its parameters: equal kernels share their accelerators."""
        for known, key in self._kernels:
            if known is kernel or (type(known) is type(kernel) and _are_equal(known, kernel)):
                return key
        self._kernels.append((kernel, f"{kernel.name}-{len(self._kernels)}"))
        return self._kernels[-1][1]

    @abstractmethod
    def slots(self, kernel: AnyKernel) -> list[Slot]:
        """Return a fresh slot for each device that a run of `kernel` is to use.

        Raises
        ------
        DeviceNotFoundError, ClusterError
            If there is none.
        """

    def by_reference(self, blob: FileBlob, slots: Sequence[Slot]) -> bool:
        """Return whether every worker can read that file itself."""
        return True

    def gone(self, slots: Sequence[Slot]) -> list[Slot]:
        """Return the slots whose worker is no longer there."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Close every accelerator that this runner opened, and what else the pool started."""


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
            self.client = Client(self._cluster, set_as_default=False)
        self.client.register_plugin(DeviceCache(self.cache))
        workers = self._cluster.workers.values()
        self._addresses = {d.name: w.address for d, w in zip(candidates, workers, strict=False)}

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
        return [
            Slot(device, self._addresses[device.name], frozenset(kernels[device.name]))
            for device in registry.select(kernel, self._names)
            if device.name in self._addresses
        ]

    def close(self) -> None:
        with suppress(Exception):  # a cluster that is half gone must not hide why
            self.client.close(timeout=1)
        with suppress(Exception):
            self._cluster.close(timeout=5)


class ClusterPool(Pool):
    """The devices of a running cluster's workers.

    Parameters
    ----------
    scheduler
        Its address, or a client that stays the caller's.
    names
        Device names or globs; ``None`` for each worker's default devices.
    timeout_s
        Longest wait for the scheduler.
    """

    poll_s = _POLL_S

    def __init__(self, scheduler: str | Client, names: str | Sequence[str] | None, timeout_s: float) -> None:
        super().__init__()
        self._names = None if names is None else _device.parse_names(names, where="devices")
        self._ours = isinstance(scheduler, str)
        self.client = _connect(scheduler, timeout_s) if isinstance(scheduler, str) else scheduler
        self._address = str(getattr(self.client.scheduler, "address", scheduler))
        self._readable: dict[tuple[str, int, int], bool] = {}
        try:
            self._workers = self._ask_workers()
            self.client.register_plugin(DeviceCache(self.cache))
        except BaseException:
            self._disconnect()
            raise

    def slots(self, kernel: AnyKernel) -> list[Slot]:
        taken: set[tuple[str, str]] = set()
        slots: list[Slot] = []
        for address, info in self._workers.items():
            for device, kernels in self._usable(info):
                if kernel.name in kernels and (info.host, device.name) not in taken:
                    taken.add((info.host, device.name))
                    slots.append(Slot(device, address, frozenset(kernels)))
                    break  # one worker owns one device
        if not slots:
            raise self._no_device(kernel)
        return slots

    def by_reference(self, blob: FileBlob, slots: Sequence[Slot]) -> bool:
        key = (blob.path, blob.file_size, blob.mtime_ns)
        if key not in self._readable:
            answers = self.client.run(can_read, blob, workers=[s.address for s in slots])
            self._readable[key] = all(answers.values())
        return self._readable[key]

    def gone(self, slots: Sequence[Slot]) -> list[Slot]:
        try:
            alive = self.client.scheduler_info(n_workers=-1)["workers"]
        except OSError as error:
            raise ClusterError(f"the scheduler at {self._address} is gone: {error}") from error
        return [slot for slot in slots if slot.address not in alive]

    def close(self) -> None:
        with suppress(Exception):  # the cluster may be gone
            self.client.unregister_worker_plugin(self.cache)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._ours:
            with suppress(Exception):
                self.client.close(timeout=2)

    def _ask_workers(self) -> dict[str, WorkerInfo]:
        answers: dict[str, Any] = self.client.run(describe_worker, on_error="return")
        if not answers:
            raise ClusterError(f"the scheduler at {self._address} has no workers", hint="start workers there")
        failed = {a: e for a, e in answers.items() if isinstance(e, BaseException)}
        if len(failed) == len(answers):
            address, error = next(iter(failed.items()))
            raise ClusterError(
                f"worker {address} cannot run this SDK: {error}",
                hint="install accel-sdk and the drivers on every worker",
            )
        return {a: info for a, info in sorted(answers.items()) if a not in failed}

    def _usable(self, info: WorkerInfo) -> list[tuple[Device, tuple[str, ...]]]:
        devices = [device for device, _ in info.devices]
        if self._names is not None:
            chosen = [d for n in self._names for d in devices if _matches(d, n)]
        elif info.named:
            chosen = devices
        else:
            chosen = [d for d in devices if d.kind is _device.Kind.HARDWARE] or [
                d for d in devices if d.kind is _device.Kind.CPU
            ]
        kernels = {device.name: names for device, names in info.devices}
        return [(d, kernels[d.name]) for d in dict.fromkeys(chosen)]

    def _no_device(self, kernel: AnyKernel) -> DeviceNotFoundError:
        seen = sorted({d.name for info in self._workers.values() for d, _ in info.devices})
        problems = sorted({info.problem for info in self._workers.values() if info.problem})
        asked = f" matching {','.join(self._names)}" if self._names else ""
        return DeviceNotFoundError(
            f"no worker of {self._address} has a device{asked} that can run {kernel.name}"
            + (f" ({'; '.join(problems)})" if problems else ""),
            hint=f"its {len(self._workers)} workers see: {', '.join(seen) or 'none'}",
        )


def _quieten_dask() -> None:
    """Turn off the running commentary that Dask logs by default; a level that the user chose stays."""
    logger = logging.getLogger("distributed")
    if logger.level in (logging.NOTSET, logging.INFO):  # INFO is what Dask's own set-up gives it
        logger.setLevel(logging.ERROR)


def _are_equal(left: AnyKernel, right: AnyKernel) -> bool:
    try:
        return bool(left == right)
    except ValueError:  # arrays among the fields: they have no single truth
        return False


def _matches(device: Device, name: str) -> bool:
    with suppress(DeviceNotFoundError):
        return bool(_device.match([device], [name], where=""))
    return False


def _connect(address: str, timeout_s: float) -> Client:
    hint = "check the address (tcp://host:port) and that the scheduler runs"
    try:
        scheme, location = parse_address(address)
        get_backend(scheme).get_address_host(location)  # a client that cannot start is hard to get rid of
    except (ValueError, TypeError, ImportError) as error:
        text = f"cannot reach a scheduler at {address}: not an address"
        raise ClusterError(text, hint=hint) from error
    try:
        return Client(address, timeout=timeout_s, set_as_default=False)
    except OSError as error:
        text = f"cannot reach a scheduler at {address}: nobody answers"
        raise ClusterError(text, hint=hint) from error
