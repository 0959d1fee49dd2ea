"""Drivers for the device host tests: importable in the child, and as unruly as vendors' libraries are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from accel_sdk.device import Device, Kind
from accel_sdk.driver import Accelerator, AnyAccelerator, Driver
from accel_sdk.errors import CorruptStreamError, DeviceBusyError
from accel_sdk.kernel import AnyKernel, Kernel

DEVICE = Device("unruly:0", Kind.SIMULATED)


@dataclass(frozen=True)
class Act(Kernel[Any, Any]):
    """Does what the chunk says if that is a tuple; else gives the chunk back.

    Parameters
    ----------
    on_open
        How opening fails; ``""`` if it does not.
    raw
        Whether what comes as a buffer goes back as it came, not as bytes.
    """

    name: ClassVar[str] = "act"

    on_open: str = ""
    raw: bool = False

    def split(self, data: Any, shares: Sequence[float]) -> Iterator[Any]:
        return iter([data])

    def merge(self, parts: Iterable[Any]) -> Any:
        return list(parts)


@dataclass(frozen=True)
class Unpicklable(Act):
    """Carries something that cannot travel."""

    what: Callable[[], int] = lambda: 1


class Unruly(Accelerator[Any, Any]):
    """Obeys the commands that chunks are."""

    def __init__(self, kernel: Act, device: Device) -> None:
        super().__init__(kernel, device)
        self._runs = 0
        self._raw = kernel.raw

    def _run(self, chunk: Any) -> Any:
        self._runs += 1
        if isinstance(chunk, memoryview) and not self._raw:
            return bytes(chunk)
        if not isinstance(chunk, tuple):
            return chunk
        command, *arguments = chunk
        return getattr(self, f"_do_{command}")(*arguments)

    def _device_s(self) -> float | None:
        return 0.25 * self._runs

    def _do_pid(self) -> int:
        return os.getpid()

    def _do_wait(self, fifo: str, answer: object = None) -> object:
        Path(f"{fifo}.entered").touch()
        with open(fifo, "rb") as file:  # blocks until somebody writes
            file.read()
        return answer

    def _do_corrupt(self) -> None:
        raise CorruptStreamError("damaged", offset_bytes=77, hint="look there")

    def _do_stumble(self) -> None:
        raise ZeroDivisionError("no such luck")

    def _do_lambda(self) -> object:
        return lambda: 1  # cannot travel

    def _do_abort(self) -> None:
        os.write(1, b"on standard output\n")
        os.write(2, b"\nterminate called after throwing\n")
        os.abort()

    def _do_exit(self, status: int) -> None:
        sys.exit(status)

    def _do_leave(self, status: int) -> None:
        os._exit(status)

    def _do_flood(self, nbytes: int) -> int:
        os.write(1, b"x" * (nbytes - 1) + b"\n")
        return nbytes


class UnrulyDriver(Driver):
    """Opens `Unruly`, or fails to."""

    name = "unruly.host"
    kernels = (Act,)

    def devices(self) -> Iterable[Device]:
        return [DEVICE]

    def isolated(self, kernel: AnyKernel, device: Device) -> bool:
        return True

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        assert isinstance(kernel, Act)
        if kernel.on_open == "busy":
            raise DeviceBusyError("held by process 4711", device=device.name)
        if kernel.on_open == "exit":
            sys.exit("the vendor's library gave up")
        if kernel.on_open == "abort":
            os.abort()
        return Unruly(kernel, device)
