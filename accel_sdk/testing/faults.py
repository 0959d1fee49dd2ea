"""Fault injection: make a device fail, stall, hang or corrupt its results, on chosen chunks."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Union

from accel_sdk.device import Device
from accel_sdk.driver import Accelerator, AnyAccelerator
from accel_sdk.errors import AccelError, DataError, KernelFaultError
from accel_sdk.registry import default_registry

Chosen = Union[Collection[int], Callable[[int], bool]]
"""Which runs on a device: their numbers, counted from 0, or a function of the number."""


def every(n: int, *, start: int = 0) -> Callable[[int], bool]:
    """Choose every `n`-th run, beginning with run number `start`; ``every(1)`` chooses all."""
    return lambda number: number >= start and (number - start) % n == 0


@dataclass
class FaultLog:
    """What a faulty device did. Filled while it runs.

    Attributes
    ----------
    runs
        How many chunks it was given.
    failed, delayed, hung, corrupted
        Numbers of the runs that got that fault.
    """

    runs: int = 0
    failed: list[int] = field(default_factory=list)
    delayed: list[int] = field(default_factory=list)
    hung: list[int] = field(default_factory=list)
    corrupted: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    fail: Chosen
    delay: Chosen
    hang: Chosen
    corrupt: Chosen
    delay_s: float
    error: AccelError | None
    damage: Callable[[Any], Any]


@contextmanager
def faulty(
    device: str | Device,
    *,
    fail: Chosen = (),
    delay: Chosen = (),
    hang: Chosen = (),
    corrupt: Chosen = (),
    delay_s: float = 0.05,
    error: AccelError | None = None,
    damage: Callable[[Any], Any] | None = None,
) -> Iterator[FaultLog]:
    """Make a device, real or simulated, misbehave within the block.

    Works on accelerators that this process opens within the block: by `accel_sdk.open` and by runners with
    no scheduler. The device itself is untouched.

    Parameters
    ----------
    device
        Name of the device.
    fail
        Runs that raise `error` in place of running.
    delay
        Runs that take `delay_s` seconds longer.
    hang
        Runs that do not return before the block ends; they then fail.
    corrupt
        Runs whose result goes through `damage`.
    error
        Default: `KernelFaultError`.
    damage
        Takes a result and returns a wrong one. Default: flips a bit in the middle of bytes or of an array,
        adds one to an integer.

    Yields
    ------
    FaultLog
        What happened, to be asserted on.
    """
    plan = _Plan(fail, delay, hang, corrupt, delay_s, error, damage or flip_a_bit)
    log, numbers, ended = FaultLog(), itertools.count(), threading.Event()

    def wrap(accelerator: AnyAccelerator) -> AnyAccelerator:
        return _FaultyAccelerator(accelerator, plan, log, numbers, ended)

    with default_registry().intercept(str(device), wrap):
        try:
            yield log
        finally:
            ended.set()  # lets hanging runs go, so that no thread outlives the block


class _FaultyAccelerator(Accelerator[Any, Any]):
    """Passes chunks on to the real accelerator, or not."""

    def __init__(
        self,
        inner: AnyAccelerator,
        plan: _Plan,
        log: FaultLog,
        numbers: Iterator[int],
        ended: threading.Event,
    ) -> None:
        super().__init__(inner.kernel, inner.device)
        self._inner = inner
        self._plan = plan
        self._log = log
        self._numbers = numbers
        self._ended = ended

    def _run(self, chunk: object) -> object:
        number = next(self._numbers)
        self._log.runs += 1
        if _is_chosen(self._plan.hang, number):
            self._log.hung.append(number)
            self._ended.wait()
            raise self._fault("hung until the end of the test")
        if _is_chosen(self._plan.delay, number):
            self._log.delayed.append(number)
            self._ended.wait(self._plan.delay_s)
        if _is_chosen(self._plan.fail, number):
            self._log.failed.append(number)
            raise self._plan.error or self._fault(f"fault injected into run {number}")
        result = self._inner.run(chunk)
        if _is_chosen(self._plan.corrupt, number):
            self._log.corrupted.append(number)
            result = self._plan.damage(result)
        return result

    def _fault(self, text: str) -> KernelFaultError:
        return KernelFaultError(text, device=self.device.name)

    def _close(self) -> None:
        self._inner.close()

    def _device_s(self) -> float | None:
        return self._inner.stats.device_s


def _is_chosen(chosen: Chosen, number: int) -> bool:
    return chosen(number) if callable(chosen) else number in chosen


def flip_a_bit(result: Any) -> Any:
    """Return a copy of a result with one bit wrong.

    Raises
    ------
    DataError
        If it is of a kind that needs a `damage` function of its own.
    """
    if isinstance(result, int):
        return result ^ 1
    if isinstance(result, (bytes, bytearray, memoryview)) and len(result):
        wrong = bytearray(result)
        wrong[len(wrong) // 2] ^= 1
        return bytes(wrong)
    if hasattr(result, "dtype") and result.size:
        copy = result.copy()
        copy.reshape(-1).view("uint8")[copy.nbytes // 2] ^= 1
        return copy
    raise DataError(f"cannot corrupt a {type(result).__name__}", hint="give a damage function")
