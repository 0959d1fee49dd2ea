"""The devices of a running Dask cluster's workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Client
from distributed.comm import parse_address
from distributed.comm.registry import get_backend

from accel_sdk import device as _device
from accel_sdk._pool import Pool
from accel_sdk._slot import Slot, Ticket
from accel_sdk._worker import DeviceCache, Outcome, WorkerInfo, can_read, describe_worker
from accel_sdk.data import Blob, Carrier, FileBlob, MemoryBlob, sizeof
from accel_sdk.device import Device
from accel_sdk.driver import Stats
from accel_sdk.errors import ClusterError, DeviceLostError, DeviceNotFoundError
from accel_sdk.kernel import AnyKernel

if TYPE_CHECKING:
    from distributed import Future

_POLL_S = 1.0  # how often a cluster is asked which workers it still has
_INLINE_BYTES = 64 * 1024  # smaller chunks travel inside their task


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
        self._client = _connect(scheduler, timeout_s) if isinstance(scheduler, str) else scheduler
        self._address = str(getattr(self._client.scheduler, "address", scheduler))
        self._numbers = itertools.count()
        self._readable: dict[tuple[str, int, int], bool] = {}
        try:
            self._workers = self._ask_workers()
            self._client.register_plugin(DeviceCache(self.cache))
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

    def send(
        self,
        slot: Slot,
        function: Callable[..., Outcome],
        arguments: Sequence[object],
        deliver: Callable[[Outcome], None],
    ) -> Ticket:
        *others, last = arguments
        carried = self._carry(slot, last)
        number = next(self._numbers)
        future = self._client.submit(
            function,
            *others,
            carried,
            key=f"{self.cache}-{number}",
            workers=[slot.address],
            allow_other_workers=False,
            pure=False,
            priority=-number,  # first come, first served
        )
        future.add_done_callback(lambda done: deliver(_outcome(done, slot)))
        return _FutureTicket(future, carried)

    def _carry(self, slot: Slot, chunk: object) -> object:
        """Return what travels as the chunk: itself where it is small, a reference where it is not."""
        chunk = self._readable_chunk(chunk)
        if _bytes_to_send(chunk) <= _INLINE_BYTES and not isinstance(chunk, memoryview):
            return chunk
        try:
            # Unhashed: Dask would read all of it to name it.
            return self._client.scatter([chunk], workers=[slot.address], hash=False)[0]
        except (OSError, KeyError, TimeoutError) as error:  # Dask does not know the worker any more
            text = f"its worker {slot.address} does not answer"
            raise DeviceLostError(text, device=slot.device.name) from error

    def _readable_chunk(self, chunk: object) -> object:
        """Return a chunk with the content of those files in it that not every worker can read."""
        if isinstance(chunk, FileBlob):
            return self._readable_blobs([chunk])[0]
        if isinstance(chunk, Carrier):
            blobs = chunk.blobs
            readable = self._readable_blobs(blobs)
            same = all(new is old for new, old in zip(readable, blobs, strict=True))
            return chunk if same else chunk.with_blobs(tuple(readable))
        return chunk

    def _readable_blobs(self, blobs: Sequence[Blob]) -> list[Blob]:
        files = {_file_key(blob): blob for blob in blobs if isinstance(blob, FileBlob)}
        new = {key: blob for key, blob in files.items() if key not in self._readable}
        if new:  # one question for all of them
            answers = self._client.run(can_read, list(new.values())).values()
            self._readable.update({key: all(a[n] for a in answers) for n, key in enumerate(new)})
        return [
            MemoryBlob(blob.view(), blob.offset)
            if isinstance(blob, FileBlob) and not self._readable[_file_key(blob)]
            else blob
            for blob in blobs
        ]

    def gone(self, slots: Sequence[Slot]) -> list[Slot]:
        try:
            alive = self._client.scheduler_info(n_workers=-1)["workers"]
        except OSError as error:
            raise ClusterError(f"the scheduler at {self._address} is gone: {error}") from error
        return [slot for slot in slots if slot.address not in alive]

    def close(self) -> None:
        self.closed = True
        with suppress(Exception):  # the cluster may be gone
            self._client.unregister_worker_plugin(self.cache)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._ours:
            with suppress(Exception):
                self._client.close(timeout=2)

    def _ask_workers(self) -> dict[str, WorkerInfo]:
        answers: dict[str, Any] = self._client.run(describe_worker, on_error="return")
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
            chosen = _device.match(devices, self._names, where="asked for", strict=False)
        elif info.named:
            chosen = devices
        else:
            chosen = _device.preferred(devices)
        kernels = {device.name: names for device, names in info.devices}
        return [(device, kernels[device.name]) for device in chosen]

    def _no_device(self, kernel: AnyKernel) -> DeviceNotFoundError:
        seen = sorted({d.name for info in self._workers.values() for d, _ in info.devices})
        problems = sorted({info.problem for info in self._workers.values() if info.problem})
        asked = f" matching {','.join(self._names)}" if self._names else ""
        return DeviceNotFoundError(
            f"no worker of {self._address} has a device{asked} that can run {kernel.name}"
            + (f" ({'; '.join(problems)})" if problems else ""),
            hint=f"its {len(self._workers)} workers see: {', '.join(seen) or 'none'}",
        )


def _file_key(blob: FileBlob) -> tuple[str, int, int]:
    return blob.path, blob.file_size, blob.mtime_ns


def _bytes_to_send(chunk: object) -> int:
    if isinstance(chunk, Carrier):
        return sum(map(_bytes_to_send, chunk.blobs))
    return 0 if isinstance(chunk, FileBlob) else sizeof(chunk)


@dataclass(frozen=True)
class _FutureTicket:
    """A Dask task, and what holds its chunk in the worker's memory."""

    future: Future
    carried: object

    def forget(self) -> None:
        with suppress(Exception):  # the cluster may be gone
            self.future.cancel()


def _outcome(future: Future, slot: Slot) -> Outcome:
    """Return what became of a task. Dask's own failures mean that the worker is in trouble."""
    try:
        outcome: Outcome = future.result()
    except BaseException as error:  # CancelledError is one; this is no main thread, so no Ctrl-C comes here
        reason = str(error).partition("\n")[0]  # Dask likes to append whole tracebacks
        text = f"its worker failed: {type(error).__name__}: {reason}"
        return Outcome(Stats(failures=1), error=DeviceLostError(text, device=slot.device.name))
    return outcome


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
