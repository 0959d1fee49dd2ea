"""The buffers of a record batch in the order of the hardware's registers.

Of each column, depth first: validity, but only if the field is nullable; offsets; values; then children. The
field decides, not the data: a nullable field without nulls has a slot without a buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from accel_sdk.errors import DataError, UnsupportedError

_Test = Callable[[pa.DataType], bool]

# Those with a single buffer of values. What is missing here and below (bool, duration, large and view types,
# dictionary ...) Fletcher's own runtime drops without a word, and every column after it.
_FIXED_WIDTH: tuple[_Test, ...] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_fixed_size_binary,
    pa.types.is_decimal128,
)


@dataclass(frozen=True)
class Slot:
    """A buffer that the hardware has an address for.

    Attributes
    ----------
    name
        Path of the field, and what it is: ``"person.name:offsets"``.
    role
        ``"validity"``, ``"offsets"`` or ``"values"``.
    """

    name: str
    role: str


def slots(schema: pa.Schema) -> tuple[Slot, ...]:
    """Return the buffers of a schema in register order.

    Raises
    ------
    UnsupportedError
        If a column is of a type that Fletcher does not know; the text names both.
    """
    return tuple(slot for field in schema for slot in _of_field(field, field.name))


def buffers(batch: pa.RecordBatch) -> list[pa.Buffer | None]:
    """Return the buffers of a batch in register order, ``None`` for what is absent.

    Every array begins at its buffers' first row: slices are copied, whole batches are viewed.

    Raises
    ------
    UnsupportedError
        As for `slots`.
    DataError
        If a field that is not nullable has nulls: the hardware has no register for their validity.
    """
    wanted = slots(batch.schema)
    whole = normalised(batch)
    found: list[pa.Buffer | None] = []
    for field, column in zip(whole.schema, whole.columns, strict=True):
        found += _of_array(field, column, field.name)
    if len(found) != len(wanted):  # a defect, and the registers after it would be wrong
        raise DataError(f"a batch with {len(found)} buffers does not match its schema's {len(wanted)}")
    return found


def normalised(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose arrays have no offset: itself, or a copy. The hardware knows no offsets."""
    if not any(_has_offset(column) for column in batch.columns):
        return batch
    sink = pa.BufferOutputStream()  # the format has no offsets, however deep
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    reader = pa.ipc.open_stream(sink.getvalue())
    return next(iter(reader), batch.slice(0, 0))


def aligned(buffer: pa.Buffer | None, alignment: int = 64) -> pa.Buffer | None:
    """Return a buffer that begins where the bus reads whole words: itself, or a copy.

    The hardware finds an element by its number, not by its address: what begins elsewhere is read wrong.
    """
    if buffer is None or not buffer.size or buffer.address % alignment == 0:
        return buffer
    room = pa.allocate_buffer(buffer.size + alignment)
    shift = -room.address % alignment
    np.frombuffer(room, np.uint8)[shift : shift + buffer.size] = np.frombuffer(buffer, np.uint8)
    return room.slice(shift, buffer.size)


def _has_offset(array: pa.Array) -> bool:
    return bool(array.offset) or any(map(_has_offset, _children(array)))


def _children(array: pa.Array) -> list[pa.Array]:
    if pa.types.is_list(array.type):
        return [array.values]
    if pa.types.is_struct(array.type):
        return [_member(array, number) for number in range(array.type.num_fields)]
    return []


def _member(array: pa.Array, number: int) -> pa.Array:
    """Return a child of a struct as it is, without the struct's own nulls."""
    return array.field(number)


def _of_field(field: pa.Field, path: str) -> Iterator[Slot]:
    kind = field.type
    if field.nullable:
        yield Slot(f"{path}:validity", "validity")
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_list(kind):
        yield Slot(f"{path}:offsets", "offsets")
    if pa.types.is_list(kind):
        yield from _of_field(kind.value_field, f"{path}.{kind.value_field.name}")
    elif pa.types.is_struct(kind):
        for child in kind:
            yield from _of_field(child, f"{path}.{child.name}")
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or any(test(kind) for test in _FIXED_WIDTH):
        yield Slot(f"{path}:values", "values")
    else:
        raise UnsupportedError(f"column {path!r} is of type {kind}, which Fletcher does not know")


def _of_array(field: pa.Field, array: pa.Array, path: str) -> Iterator[pa.Buffer | None]:
    kind = field.type
    own = array.buffers()
    if field.nullable:
        yield own[0] if array.null_count else None
    elif array.null_count:
        raise DataError(f"column {path!r} is declared without nulls, and has {array.null_count}")
    if pa.types.is_list(kind):
        yield own[1]
        yield from _of_array(kind.value_field, array.values, f"{path}.{kind.value_field.name}")
    elif pa.types.is_struct(kind):
        for number, child in enumerate(kind):
            yield from _of_array(child, _member(array, number), f"{path}.{child.name}")
    else:
        yield from own[1:]
