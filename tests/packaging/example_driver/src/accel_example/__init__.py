"""A driver for an imaginary board that swaps the case of letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from accel_sdk import Accelerator, Blob, DataError, Device, Driver, Kernel, Kind
from accel_sdk.data import as_blob, byte_chunks, bytes_result, flat
from accel_sdk.kernel import AnyKernel


@dataclass(frozen=True)
class SwapCase(Kernel["Blob | bytes", bytes]):
    """Swap the case of ASCII letters."""

    name: ClassVar[str] = "swapcase"
    writes_files: ClassVar[bool] = True

    chunk_bytes: int = field(default=1 << 20, metadata={"help": "bytes in each chunk"})

    def __post_init__(self) -> None:
        if self.chunk_bytes < 1:
            raise DataError(f"chunk_bytes must be positive, not {self.chunk_bytes}")

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Blob]:
        size = self.chunk_bytes
        return byte_chunks(data, shares, grain=size, least=size, most=size)

    def merge(self, parts: Iterable[bytes]) -> bytes:
        return b"".join(flat(parts))


class ExampleDriver(Driver):
    """One imaginary board."""

    name = "example.board"
    kernels = (SwapCase,)

    def devices(self) -> Iterable[Device]:
        return [Device("example-board", Kind.HARDWARE, "example")]

    def open(self, kernel: AnyKernel, device: Device) -> Accelerator[Blob | bytes, bytes]:
        if not isinstance(kernel, SwapCase):
            raise DataError(f"{self.name} cannot run {kernel.name}")
        return _Board(kernel, device)


class _Board(Accelerator["Blob | bytes", bytes]):
    def _run(self, chunk: Blob | bytes) -> bytes:
        return bytes_result(chunk, [bytes(as_blob(chunk).view()).swapcase()])
