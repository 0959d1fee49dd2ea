"""A toy family: its devices sleep, fail and count as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from accel_sdk import Accelerator, DataError, Device, Driver, Kernel, KernelFaultError, Kind, Work
from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import Registry


@dataclass(frozen=True)
class Square(Kernel["list[int]", "list[int]"]):
    """Squares numbers. Chunks of one size, so that tests can count them."""

    name: ClassVar[str] = "square"
    unit: ClassVar[str] = "number"
    size: int = 10

    def split(self, data: object, shares: Sequence[float]) -> Iterator[list[int]]:
        assert isinstance(data, Iterable)
        chunk: list[int] = []
        for number in data:
            chunk.append(number)
            if len(chunk) == self.size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def merge(self, parts: Iterable[list[int]]) -> list[int]:
        return [number for part in parts for number in part]

    def amount(self, chunk: list[int]) -> int:
        return len(chunk)


@dataclass(frozen=True)
class Cube(Square):
    """Another kernel, on fewer devices."""

    name: ClassVar[str] = "cube"


@dataclass(frozen=True)
class Both(Square):
    """A plan of other kernels: even chunks are squared, odd ones cubed."""

    name: ClassVar[str] = "both"

    def plan(self, data: object, shares: Sequence[float]) -> Iterator[Work[list[int], list[int]]]:
        for number, chunk in enumerate(self.split(data, shares)):
            yield Work(Cube(self.size) if number % 2 else Square(self.size), chunk)


@dataclass
class Toy:
    """What the toy devices do, and what was done to them."""

    count: int = 2
    run: Callable[[str, list[int]], None] = lambda device, chunk: None
    open: Callable[[str], None] = lambda device: None
    opened: list[tuple[str, str]] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _ToyAccelerator(Accelerator["list[int]", "list[int]"]):
    def __init__(self, kernel: Square, device: Device, toy: Toy) -> None:
        super().__init__(kernel, device)
        self._toy = toy
        self._power = 3 if isinstance(kernel, Cube) else 2
        toy.opened.append((kernel.name, device.name))

    def _run(self, chunk: list[int]) -> list[int]:
        if any(number < 0 for number in chunk):
            raise DataError("negative numbers are bad input here")
        self._toy.run(self.device.name, chunk)
        return [number**self._power for number in chunk]

    def _close(self) -> None:
        self._toy.closed.append((self.kernel.name, self.device.name))


class _ToyDriver(Driver):
    name = "toy.one"
    kernels: ClassVar[tuple[type[AnyKernel], ...]] = (Square, Cube, Both)

    def __init__(self, toy: Toy) -> None:
        self._toy = toy

    def devices(self) -> Iterable[Device]:
        return [Device(f"toy:{n}", Kind.HARDWARE) for n in range(self._toy.count)]

    def open(self, kernel: AnyKernel, device: Device) -> _ToyAccelerator:
        self._toy.open(device.name)
        assert isinstance(kernel, Square)
        return _ToyAccelerator(kernel, device, self._toy)


class _SquareOnly(_ToyDriver):
    """One more device, which cannot cube."""

    name = "toy.square"
    kernels = (Square,)

    def devices(self) -> Iterable[Device]:
        return [Device("plain:0", Kind.HARDWARE)]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy family in place of all others."""
    made = Toy()
    registry = Registry([_ToyDriver(made), _SquareOnly(made)])
    monkeypatch.setattr("accel_sdk.registry._default", registry)
    return made


@pytest.fixture
def square() -> type[Square]:
    return Square


@pytest.fixture
def cube() -> type[Cube]:
    return Cube


@pytest.fixture
def both() -> type[Both]:
    return Both


@pytest.fixture
def fault() -> Callable[[str], KernelFaultError]:
    return lambda device: KernelFaultError("no luck", device=device)
