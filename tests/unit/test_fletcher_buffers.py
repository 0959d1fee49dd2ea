"""The order of buffers, as observed of Fletcher's own runtime."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import accel_sdk as accel
from accel_drivers.fletcher import _buffers


def _roles(kind: pa.DataType, nullable: bool = False) -> str:
    schema = pa.schema([pa.field("x", kind, nullable=nullable)])
    return " ".join(slot.role[0] for slot in _buffers.slots(schema))


@pytest.mark.parametrize(
    ("kind", "nullable", "expected"),
    [
        (pa.int8(), False, "v"),
        (pa.uint64(), True, "v v"),
        (pa.float16(), False, "v"),
        (pa.date32(), False, "v"),
        (pa.time64("us"), False, "v"),
        (pa.timestamp("ns"), False, "v"),
        (pa.binary(7), False, "v"),
        (pa.decimal128(9, 2), True, "v v"),
        (pa.string(), False, "o v"),
        (pa.binary(), False, "o v"),
        (pa.string(), True, "v o v"),
        (pa.list_(pa.int32()), False, "o v v"),
        (pa.list_(pa.field("item", pa.int32(), False)), False, "o v"),
        (pa.list_(pa.field("item", pa.list_(pa.field("item", pa.int8(), False)), False)), False, "o o v"),
        (pa.struct([("a", pa.int32()), ("b", pa.int32())]), True, "v v v v v"),
        (pa.struct([pa.field("a", pa.int32(), False), pa.field("b", pa.string(), False)]), False, "v o v"),
    ],
    ids=str,
)
def test_the_table_of_types(kind: pa.DataType, nullable: bool, expected: str) -> None:
    assert _roles(kind, nullable) == expected


@pytest.mark.parametrize(
    "kind",
    [
        pa.bool_(),
        pa.null(),
        pa.duration("s"),
        pa.large_string(),
        pa.large_binary(),
        pa.large_list(pa.int8()),
        pa.list_(pa.int8(), 3),
        pa.dictionary(pa.int8(), pa.string()),
        pa.decimal256(50),
        pa.map_(pa.int8(), pa.int8()),
        pa.list_(pa.bool_()),
        pa.struct([("deep", pa.bool_())]),
    ],
    ids=str,
)
def test_what_fletcher_would_drop_is_refused_by_name(kind: pa.DataType) -> None:
    with pytest.raises(accel.UnsupportedError) as caught:
        _buffers.slots(pa.schema([("good", pa.int8()), ("wrong", kind)]))
    assert "wrong" in str(caught.value)


def _found(array: pa.Array, nullable: bool) -> list[bytes | None]:
    schema = pa.schema([pa.field("x", array.type, nullable=nullable)])
    batch = pa.RecordBatch.from_arrays([array], schema=schema)
    found = _buffers.buffers(batch)
    assert len(found) == len(_buffers.slots(schema))
    return [None if buffer is None else buffer.to_pybytes() for buffer in found]


def _int32(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little", signed=True) for number in numbers)


def test_the_field_decides_about_validity() -> None:
    assert _found(pa.array([1, 2], pa.int32()), False) == [_int32(1, 2)]
    assert _found(pa.array([1, 2], pa.int32()), True) == [None, _int32(1, 2)]
    validity, values = _found(pa.array([None, 2], pa.int32()), True)
    assert validity is not None
    assert validity[0] & 3 == 0b10
    assert values is not None
    assert values[4:8] == _int32(2)
    with pytest.raises(accel.DataError, match="without nulls, and has 1"):
        _found(pa.array([None, 2], pa.int32()), False)


def test_strings_and_lists() -> None:
    offsets, values = _found(pa.array(["ab", "", "c"]), False)
    assert offsets == _int32(0, 2, 2, 3)
    assert values == b"abc"
    numbers = pa.array([[1, 2], [3]], pa.list_(pa.field("item", pa.int32(), False)))
    assert _found(numbers, False) == [_int32(0, 2, 3), _int32(1, 2, 3)]


@pytest.mark.parametrize("nullable", [False, True])
def test_slices_begin_at_their_first_row(nullable: bool) -> None:
    def heads(found: list[Any], sizes: list[int]) -> list[bytes]:
        return [buffer[:size] for buffer, size in zip(found[nullable:], sizes, strict=True)]

    numbers = _found(pa.array([1, 2, 4, 8], pa.int32())[2:], nullable)
    assert heads(numbers, [8]) == [_int32(4, 8)]
    text = _found(pa.array(["xx", "ab", "c"])[1:], nullable)
    assert heads(text, [12, 3]) == [_int32(0, 2, 3), b"abc"]
    kind = pa.list_(pa.field("item", pa.int32(), False))
    lists = _found(pa.array([[9, 9], [1, 2], [3]], kind)[1:], nullable)
    assert heads(lists, [12, 12]) == [_int32(0, 2, 3), _int32(1, 2, 3)]
    pairs = pa.array([{"a": 9}, {"a": 1}], pa.struct([pa.field("a", pa.int32(), False)]))[1:]
    assert heads(_found(pairs, nullable), [4]) == [_int32(1)]


def test_empty_batches_have_all_their_slots() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.list_(pa.int8()))])
    empty = pa.RecordBatch.from_pylist([], schema=schema)
    assert len(_buffers.buffers(empty)) == 7
    assert len(_buffers.buffers(pa.RecordBatch.from_pylist([{"a": "x", "b": [1]}], schema)[1:])) == 7


def test_what_begins_anywhere_is_moved_to_a_bus_word() -> None:
    whole = pa.py_buffer(bytes(range(200)))
    for start in range(70):
        part = whole.slice(start, 100)
        for alignment in (64, 128):
            moved = _buffers.aligned(part, alignment)
            assert moved is not None
            assert moved.address % alignment == 0
            assert moved.to_pybytes() == part.to_pybytes()
    room = pa.allocate_buffer(64)
    assert _buffers.aligned(room) is room
    assert _buffers.aligned(None) is None
