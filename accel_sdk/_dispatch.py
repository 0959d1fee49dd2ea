"""The dispatch loop of a run: chunks out to devices, results back in order.

Every device has at most two chunks in hand: one it works on and one to go on with, which hides the trip
through Dask. A device that comes back asks for more, so faster ones take more. At most a window of chunks is
under way between the input and the merge, so memory does not grow with the input.
"""

from __future__ import annotations

import itertools
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from accel_sdk._pool import Pool
from accel_sdk._slot import Job, Slot
from accel_sdk._worker import Outcome, Task, open_device, run_chunk
from accel_sdk.errors import (
    AccelError,
    ClosedError,
    DataError,
    DeviceLostError,
    DeviceNotFoundError,
    KernelTimeoutError,
    NoDeviceLeftError,
)
from accel_sdk.kernel import AnyKernel, Out, Work

_log = logging.getLogger(__name__)

_PREFETCH_BELOW_S = 0.25  # where a chunk takes longer, the 10 ms of a Dask round trip do not matter
_CLOSED_POLL_S = 1.0  # how soon a run notices that another thread closed its runner
_OPEN_TIMEOUT_S = 120.0  # programming a card takes seconds; a queue before it, more


@dataclass(frozen=True)
class Limits:
    """What the loop keeps to; see `RunnerOptions`."""

    retries: int
    failures_to_set_aside: int
    chunk_timeout_s: float | None
    window: int


