"""Tables: put together, whatever the order of doing so, and written to every format part by part."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sdk import tables
from accel_sdk.errors import DataError

PATIENCE_S = 10.0


def _table(numbers: list[int], metadata: dict[bytes, bytes] | None = None, offset: int = 0) -> pa.Table:
    columns = {
        "number": pa.array(numbers, pa.int32()),
        "text": pa.array([f'a "{number}", b' for number in numbers], pa.string()),
        "kind": pa.array([f"kind {n % 3 + offset}" for n in numbers], pa.string()).dictionary_encode(),
        "pair": pa.array([[number, -number] for number in numbers], pa.list_(pa.int32(), 2)),
        "many": pa.array([list(range(number % 4)) for number in numbers], pa.list_(pa.int8())),
    }
    return pa.table(columns).replace_schema_metadata(metadata)


PARTS = [_table([1, 2, 3]), _table([]), _table([4, -5], offset=7)]

_VALUES = {
    b"accel.count": st.integers(-(10**30), 10**30).map(lambda number: str(number).encode()),
    b"accel.skipped": st.sampled_from([b"[]", b'["a"]', b'[ "b", {"c": [1, 2.5, null]} ]', b'["\xc3\xa9"]']),
    b"accel.note": st.sampled_from([b"first", b"second", b"[not json", b"1.5", b"", b"\xff"]),
    b"other": st.sampled_from([b"1", b"[2]", b"x"]),
}
_METADATA = st.none() | st.fixed_dictionaries({}, optional=_VALUES)
_SOME = st.builds(_table, st.lists(st.integers(-100, 100), max_size=4), _METADATA)


# --- concat ---------------------------------------------------------------------------------------


@given(st.lists(_SOME, min_size=3, max_size=5), st.data())
def test_it_does_not_matter_what_is_put_together_first(parts: list[pa.Table], draws: st.DataObject) -> None:
    middle = draws.draw(st.integers(1, len(parts) - 1))
    at_once = tables.concat(parts)
    in_turns = tables.concat([tables.concat(parts[:middle]), tables.concat(parts[middle:])])
    assert in_turns.equals(at_once)
    assert _meaning(in_turns) == _meaning(at_once)
    assert at_once.to_pylist() == [row for part in parts for row in part.to_pylist()]


def _meaning(table: pa.Table) -> dict[bytes, object]:
    """A list of one part is kept as it is written, spaces and all; one that was joined is written anew."""
    metadata = dict(table.schema.metadata or {})
    skipped = metadata.pop(b"accel.skipped", None)
    return {**metadata, b"accel.skipped": None if skipped is None else json.loads(skipped)}


def test_counters_add_and_lists_join() -> None:
    first = {b"accel.seen": b"3", b"accel.skipped": b'["a"]', b"labels": b"7", b"accel.net": b"cnv"}
    second = {b"accel.seen": b"-1", b"accel.skipped": b'["b", "c"]', b"labels": b"8", b"accel.net": b"lfc"}
    third = {b"accel.late": b"5"}
    joined = tables.concat([_table([], first), _table([], second), _table([], third), _table([])])
    assert joined.schema.metadata == {
        b"accel.seen": b"2",
        b"accel.skipped": b'["a", "b", "c"]',
        b"labels": b"7",
        b"accel.net": b"cnv",
        b"accel.late": b"5",
    }


def test_without_metadata_there_is_none() -> None:
    assert tables.concat(PARTS).schema.metadata is None


def test_metadata_of_columns_is_no_difference() -> None:
    plain = pa.table({"a": [1]})
    noted = plain.cast(pa.schema([pa.field("a", pa.int64(), metadata={b"note": b"x"})]))
    assert tables.concat([plain, noted]).to_pylist() == [{"a": 1}, {"a": 1}]
    file = io.BytesIO()
    tables.write([noted, plain], file, ".parquet")
    assert pq.read_table(file).to_pylist() == [{"a": 1}, {"a": 1}]


def test_no_row_is_copied() -> None:
    part = pa.table({"a": list(range(1000))})
    buffers = [chunk.buffers()[1].address for chunk in tables.concat([part, part]).column("a").chunks]
    assert buffers == [part.column("a").chunk(0).buffers()[1].address] * 2


@pytest.mark.parametrize(
    "other",
    [pa.table({"b": [1]}), pa.table({"a": ["x"]}), pa.table({"a": [1], "b": [2]})],
    ids=["name", "type", "number"],
)
@pytest.mark.parametrize("suffix", ["", *tables.FORMATS])
def test_tables_of_different_columns(other: pa.Table, suffix: str) -> None:
    parts = [pa.table({"a": [1]}), other]
    with pytest.raises(DataError, match="different columns: a int64; and "):
        tables.concat(parts)
    with pytest.raises(DataError, match="different columns"):
        tables.write(parts, io.BytesIO(), suffix)


def test_a_counter_that_is_a_list_elsewhere() -> None:
    with pytest.raises(DataError, match=r"accel\.x is of different kinds"):
        tables.concat([_table([], {b"accel.x": b"1"}), _table([], {b"accel.x": b"[1]"})])


def test_no_tables_at_all() -> None:
    with pytest.raises(DataError, match="no tables"):
        tables.concat([])
    with pytest.raises(DataError, match="no tables"):
        tables.write([], io.BytesIO(), ".csv")


# --- write ----------------------------------------------------------------------------------------


def _written(suffix: str, parts: list[pa.Table]) -> bytes:
    file = io.BytesIO()
    tables.write(iter(parts), file, suffix)
    return file.getvalue()


def test_parquet_has_a_row_group_for_each_part() -> None:
    file = pq.ParquetFile(io.BytesIO(_written(".parquet", PARTS)))
    assert file.read().to_pylist() == tables.concat(PARTS).to_pylist()
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [3, 2]


def test_arrow_has_a_batch_for_each_part_whatever_their_dictionaries() -> None:
    file = pa.ipc.open_file(_written(".arrow", PARTS))
    assert file.read_all().to_pylist() == tables.concat(PARTS).to_pylist()
    assert file.num_record_batches == 2


@pytest.mark.parametrize("suffix", ["", ".csv"])
def test_csv_has_one_header_and_plain_columns(suffix: str) -> None:
    rows = list(csv.reader(io.StringIO(_written(suffix, PARTS).decode())))
    assert rows[0] == ["number", "text", "kind", "pair_0", "pair_1", "many"]
    assert rows[1] == ["1", 'a "1", b', "kind 1", "1", "-1", "[0]"]
    assert rows[5] == ["-5", 'a "-5", b', "kind 8", "-5", "5", "[0, 1, 2]"]
    assert len(rows) == 6


def test_csv_of_lists_that_are_missing() -> None:
    lists = pa.array([[1, 2], None], pa.list_(pa.int32(), 2))
    texts = pa.array([None, ["é"]], pa.list_(pa.string()))
    table = pa.table({"a": lists, "b": texts, "c": pa.array([{"d": 1}, None])})
    rows = list(csv.reader(io.StringIO(_written(".csv", [table]).decode())))
    assert rows == [["a_0", "a_1", "b", "c"], ["1", "2", "", '{"d": 1}'], ["", "", '["\\u00e9"]', ""]]


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_no_rows_at_all(suffix: str) -> None:
    content = _written(suffix, [_table([]), _table([])])
    if suffix == ".parquet":
        read = pq.read_table(io.BytesIO(content))
    elif suffix == ".arrow":
        read = pa.ipc.open_file(content).read_all()
    else:
        assert content.decode() == '"number","text","kind","pair_0","pair_1","many"\n'
        return
    assert (read.num_rows, read.column_names) == (0, PARTS[0].column_names)


def test_counters_of_the_parts_are_not_written() -> None:
    """Those of the first part would pass for the whole's."""
    part = _table([1], {b"accel.seen": b"1", b"labels": b"x"})
    assert pq.read_table(io.BytesIO(_written(".parquet", [part, part]))).schema.metadata == {b"labels": b"x"}
    assert pa.ipc.open_file(_written(".arrow", [part, part])).schema.metadata == {b"labels": b"x"}


