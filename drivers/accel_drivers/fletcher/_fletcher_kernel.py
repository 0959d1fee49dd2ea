"""Any other bitstream that Fletcher made: record batches in, a number out."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, SupportsIndex, Union

from accel_sdk.data import picklable
from accel_sdk.errors import DataError
from accel_sdk.kernel import Kernel

if TYPE_CHECKING:
    import pyarrow as pa

Number = Union[int, float]
Chunks = Union["Batches", "pa.RecordBatch", "pa.Table"]

_FORMATS = {
    "int8": "<b",
    "uint8": "<B",
    "int16": "<h",
    "uint16": "<H",
    "int32": "<i",
    "uint32": "<I",
    "int64": "<q",
    "uint64": "<Q",
    "float16": "<e",
    "float32": "<f",
    "float64": "<d",
}


@dataclass(frozen=True)
class Batches:
    """A chunk: the record batches of one run. To another process they travel in Arrow's stream format.

    Parameters
    ----------
    batches
        In the order in which the hardware has their registers.
    """

    batches: tuple[pa.RecordBatch, ...]

    @property
    def count(self) -> int:
        """Number of rows in all of them."""
        return sum(batch.num_rows for batch in self.batches)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(batch.nbytes for batch in self.batches)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        return _batches, tuple(picklable(_streamed(batch), protocol) for batch in self.batches)


def _streamed(batch: pa.RecordBatch) -> pa.Buffer:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _batches(*streams: object) -> Batches:
    import pyarrow as pa

    found = []
    for stream in streams:
        reader = pa.ipc.open_stream(pa.py_buffer(stream))
        found.append(next(iter(reader), None) or _empty(reader.schema))
    return Batches(tuple(found))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([], schema=schema)


@dataclass(frozen=True)
class FletcherKernel(Kernel[Chunks, "list[Number]"]):
    """A run of the loaded bitstream for every record batch.

    Input: a record batch, a table (a run for each of its batches) or a list of record batches, of whatever
    schema the bitstream was made for: nothing checks that it fits. Every buffer's address goes to the
    registers in the order that Fletcher gives them, absent validity as 0; slices are copied first.

    Result: a list with the return value of each run.

    Parameters
    ----------
    returns
        How the 64 bits of the result registers are to be read: ``"int64"``, ``"uint32"``, ``"float64"`` ...;
        shorter ones are the lowest bits.
    arguments
        32-bit words for the design's own registers, behind the buffers' addresses.
    inputs
        Record batches in each run, for designs with several: that many in a row belong together.

    Raises
    ------
    DataError
        If a parameter is out of its range.
    """

    name: ClassVar[str] = "fletcher"
    unit: ClassVar[str] = "row"

    returns: str = field(default="int64", metadata={"help": "type of the return value"})
    arguments: tuple[int, ...] = field(default=(), metadata={"help": "words for the design's registers"})
    inputs: int = field(default=1, metadata={"help": "record batches in each run"})

    def __post_init__(self) -> None:
        if self.returns not in _FORMATS:
            raise DataError(f"returns must be one of {', '.join(_FORMATS)}, not {self.returns!r}")
        if not all(isinstance(word, int) and 0 <= word < 1 << 32 for word in self.arguments):
            raise DataError("arguments must be unsigned 32-bit words", hint="pass a longer one as two")
        if self.inputs < 1:
            raise DataError(f"inputs must be 1 or more, not {self.inputs}")

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Chunks]:
        from accel_drivers.fletcher import _buffers

        batches = _as_batches(data)
        for schema in {batch.schema for batch in batches}:
            _buffers.slots(schema)
        if len(batches) % self.inputs:
            raise DataError(f"{len(batches)} record batches are not groups of {self.inputs}")
        for start in range(0, len(batches), self.inputs):
            yield Batches(tuple(batches[start : start + self.inputs]))

    def merge(self, parts: Iterable[list[Number]]) -> list[Number]:
        return [number for part in parts for number in part]

    def amount(self, chunk: object) -> int:
        return chunk.count if isinstance(chunk, Batches) else self.total(chunk) or 0

    def total(self, data: object) -> int | None:
        return sum(int(batch.num_rows) for batch in _as_batches(data))

    def decoded(self, bits: int) -> Number:
        """Return the number that the result registers stand for."""
        number: Number = struct.unpack_from(_FORMATS[self.returns], bits.to_bytes(8, "little"))[0]
        return number


def _as_batches(data: object) -> list[pa.RecordBatch]:
    import pyarrow as pa

    if isinstance(data, Batches):
        return list(data.batches)
    if isinstance(data, pa.RecordBatch):
        return [data]
    if isinstance(data, pa.Table):
        return list(data.to_batches())
    if isinstance(data, (list, tuple)) and all(isinstance(item, pa.RecordBatch) for item in data):
        return list(data)
    raise DataError(f"{type(data).__name__} is no record batch", hint="give one, a list of them, or a table")
