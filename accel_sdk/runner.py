"""The runner: gives every device its share of the data, survives failures, merges the results in order.

Thin on purpose. Dask carries tasks and data and knows the workers; what to give to whom is decided in
`accel_sdk._dispatch`; where the devices are, in `accel_sdk._pool`. Both import Dask, so this module imports
them only when a runner first runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast, overload

from accel_sdk.device import parse_names
from accel_sdk.errors import ClosedError, DataError
from accel_sdk.kernel import In, Kernel, Out, Work, file_suffix
from accel_sdk.output import open_output, refuse_same_file, whole
from accel_sdk.registry import default_registry
from accel_sdk.report import DeviceReport, Report

if TYPE_CHECKING:
    from distributed import Client

    from accel_sdk._dispatch import Dispatch
    from accel_sdk._pool import Pool
    from accel_sdk._slot import Slot

_Self = TypeVar("_Self", bound="Runner")


@dataclass(frozen=True)
class RunnerOptions:
    """How a runner treats failures and how much it holds at once.

    Parameters
    ----------
    retries
        How often a failed chunk is run again, on another device while there is one.
    failures_to_set_aside
        A device that fails this often in a row gets no more work.
    chunk_timeout_s
        Longest wall time of a chunk, in seconds, opening the device not counted; ``None`` for no limit.
        A device whose call does not return is set aside.
    window
        Most chunks between input and merge; ``None`` for two a device and two more. Bounds memory.
    connect_timeout_s
        Longest wait for a scheduler.
    progress
        Called, in the thread that runs, with the amount of each chunk that is done, in the kernel's unit.

    Raises
    ------
    DataError
        If a number is out of its range.
    """

    retries: int = 2
    failures_to_set_aside: int = 3
    chunk_timeout_s: float | None = None
    window: int | None = None
    connect_timeout_s: float = 5.0
    progress: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise DataError(f"retries must not be negative, not {self.retries}")
        if self.failures_to_set_aside < 1:
            raise DataError(f"failures_to_set_aside must be 1 or more, not {self.failures_to_set_aside}")
        if self.chunk_timeout_s is not None and not self.chunk_timeout_s > 0:
            raise DataError(f"chunk_timeout_s must be positive, not {self.chunk_timeout_s}")
        if self.window is not None and self.window < 1:
            raise DataError(f"window must be 1 or more, not {self.window}")


_DEFAULTS = RunnerOptions()


class Runner:
    """Runs kernels on several devices at once. A context manager.

    Accelerators stay open between runs, until the runner closes.

    Parameters
    ----------
    devices
        Names or globs, as in ``$DEVICE``: ``"sim:*"``, ``"cpu:0,cpu:1"``, or a sequence of them. Without:
        hardware, else CPU cores; a simulated device is used only when it is named.
    scheduler
        A Dask scheduler's address, or a client (which stays the caller's): the devices are then those of
        its workers. Without: in this process.
    options
        See `RunnerOptions`.

    Attributes
    ----------
    report
        What the last run did, device by device.

    Raises
    ------
    DeviceNotFoundError
        If a name matches nothing; the text lists what exists.

    Examples
    --------
    >>> import accel_sdk as accel
    >>> from accel_drivers.gzip import Gunzip, Gzip
    >>> with accel.Runner(devices="cpu:*") as runner:
    ...     packed = runner.run(Gzip(), b"abc" * 1000)
    ...     runner.run(Gunzip(), packed) == b"abc" * 1000
    True
    """

    def __init__(
        self,
        devices: str | Sequence[str] | None = None,
        *,
        scheduler: str | Client | None = None,
        options: RunnerOptions = _DEFAULTS,
    ) -> None:
        self._names = devices
        self._scheduler = scheduler
        self._options = options
        self._pool: Pool | None = None
        self._closed = False
        self._turn = threading.Lock()
        self._rates: dict[tuple[str, str], float] = {}
        self.report = Report("", "B")
        if devices is not None:
            names = parse_names(devices, where="devices")
            if scheduler is None:
                default_registry().match(names)

    @overload
    def run(self, kernel: Kernel[In, Out], data: object, *, out: None = None) -> Out: ...
    @overload
    def run(self, kernel: Kernel[In, Out], data: object, *, out: Path | BinaryIO) -> None: ...
    def run(self, kernel: Kernel[In, Out], data: object, *, out: Path | BinaryIO | None = None) -> Out | None:
        """Run a kernel over all of `data` on all devices of this runner.

        Parameters
        ----------
        kernel
            What to compute.
        data
            What the kernel takes. Files are read in chunks; memory is viewed, not copied.
        out
            Write the result there as it comes, in place of returning it: memory stays bounded whatever its
            size. A file appears under its name only when it is complete; a pipe, device node or open file is
            written in place.

        Returns
        -------
        Out or None
            The merged result; ``None`` if it went to `out`.

        Raises
        ------
        DataError
            If the input is wrong; or, before anything runs, if the kernel writes no files of `out`'s suffix.
        DeviceNotFoundError, ClusterError
            If no device can do it, or the scheduler cannot be reached.
        NoDeviceLeftError
            If every device was set aside; the text says what each one said.
        OutputError
            If `out` cannot be written.
        ClosedError
            After `close`.
        """
        with self._turn:
            if self._closed:
                raise ClosedError("the runner was closed")
            if out is not None and not isinstance(out, Path) and not hasattr(out, "write"):
                raise DataError(
                    f"{out!r} is no output", hint="give a pathlib.Path or a file opened in binary mode"
                )
            if isinstance(out, Path):
                refuse_same_file(data, out)
                file_suffix(kernel, out)
            slots = self._slots(kernel)
            works = kernel.plan(data, self._shares(kernel, slots))
            dispatch = self._dispatch(slots, works)
            started = time.perf_counter()
            try:
                return _finish(kernel, dispatch, works, out)
            finally:
                wall_s = time.perf_counter() - started
                self.report = _report(kernel, slots, wall_s, dispatch.retries)
                self._learn(kernel, slots)

    def close(self) -> None:
        """Close every accelerator and what the runner started. May be called twice."""
        self._closed = True
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _slots(self, kernel: Kernel[In, Out]) -> list[Slot]:
        if self._pool is None:
            self._pool = self._open_pool(kernel)
        return self._pool.slots(kernel)

    def _open_pool(self, kernel: Kernel[In, Out]) -> Pool:
        if self._scheduler is not None:
            from accel_sdk._cluster import ClusterPool  # imports Dask

            return ClusterPool(self._scheduler, self._names, self._options.connect_timeout_s)
        default_registry().select(kernel, self._names)  # fail before anything is started
        from accel_sdk._embedded import EmbeddedPool  # imports Dask

        return EmbeddedPool(self._names)

    def _dispatch(self, slots: list[Slot], works: Iterator[Work[In, Out]]) -> Dispatch[Out]:
        from accel_sdk._dispatch import Dispatch, Limits  # imports Dask

        options = self._options
        limits = Limits(
            options.retries,
            options.failures_to_set_aside,
            options.chunk_timeout_s,
            options.window or 2 * len(slots) + 2,
        )
        return Dispatch(cast("Pool", self._pool), slots, works, limits, options.progress)

    def _shares(self, kernel: Kernel[In, Out], slots: list[Slot]) -> list[float]:
        """Return each device's relative speed: as measured before, else alike."""
        known = [self._rates.get((kernel.name, slot.device.name), 0.0) for slot in slots]
        measured = [rate for rate in known if rate]
        usual = sum(measured) / len(measured) if measured else 1.0
        return [rate or usual for rate in known]

    def _learn(self, kernel: Kernel[In, Out], slots: list[Slot]) -> None:
        for slot in slots:
            if slot.stats.rate:
                self._rates[kernel.name, slot.device.name] = slot.stats.rate


def _finish(
    kernel: Kernel[In, Out],
    dispatch: Dispatch[Out],
    works: Iterator[Work[In, Out]],
    out: Path | BinaryIO | None,
) -> Out | None:
    """Merge or write the results as they come; call everything off if that fails."""
    parts = dispatch.results()
    try:
        if out is None:
            return kernel.merge(parts)
        if isinstance(out, Path):
            with open_output(out) as file:
                kernel.write(parts, file, suffix=file_suffix(kernel, out))
        else:
            kernel.write(parts, whole(out))
        return None
    finally:
        for iterator in (parts, works):
            close = getattr(iterator, "close", None)  # a plan need not be a generator
            if close is not None:
                close()


def _report(kernel: Kernel[In, Out], slots: list[Slot], wall_s: float, retries: int) -> Report:
    rows = tuple(
        DeviceReport(
            slot.device.name,
            slot.device.kind,
            slot.stats,
            "" if slot.address.startswith("inproc:") else slot.address,
            slot.set_aside,
        )
        for slot in slots
    )
    return Report(kernel.name, kernel.unit, wall_s, rows, retries)