class Dispatch(Generic[Out]):
    """One run's loop.

    Parameters
    ----------
    pool, slots
        The devices.
    works
        What to do, lazily.
    progress
        Called with the amount of every chunk that is done.
    """

    def __init__(
        self,
        pool: Pool,
        slots: Sequence[Slot],
        works: Iterator[Work[Any, Out]],
        limits: Limits,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._pool = pool
        self._slots = list(slots)
        self._works = works
        self._limits = limits
        self._progress = progress
        self._exhausted = False
        self._waiting: deque[Job] = deque()  # given back by a device, or not yet taken by one
        self._results: dict[int, Out] = {}
        self._numbers = itertools.count()
        self._next_out = 0
        self._next_in = 0
        self._arrivals: queue.SimpleQueue[tuple[Slot, Job, int, Outcome]] = queue.SimpleQueue()
        self.retries = 0

    def results(self) -> Iterator[Out]:
        """Yield the results in input order. Closing the iterator calls off what is under way."""
        try:
            while True:
                self._fill()
                if self._next_out in self._results:
                    result = self._results.pop(self._next_out)
                    self._next_out += 1
                    yield result
                elif self._exhausted and self._next_out == self._next_in:
                    return
                else:
                    self._wait()
        finally:
            self._call_off()

    # --- giving out -------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Give every device what it may take, the emptiest first."""
        while True:
            free = [s for s in self._slots if not s.set_aside and len(s.in_flight) < _depth(s)]
            for slot in sorted(free, key=lambda s: len(s.in_flight)):
                job = self._job_for(slot)
                if job is not None:
                    self._submit(slot, job)
                    break
            else:
                self._check_waiting()
                return

    def _job_for(self, slot: Slot) -> Job | None:
        for job in self._waiting:
            if self._suits(job, slot):
                self._waiting.remove(job)
                return job
        while self._next_in - self._next_out < self._limits.window and not self._exhausted:
            new = self._pull()
            if new is None:
                return None
            if self._suits(new, slot):
                return new
            self._waiting.append(new)
        return None

    def _suits(self, job: Job, slot: Slot) -> bool:
        """Return whether a device can take a job and no untried one should have it instead."""
        if job.work.kernel.name not in slot.kernels:
            return False
        if slot.device.name not in job.tried:
            return True
        return all(s.device.name in job.tried for s in self._able(job))

    def _able(self, job: Job) -> list[Slot]:
        name = job.work.kernel.name
        return [s for s in self._slots if not s.set_aside and name in s.kernels]

    def _pull(self) -> Job | None:
        try:
            work = next(self._works)
        except StopIteration:
            self._exhausted = True
            return None
        job = Job(self._next_in, work)
        self._next_in += 1
        return job

    def _check_waiting(self) -> None:
        for job in self._waiting:
            if not self._able(job):
                raise self._none_left(job)

    def _submit(self, slot: Slot, job: Job) -> None:
        task = self._task(slot, job.work.kernel)
        try:
            if not self._pool.is_open(slot, task.key):
                self._send(slot, Job(-1, job.work, opens=True), open_device, task)
            self._send(slot, job, run_chunk, task, job.work.chunk)
        except DeviceLostError as error:
            self._waiting.appendleft(job)
            self._lose(slot, error)

    def _task(self, slot: Slot, kernel: AnyKernel) -> Task:
        key = self._pool.key_of(kernel)
        return Task(self._pool.cache, key, kernel, slot.device.name, self._limits.chunk_timeout_s)

    def _send(self, slot: Slot, job: Job, function: Callable[..., Outcome], *args: object) -> None:
        job.sent = number = next(self._numbers)
        arrivals = self._arrivals
        job.ticket = self._pool.send(
            slot, function, args, lambda outcome: arrivals.put((slot, job, number, outcome))
        )
        slot.in_flight.append(job)
        if len(slot.in_flight) == 1:
            self._start_clock(job)

    def _start_clock(self, job: Job) -> None:
        limit = _OPEN_TIMEOUT_S if job.opens else self._limits.chunk_timeout_s
        if limit is not None:
            # A device host process enforces the limit itself and says more; it gets the first word.
            job.deadline = time.monotonic() + limit + max(0.5, 0.1 * limit)

    # --- taking back ------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for the next thing to happen, and deal with it."""
        try:
            slot, job, number, outcome = self._arrivals.get(timeout=self._patience())
        except queue.Empty:
            self._check_open()
            self._check_deadlines()
            self._check_workers()
            return
        self._check_open()
        if job not in slot.in_flight or job.sent != number:
            return  # called off meanwhile
        slot.in_flight.remove(job)
        if slot.in_flight:
            self._start_clock(slot.in_flight[0])
        self._settle(slot, job, outcome)

    def _check_open(self) -> None:
        if self._pool.closed:
            raise ClosedError("the runner was closed while it was running")

    def _patience(self) -> float:
        deadlines = [s.in_flight[0].deadline for s in self._slots if s.in_flight]
        waits = [max(0.0, d - time.monotonic()) for d in deadlines if d is not None]
        if self._pool.poll_s is not None:
            waits.append(self._pool.poll_s)
        return min([*waits, _CLOSED_POLL_S])

    def _settle(self, slot: Slot, job: Job, outcome: Outcome) -> None:
        job.ticket = None
        slot.stats.add(outcome.stats)
        if outcome.error is not None:
            self._fail(slot, job, outcome.error, opened=outcome.opened)
            return
        if job.opens:
            self._pool.mark_open(slot, self._pool.key_of(job.work.kernel))
            return
        slot.failures_in_row = 0
        self._results[job.index] = outcome.result
        if self._progress is not None:
            self._progress(outcome.stats.amount)

    def _fail(self, slot: Slot, job: Job, error: AccelError, *, opened: bool) -> None:
        if isinstance(error, DataError):
            raise error  # the input's fault: another device would say the same
        _log.info("chunk %d failed on %s: %s", job.index, slot.device, error)
        slot.error = error
        if opened:
            slot.failures_in_row += 1
            job.tried.append(slot.device.name)
        if not opened:
            self._set_aside(slot, str(error))
        elif slot.failures_in_row >= self._limits.failures_to_set_aside:
            self._set_aside(slot, f"{slot.failures_in_row} failures in a row; the last: {error}")
        if not job.opens:
            self._give_back(job, error)
        if all(s.set_aside for s in self._slots):
            raise self._none_left(job) from error

    def _give_back(self, job: Job, error: AccelError) -> None:
        if len(job.tried) > self._limits.retries:
            error.message += f" (chunk {job.index} failed on {', '.join(job.tried)})"
            raise error
        if job.tried:
            self.retries += 1
        self._waiting.appendleft(job)

    def _set_aside(self, slot: Slot, reason: str) -> None:
        if slot.set_aside:
            return
        slot.set_aside = reason
        _log.warning("%s is set aside: %s", slot.device, reason)
        for job in reversed(slot.in_flight):
            self._forget(job)
            if not job.opens:
                self._waiting.appendleft(job)
        slot.in_flight.clear()

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            head = slot.in_flight[0] if slot.in_flight else None
            if head is None or head.deadline is None or now < head.deadline:
                continue
            slot.in_flight.popleft()
            self._forget(head)
            limit = _OPEN_TIMEOUT_S if head.opens else self._limits.chunk_timeout_s
            what = "opening it" if head.opens else f"chunk {head.index}"
            error = KernelTimeoutError(f"{what} did not finish within {limit:g} s", device=slot.device.name)
            slot.stats.failures += 1
            self._set_aside(slot, str(error))  # its thread is stuck: it can take no more
            self._pool.abandon(slot)
            self._fail(slot, head, error, opened=True)

    def _check_workers(self) -> None:
        if self._pool.poll_s is None:
            return
        active = [slot for slot in self._slots if not slot.set_aside]
        for slot in self._pool.gone(active):
            text = f"its worker {slot.address} is gone"
            self._lose(slot, DeviceLostError(text, device=slot.device.name))

    def _lose(self, slot: Slot, error: DeviceLostError) -> None:
        head = slot.in_flight.popleft() if slot.in_flight else None
        self._set_aside(slot, str(error))
        if head is not None:
            self._forget(head)
            self._fail(slot, head, error, opened=True)
        elif all(s.set_aside for s in self._slots):
            raise NoDeviceLeftError("every worker is gone", errors=self._said())

    def _none_left(self, job: Job) -> AccelError:
        said = self._said()
        errors = [slot.error for slot in self._slots if slot.error is not None]
        if len(self._slots) == 1 and errors:
            return errors[0]
        if not said:
            return DeviceNotFoundError(f"no device of this run can run {job.work.kernel.name}")
        return NoDeviceLeftError("no device is left: " + "; ".join(said.values()), errors=said)

    def _said(self) -> dict[str, str]:
        return {slot.device.name: slot.set_aside for slot in self._slots if slot.set_aside}

    def _forget(self, job: Job) -> None:
        if job.ticket is not None:
            job.ticket.forget()
        job.ticket = job.deadline = None

    def _call_off(self) -> None:
        for slot in self._slots:
            for job in slot.in_flight:
                self._forget(job)
            slot.in_flight.clear()
        self._waiting.clear()
        self._results.clear()


def _depth(slot: Slot) -> int:
    """Return how many jobs a device may have in hand."""
    if slot.stats.chunks and slot.stats.busy_s / slot.stats.chunks > _PREFETCH_BELOW_S:
        return 1
    return 2
