"""`Sum`: every kind of input, checked against Arrow's own sum and Python's integers."""

from __future__ import annotations

import io
import logging
import mmap
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accel_sdk as accel
from accel_drivers.fletcher import Sum, Total
from accel_drivers.fletcher import _accelerator as accelerator_module
from accel_drivers.fletcher._rows import Rows, nearest, wrap

TYPES = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


@pytest.fixture(scope="module")
def summer() -> Iterator[accel.Accelerator[Any, int]]:
    with accel.open(Sum(), "sim:0") as opened:
        yield opened


def _python_sum(data: Any) -> int:
    return sum(n for n in data.to_pylist() if n is not None)


@st.composite
def columns(draw: st.DrawFn) -> pa.ChunkedArray:
    """Columns of any integer type: chunks that are slices, with nulls, at any address."""
    kind = draw(st.sampled_from(TYPES))
    bits = kind.bit_width
    low, high = (
        (0, 2**bits - 1) if pa.types.is_unsigned_integer(kind) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    values = st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, 1]))
    if draw(st.booleans()):
        values = st.one_of(values, st.none())
    chunks = []
    for _ in range(draw(st.integers(0, 4))):
        array = pa.array(draw(st.lists(values, max_size=70)), kind)
        if draw(st.booleans()):
            array = _moved(array, draw(st.integers(0, 70)))
        start = draw(st.integers(0, len(array)))
        chunks.append(array.slice(start, draw(st.integers(0, len(array)))))
    return pa.chunked_array(chunks, kind)


def _moved(array: pa.Array, shift: int) -> pa.Array:
    """Return the same array with its values at another address, aligned to nothing."""
    validity, values = array.buffers()
    if values is None:
        return array
    room = bytearray(values.size + shift)
    room[shift:] = values.to_pybytes()
    moved = pa.py_buffer(memoryview(room)[shift:])
    return pa.Array.from_buffers(array.type, len(array), [validity, moved], offset=array.offset)


@settings(max_examples=150)
@given(columns(), st.lists(st.floats(0.1, 10), min_size=1, max_size=4))
def test_sums_are_those_of_arrow(summer: Any, column: pa.ChunkedArray, shares: list[float]) -> None:
    exact = _python_sum(column)
    result = summer.run(column)
    assert result == wrap(exact)
    assert (result.exact, result.rows, result.nulls) == (exact, len(column), column.null_count)
    # A chunk may have gone to another process.
    chunks = [
        pickle.loads(pickle.dumps(chunk, protocol))
        for chunk in Sum().split(column, shares)
        for protocol in (4, 5)
    ]
    assert Sum().merge(summer.run(chunk) for chunk in chunks[::2]) == result
    assert Sum().merge(summer.run(chunk) for chunk in chunks[1::2]) == result
    theirs = pc.sum(column).as_py()
    if not result.wrapped and not pa.types.is_unsigned_integer(column.type):
        assert result == (theirs or 0)


@settings(max_examples=40)
@given(columns(), st.integers(1, 40), st.integers(1, 40))
def test_pieces_of_any_size(summer: Any, column: pa.ChunkedArray, block: int, small: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator_module, "_BLOCK_ROWS", block)
        patch.setattr(accelerator_module, "_SMALL_ROWS", small)
        patch.setattr(accelerator_module, "_FEW_ROWS", 8)
        assert summer.run(column).exact == _python_sum(column)


@given(st.integers(-(2**90), 2**90), st.integers(0, 2**64 - 1))
def test_a_wrapped_sum_tells_the_true_one(exact: int, below: int) -> None:
    assert nearest(wrap(exact), exact - below) == exact
    assert -(2**63) <= wrap(exact) < 2**63


@pytest.mark.parametrize(
    ("numbers", "expected"), [([10, 20, 30, 40, 50, 60, 70, 80], 360), ([1, -3, 3, -7], -6)]
)
def test_the_predecessors_data(summer: Any, numbers: list[int], expected: int) -> None:
    assert summer.run(pa.record_batch({"number": numbers})) == expected


def test_a_slice_is_itself(summer: Any) -> None:
    batch = pa.record_batch({"number": [1, 2, 4, 8]})
    assert summer.run(batch[2:4]) == 12, "Fletcher's own runtime says 3"


