"""The family's kernels on a device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from accel_drivers.fletcher import _buffers, _registers
from accel_drivers.fletcher._fletcher_kernel import Batches, FletcherKernel, Number
from accel_drivers.fletcher._kernel import Chunk, Sum
from accel_drivers.fletcher._platform import Platform
from accel_drivers.fletcher._rows import Rows, Total, nearest, slices, wrap
from accel_sdk.device import Device
from accel_sdk.driver import Accelerator
from accel_sdk.kernel import In, Kernel, Out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accel_drivers.fletcher._abi import Library
    from accel_drivers.fletcher._fletcher_kernel import Chunks

_INT64_BYTES = 8
_BITS = 64  # sums of shorter numbers always fit
_LINE_BYTES = 64  # what is rounded to it stays on the pages it was on
_BLOCK_ROWS = 512 * 1024  # 4 MiB: what is copied, because it is cast or has nulls, stays small
_SMALL_ROWS = 32 * 1024  # arrays below are put together: a run costs more than copying them
_FEW_ROWS = 4096
_MODULUS = 1 << 64


class FletcherAccelerator(Accelerator[In, Out]):
    """A kernel on a platform that is set up."""

    def __init__(self, kernel: Kernel[In, Out], device: Device, platform: Platform) -> None:
        super().__init__(kernel, device)
        self._platform = platform
        self._loaded_s = platform.library.device_s()

    @property
    def model(self) -> str:
        """What stands behind a simulated device, ``"rtl"`` or ``"functional"``; ``""`` for a board."""
        return self._platform.library.model()

    def _limit_s(self) -> float:
        return _registers.PATIENCE_S if self.timeout_s is None else self.timeout_s

    def _close(self) -> None:
        self._platform.close()

    def _device_s(self) -> float | None:
        if self._loaded_s is None or self._closed:
            return self.stats.device_s
        return cast(float, self._platform.library.device_s()) - self._loaded_s

    @abstractmethod
    def _run(self, chunk: In) -> Out:
        """Run one chunk."""


class Summer(FletcherAccelerator[Chunk, int]):
    """`Sum` on a device. Takes chunks, and whatever `Sum` takes, which it cuts into chunks itself."""

    def __init__(self, kernel: Sum, device: Device, platform: Platform) -> None:
        super().__init__(kernel, device, platform)
        self._sum = kernel
        self._helper: ThreadPoolExecutor | None = None

    def _run(self, chunk: Chunk) -> int:
        if isinstance(chunk, Rows):
            return self._total(chunk)
        return self._sum.merge(self._total(part) for part in self._sum.split(chunk, [1.0]))

    def _total(self, rows: Rows) -> Total:
        blocks = list(_blocks(rows.arrays))
        with self._platform.turn() as library:
            bounds = self._least_sums(blocks, rows.count)
            sums = [self._on_device(library, _values(block)) for block in blocks]
        exact = sum(nearest(wrapped, low) for wrapped, low in zip(sums, bounds, strict=True))
        return Total(exact, rows.count, sum(block.null_count for block in blocks))

    def _least_sums(self, blocks: list[pa.Array], rows: int) -> Iterator[int]:
        """Return of each block what its sum is not below. Much work is done beside the device's."""
        if rows < _BLOCK_ROWS or all(block.type.bit_width < _BITS for block in blocks):
            return map(_least_sum, blocks)
        if self._helper is None:
            self._helper = ThreadPoolExecutor(1, "accel-sum")
        return self._helper.map(_least_sum, blocks)

    def _close(self) -> None:
        if self._helper is not None:
            self._helper.shutdown(wait=False, cancel_futures=True)
        super()._close()

    def _on_device(self, library: Library, values: NDArray[np.int64]) -> int:
        """Return what the device says, a signed 64-bit number."""
        address = int(values.ctypes.data)
        if address % _INT64_BYTES:
            values = values.copy()
            address = int(values.ctypes.data)
        # The device counts rows from the start of a bus word, so the range begins within one.
        skipped = address % self._platform.bus_bytes
        first = skipped // _INT64_BYTES
        base = address - skipped
        end = -(-(address + values.nbytes) // _LINE_BYTES) * _LINE_BYTES
        with _registers.prepared(library, [(base, end - base)]) as addresses:
            ranges = [(first, first + len(values))]
            return wrap(_registers.run(library, ranges, addresses, timeout_s=self._limit_s()))


def _blocks(arrays: Iterable[pa.Array]) -> Iterator[pa.Array]:
    """Yield the arrays in pieces that suit the device: views of long ones, short ones put together."""
    waiting: list[pa.Array] = []
    rows = 0
    for array in arrays:
        if len(array) >= _SMALL_ROWS:
            yield from slices(array, _BLOCK_ROWS)
            continue
        waiting.append(array)
        rows += len(array)
        if rows >= _BLOCK_ROWS:
            yield pa.concat_arrays(waiting)
            waiting, rows = [], 0
    if rows:
        yield waiting[0] if len(waiting) == 1 else pa.concat_arrays(waiting)


def _values(block: pa.Array) -> NDArray[np.int64]:
    """Return an array's values as the device takes them, nulls as 0; a view where that can be."""
    if block.null_count:
        block = block.fill_null(0)
    if block.type.bit_width < _BITS:
        block = block.cast(pa.int64())
    return np.frombuffer(block.buffers()[1], np.int64, len(block), block.offset * _INT64_BYTES)


def _least_sum(block: pa.Array) -> int:
    """Return a number that the true sum is not below, and less than 2**64 above.

    With it, what the device says in 64 bits tells the true sum, and so whether it wrapped.
    """
    if block.type.bit_width < _BITS:
        return -(len(block) << 31)
    low, high = _bounds(block)
    if (high - low) * len(block) < _MODULUS:
        return low * len(block)
    values = _values(block)
    halves = values.view(np.uint64) if pa.types.is_unsigned_integer(block.type) else values
    return int((halves >> 32).sum()) << 32  # of the upper halves: what is missing is positive and small


def _bounds(block: pa.Array) -> tuple[int, int]:
    """Return the least and the greatest value of a block, a null being 0."""
    if len(block) < _FEW_ROWS and not block.null_count:  # a call of Arrow's costs more
        kind = np.uint64 if pa.types.is_unsigned_integer(block.type) else np.int64
        values = _values(block).view(kind)
        return int(values.min()), int(values.max())
    found = pc.min_max(block)
    low, high = found["min"].as_py() or 0, found["max"].as_py() or 0
    return (min(low, 0), max(high, 0)) if block.null_count else (low, high)


class General(FletcherAccelerator["Chunks", "list[Number]"]):
    """`FletcherKernel` on a device."""

    def __init__(self, kernel: FletcherKernel, device: Device, platform: Platform) -> None:
        super().__init__(kernel, device, platform)
        self._fletcher = kernel

    def _run(self, chunk: Chunks) -> list[Number]:
        if isinstance(chunk, Batches):
            return [self._one(chunk)]
        parts = self._fletcher.split(chunk, [1.0])
        return [self._one(cast(Batches, part)) for part in parts]

    def _one(self, chunk: Batches) -> Number:
        found = [buffer for batch in chunk.batches for buffer in _buffers.buffers(batch)]
        aligned = [_buffers.aligned(buffer, self._platform.bus_bytes) for buffer in found]
        spans = [(0, 0) if b is None or not b.size else (b.address, b.size) for b in aligned]
        ranges = [(0, batch.num_rows) for batch in chunk.batches]
        with self._platform.turn() as library, _registers.prepared(library, spans) as addresses:
            words = self._fletcher.arguments
            answer = _registers.run(library, ranges, addresses, words, timeout_s=self._limit_s())
        return self._fletcher.decoded(answer)