@pytest.mark.parametrize("suffix", ["", *tables.FORMATS])
def test_parts_are_written_as_they_come(suffix: str) -> None:
    """Nothing waits for the end: after each part the one before has left."""
    file, sizes = io.BytesIO(), []

    def parts() -> Iterator[pa.Table]:
        for number in range(4):
            yield _table([number] * 5000)
            sizes.append(len(file.getvalue()))

    tables.write(parts(), file, suffix)
    assert sizes == sorted(set(sizes)), "it grows with every part"


@pytest.mark.parametrize("suffix", ["", *tables.FORMATS])
def test_a_pipe_gets_the_same_bytes_as_a_file(suffix: str) -> None:
    reader, writer = os.pipe()
    found: list[bytes] = []

    def read() -> None:
        with open(reader, "rb") as file:
            found.append(file.read())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    with open(writer, "wb", buffering=0) as pipe:
        tables.write(PARTS, cast(BinaryIO, pipe), suffix)
        assert not pipe.closed
    thread.join(PATIENCE_S)
    assert found == [_written(suffix, PARTS)]


@pytest.mark.parametrize("suffix", ["", *tables.FORMATS])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_said_once(suffix: str) -> None:
    """The writers' own clean-up must not say it again, as an exception that nobody can catch."""
    with open("/dev/full", "wb", buffering=0) as full:
        with pytest.raises(OSError, match="No space left"):
            tables.write(PARTS, cast(BinaryIO, full), suffix)
        gc.collect()


@pytest.mark.parametrize("suffix", ["", *tables.FORMATS])
def test_a_part_that_fails_is_said_as_it_is(suffix: str) -> None:
    def parts() -> Iterator[pa.Table]:
        yield PARTS[0]
        raise KeyError("the second")

    with pytest.raises(KeyError, match="the second"):
        tables.write(parts(), io.BytesIO(), suffix)
    gc.collect()


@pytest.mark.parametrize("suffix", [".xlsx", "csv", ".CSV"])
def test_a_format_that_nobody_knows(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"'{suffix}'.*\.parquet, \.csv, \.arrow"):
        tables.write(PARTS, io.BytesIO(), suffix)


def test_what_a_table_is() -> None:
    assert tables.is_table(PARTS[0])
    assert not any(map(tables.is_table, (None, b"", [PARTS[0]], PARTS[0].to_batches()[0])))