def test_random_columns_of_several_blocks(summer: Any) -> None:
    numbers = np.random.default_rng(5).integers(-(2**40), 2**40, 1_500_000)
    nulls = np.random.default_rng(6).random(len(numbers)) < 0.3
    with_nulls = pa.array(numbers, mask=nulls)
    assert summer.run(pa.array(numbers)) == pc.sum(pa.array(numbers)).as_py()
    assert summer.run(with_nulls) == pc.sum(with_nulls).as_py()
    assert summer.run(with_nulls).nulls == with_nulls.null_count
    wide = pa.array(np.random.default_rng(7).integers(-(2**63), 2**63 - 1, 1_200_000))
    assert summer.run(wide).exact == _python_sum(wide)


def test_many_small_batches_are_put_together(summer: Any) -> None:
    column = pa.chunked_array([[n, None] for n in range(3000)])
    assert summer.run(column) == 3000 * 2999 // 2


# --- nothing, nulls, overflow ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pa.table({"n": pa.array([], pa.int64())}),
        pa.record_batch({"n": pa.array([], pa.int8())}),
        pa.chunked_array([], pa.uint16()),
        pa.array([None, None], pa.int64()),
        pa.nulls(3),
        np.empty(0, np.int32),
    ],
    ids=["table", "batch", "no chunks", "all null", "of type null", "numpy"],
)
def test_the_sum_of_nothing_is_0(summer: Any, data: Any) -> None:
    assert summer.run(data) == 0
    assert [chunk.count for chunk in Sum().split(data, [1.0, 2.0])] == [len(data)] or len(data) == 0


def test_overflow_wraps_and_is_reported(summer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "accel_drivers.fletcher"):
        result = summer.run(pa.array([2**63 - 1, 1]))
    assert result == -(2**63)
    assert result.wrapped
    assert "9223372036854775808 does not fit" in caplog.text
    assert Sum().summary(result)["wrapped"] is True
    assert "does not fit" in Sum().lines(result)[-1]


def test_overflow_on_the_way_is_none(summer: Any, caplog: pytest.LogCaptureFixture) -> None:
    chunks = [pa.array([2**63 - 1]), pa.array([2**63 - 1]), pa.array([-(2**63), -(2**63) + 2])]
    with caplog.at_level(logging.WARNING, "accel_drivers.fletcher"):
        result = Sum().merge(summer.run(Rows((chunk,))) for chunk in chunks)
    assert (int(result), result.wrapped) == (0, False)
    assert not caplog.records


def test_a_large_uint64_is_negative_to_the_hardware(summer: Any) -> None:
    result = summer.run(pa.array([2**64 - 1], pa.uint64()))
    assert (int(result), result.exact, result.wrapped) == (-1, 2**64 - 1, True)


def test_a_total_is_an_int_that_travels() -> None:
    total = Total(2**70, 3, 1)
    again = pickle.loads(pickle.dumps(total))
    assert (again, again.exact, again.rows, again.nulls) == (0, 2**70, 3, 1)
    assert Sum().summary(5) == {"sum": 5}
    assert Sum().lines(5) == []


# --- where the numbers come from ------------------------------------------------------------------

TABLE = pa.table(
    {"number": pa.array([3, None, 5], pa.int64()), "text": ["a", "b", "c"], "half": [0.5, 1.5, 2.5]}
)


def _ipc(table: pa.Table, make: Callable[..., Any], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with make(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


FORMATS = {
    "t.arrow": _ipc(TABLE, pa.ipc.new_file),
    "packed.arrow": _ipc(TABLE, pa.ipc.new_file, options=pa.ipc.IpcWriteOptions(compression="zstd")),
    "t.arrows": _ipc(TABLE, pa.ipc.new_stream),
    "t.parquet": _parquet(TABLE),
    "t.csv": _csv(TABLE),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("way", ["path", "bytes", "file", "pipe"])
def test_every_format_every_way(summer: Any, tmp_path: Path, name: str, way: str) -> None:
    content = FORMATS[name]
    path = tmp_path / name
    path.write_bytes(content)
    if way == "path":
        assert summer.run(path) == 8
    elif way == "bytes":
        assert summer.run(content) == 8
    elif way == "file":
        with path.open("rb") as file:
            assert summer.run(file) == 8
    else:
        reading, writing = os.pipe()
        feeder = threading.Thread(target=_feed, args=(writing, content))
        feeder.start()
        with open(reading, "rb") as pipe:
            assert summer.run(pipe) == 8
        feeder.join()


def _feed(pipe: int, content: bytes) -> None:
    with open(pipe, "wb") as file:
        file.write(content)


def test_a_zipped_csv(summer: Any, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(FORMATS["t.csv"]))
    assert summer.run(path) == 8


def test_readers_frames_and_arrays(summer: Any) -> None:
    assert summer.run(TABLE.to_reader()) == 8
    assert summer.run(np.arange(10, dtype=">i4")) == 45
    assert summer.run(np.arange(20).reshape(4, 5)[:, ::2]) == sum(range(20)) - sum(
        n for n in range(20) if n % 5 % 2
    )
    frame = type("Frame", (), {"__arrow_c_stream__": lambda self, *args: TABLE.__arrow_c_stream__(*args)})()
    assert summer.run(frame) == 8


@pytest.mark.parametrize("name", FORMATS)
def test_files_of_several_batches_split(tmp_path: Path, name: str, summer: Any) -> None:
    kind = name.rpartition(".")[2]
    table = pa.table({"n": pa.chunked_array([range(k, k + 50) for k in range(40)])})
    made = {"arrow": lambda: _ipc(table, pa.ipc.new_file), "arrows": lambda: _ipc(table, pa.ipc.new_stream)}
    content = made.get(kind, lambda: (_parquet if kind == "parquet" else _csv)(table))()
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("_LEAST_ROWS", "_MOST_ROWS", "_STREAM_ROWS", "_GRAIN_ROWS"):
            patch.setattr(f"accel_drivers.fletcher._inputs.{limit}", 300)
        chunks = list(Sum().split(path, [1.0, 1.0]))
    assert len(chunks) > 3
    assert sum(map(Sum().amount, chunks)) == 2000
    assert Sum().merge(map(summer.run, chunks)) == pc.sum(table.column(0)).as_py()


def test_totals_are_known_where_they_are_cheap(tmp_path: Path) -> None:
    for name, content in FORMATS.items():
        (tmp_path / name).write_bytes(content)
    kernel = Sum("number")
    assert kernel.total(TABLE) == kernel.total(tmp_path / "t.parquet") == 3
    assert kernel.total(tmp_path / "t.csv") is None
    assert kernel.total(tmp_path / "missing") is None
    assert kernel.total(TABLE.to_reader()) is None
    assert Sum("nothing").total(TABLE) is None


# --- bad input ------------------------------------------------------------------------------------


def _refused(data: Any, column: str | None = None) -> str:
    with pytest.raises(accel.DataError) as caught:
        list(Sum(column).split(data, [1.0]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_that_cannot_be_chosen() -> None:
    text = _refused(TABLE, "nmber")
    assert "no column 'nmber'" in text
    assert "number (int64), text (string), half (double)" in text
    assert "several columns of integers" in _refused(pa.table({"a": [1], "b": [2]}))
    assert "no column of integers" in _refused(pa.table({"a": ["x"], "b": [2.0]}))
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert "2 columns 'a'" in _refused(twice, "a")
    assert "no column 'a'" in _refused(pa.array([1]), "a")
    assert "no column 'a'" in _refused(np.arange(3), "a")
    with pytest.raises(accel.DataError, match="column must be a name"):
        Sum(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([True]),
        pa.array([1.5]),
        pa.array(["x"]),
        pa.array([b"x"]),
        pa.array([1], pa.timestamp("us")),
        pa.array([1], pa.duration("s")),
        pa.array([1], pa.decimal128(5)),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array(["x"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type).split("<")[0],
)
def test_types_that_are_no_integers_are_named(column: pa.Array) -> None:
    kind = str(column.type).split("<")[0]
    assert kind in _refused(column)
    assert kind in _refused(pa.table({"n": column}), "n")


def test_arrays_that_are_no_integers_are_named() -> None:
    assert "float64" in _refused(np.zeros(3))
    assert "bool" in _refused(np.zeros(3, bool))


@pytest.mark.parametrize("name", FORMATS)
def test_files_that_are_cut(tmp_path: Path, name: str) -> None:
    content = FORMATS[name]
    path = tmp_path / name
    if not name.endswith(".csv"):
        for cut in (9, len(content) // 2, len(content) - 9):
            path.write_bytes(content[:cut])
            assert name in _refused(path, "number")
    path.write_bytes(b"")
    assert name in _refused(path, "number")
    path.write_bytes(bytes(100))
    assert "neither an Arrow, Parquet nor CSV file" in _refused(path)


def test_a_csv_whose_rows_differ(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    assert "damaged" in _refused(path, "a")
    path.write_text("a\n1.5\n")
    assert "double" in _refused(path)
    (tmp_path / "t.arrow").write_text("a\n1\n")
    assert "neither" in _refused(tmp_path / "t.arrow"), "the name says what it is to be"
    assert "cannot read" in _refused(tmp_path / "missing.arrow")
    assert "directory" in _refused(tmp_path)


@pytest.mark.parametrize("data", ["text", object(), None, 7])
def test_what_is_no_input(data: Any) -> None:
    assert _refused(data)


def test_more_rows_than_a_register_counts() -> None:
    """2**32 rows and some, on paper: 32 GiB of addresses, none of which is read."""
    rows = 2**32 + 5
    with mmap.mmap(-1, mmap.PAGESIZE) as room:
        start = pa.py_buffer(room).address
        column = pa.Array.from_buffers(
            pa.int64(), rows, [None, pa.foreign_buffer(start, 8 * rows)], null_count=0
        )
        chunks = list(Sum().split(column, [1.0, 1.0]))
        assert sum(chunk.count for chunk in chunks) == rows
        assert max(chunk.count for chunk in chunks) < 2**31
        blocks = list(accelerator_module._blocks([column]))
        assert sum(map(len, blocks)) == rows
        assert max(map(len, blocks)) < 2**31
        del chunks, blocks, column


# --- copies ---------------------------------------------------------------------------------------


def _addresses(chunks: Any) -> list[int]:
    return [array.buffers()[1].address + array.offset * 8 for chunk in chunks for array in chunk.arrays]


def test_nothing_is_copied_on_the_way_to_the_device() -> None:
    numbers = pa.array(range(2_000_000))
    table = pa.table({"n": numbers})
    start = numbers.buffers()[1].address
    before = pa.total_allocated_bytes()
    chunks = list(Sum().split(table, [1.0, 1.0]))
    assert len(chunks) > 2
    expected = [start + 8 * sum(c.count for c in chunks[:n]) for n in range(len(chunks))]
    assert _addresses(chunks) == expected
    with accel.open(Sum(), "sim:0") as board:
        seen: list[tuple[int, int, bool]] = []
        library = board._platform.library  # type: ignore[attr-defined]
        prepare = library.prepare

        def spy(address: int, nbytes: int) -> tuple[int, bool]:
            given = prepare(address, nbytes)
            seen.append((address, given[0], given[1]))
            return given[0], given[1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(library, "prepare", spy)
            assert board.run(table) == pc.sum(numbers).as_py()
    assert all(host == device and not allocated for host, device, allocated in seen)
    assert {host for host, _, _ in seen} <= set(range(start, start + 16_000_000, 64))
    assert pa.total_allocated_bytes() == before


def test_a_mapped_file_is_read_in_place(tmp_path: Path, summer: Any) -> None:
    table = pa.table({"n": pa.array(range(100_000))})
    path = tmp_path / "t.arrow"
    path.write_bytes(_ipc(table, pa.ipc.new_file))
    before = pa.total_allocated_bytes()
    chunks = list(Sum().split(path, [1.0]))
    assert pa.total_allocated_bytes() - before < 10_000
    assert Sum().merge(map(summer.run, chunks)) == pc.sum(table.column(0)).as_py()


def test_only_the_rows_of_a_slice_travel_and_out_of_band() -> None:
    column = pa.array([None, *range(1_000_000)])
    chunk = Rows((column[5003:5103],))
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(chunk, protocol=5, buffer_callback=buffers.append)
    assert len(text) < 300
    assert sum(buffer.raw().nbytes for buffer in buffers) < 1000
    again = pickle.loads(text, buffers=buffers)
    assert again.arrays[0].equals(column[5003:5103])


def test_the_runner_sums_on_several_devices() -> None:
    table = Sum().sample(16_000_000)
    with accel.Runner("sim:*") as runner:
        assert runner.run(Sum(), table) == pc.sum(table.column("number")).as_py()
        assert runner.report.total.amount == len(table) == 2_000_000
        assert len(runner.report.devices) == 2
        assert runner.report.total.device_s
