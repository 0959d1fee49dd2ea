"""Where the integers of a sum come from: Arrow's objects, arrays, files and streams of three formats.

Everything is read as Arrow arrays of one column, lazily, and viewed in place where that can be: memory is
never copied, a file in Arrow's own format is mapped.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import pyarrow as pa

from accel_drivers.fletcher._rows import Rows
from accel_sdk.data import Blob, FileBlob, MemoryBlob, chunk_sizes, open_input, read_exactly, rejoined
from accel_sdk.errors import AccelError, CorruptStreamError, DataError

if TYPE_CHECKING:
    pass

_GRAIN_ROWS = 1024  # pieces of an aligned column begin at a multiple of any bus's word
_LEAST_ROWS = 512 * 1024  # 8 ms of RTL
_MOST_ROWS = 16 * 1024 * 1024  # 128 MiB
_STREAM_ROWS = 2 * 1024 * 1024  # where nobody knows how much is to come
_MAGIC_BYTES = 8
_TEXT_BYTES = 4096
_TABLES = (".arrow", ".feather", ".ipc", ".arrows", ".parquet", ".pq")
_FILE, _STREAM, _PARQUET, _CSV = "an Arrow file", "an Arrow stream", "a Parquet file", "a CSV file"


@dataclass(frozen=True)
class Source:
    """A column of integers, to be read once.

    Parameters
    ----------
    arrays
        The column, lazily.
    rows
        How many there are, where that is known beforehand.
    """

    arrays: Iterator[pa.Array]
    rows: int | None = None


def split(data: object, column: str | None, shares: Sequence[float]) -> Iterator[Rows]:
    """Yield the column as chunks of rows, by reference; at least one, even if it is empty."""
    if isinstance(data, Rows):
        data = _chunked(data)
        column = None
    with ExitStack() as stack:
        source = open_source(data, column, stack)
        if source.rows is None:
            sizes: Iterator[int] = itertools.repeat(_STREAM_ROWS)
        else:
            sizes = chunk_sizes(source.rows, shares, grain=_GRAIN_ROWS, least=_LEAST_ROWS, most=_MOST_ROWS)
        yield from _pieces(source.arrays, sizes)


def count(data: object, column: str | None) -> int | None:
    """Return the number of rows where it is known without reading them; 'data' is not used up."""
    if isinstance(data, Rows):
        return data.count
    if hasattr(data, "read") or isinstance(data, pa.RecordBatchReader):
        return None
    if isinstance(data, os.PathLike) and not Path(data).is_file():
        return None
    try:
        with ExitStack() as stack:
            return open_source(data, column, stack).rows
    except AccelError:
        return None  # running it will say why


def open_source(data: object, column: str | None, stack: ExitStack) -> Source:
    """Return the column that is to be summed.

    Raises
    ------
    DataError
        If `data` is nothing of the kind, has no such column, or the column's type is none of integers.
    """
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        chosen = data.column(_index(data.schema, column, "the table"))
        return _in_memory(chosen, "the column")
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        return _in_memory(_without_name(data, column), "the array")
    if isinstance(data, np.ndarray):
        return _in_memory(_from_numpy(data, column), "the array")
    if not isinstance(data, pa.RecordBatchReader) and hasattr(data, "__arrow_c_stream__"):
        data = pa.RecordBatchReader.from_stream(data)
    if isinstance(data, pa.RecordBatchReader):
        number = _index(data.schema, column, "the stream")
        return Source(_checked((batch.column(number) for batch in data), "the stream"))
    return _opened(data, column, stack)


# --- memory ---------------------------------------------------------------------------------------


def _in_memory(column: pa.Array | pa.ChunkedArray, what: str) -> Source:
    arrays = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    _check_type(column.type, what)
    return Source(_checked(arrays, what), len(column))


def _chunked(rows: Rows) -> pa.ChunkedArray:
    kinds = {array.type for array in rows.arrays}
    if len(kinds) > 1:
        raise DataError(f"arrays of different types are no column: {', '.join(map(str, kinds))}")
    return pa.chunked_array(list(rows.arrays), type=next(iter(kinds), pa.int64()))


def _without_name(data: pa.Array | pa.ChunkedArray, column: str | None) -> pa.Array | pa.ChunkedArray:
    if column is not None:
        raise DataError(f"an array has no column {column!r}", hint="leave the column out")
    return data


def _from_numpy(data: np.ndarray[tuple[int, ...], np.dtype[np.generic]], column: str | None) -> pa.Array:
    _without_name(pa.nulls(0), column)
    if data.dtype.kind not in "iu":
        raise DataError(f"an array of {data.dtype} cannot be summed", hint="give integers")
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    return pa.array(np.ascontiguousarray(data).reshape(-1))


def _index(schema: pa.Schema, column: str | None, where: str) -> int:
    """Return the number of the column to sum: the one named, else the only one of integers."""
    if column is not None:
        return _named(schema, column, where)
    if len(schema) == 1:
        return 0
    integers = [number for number, kind in enumerate(schema.types) if pa.types.is_integer(kind)]
    if len(integers) == 1:
        return integers[0]
    problem = "several columns of integers" if integers else "no column of integers"
    raise DataError(f"{where} has {problem}: {_columns(schema)}", hint="name the column to sum")


def _named(schema: pa.Schema, column: str, where: str) -> int:
    found: list[int] = schema.get_all_field_indices(column)
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} columns" if found else "no column"
    raise DataError(f"{where} has {problem} {column!r}", hint=f"it has: {_columns(schema)}")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"


def _check_type(kind: pa.DataType, what: str) -> None:
    if not (pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise DataError(f"{what} is of type {kind}, and only integers can be summed", hint="cast it")


def _checked(arrays: Iterable[pa.Array], what: str) -> Iterator[pa.Array]:
    """Yield the arrays; each is of integers and holds as much as it says."""
    for array in arrays:
        _check_type(array.type, what)
        if pa.types.is_null(array.type):
            array = pa.nulls(len(array), pa.int64())
        try:
            array.validate()
        except pa.ArrowException as error:
            raise _corrupt(what, error) from error
        yield array


# --- files and streams ----------------------------------------------------------------------------


def _opened(data: object, column: str | None, stack: ExitStack) -> Source:
    name = os.fspath(data) if isinstance(data, os.PathLike) else "the input"
    source = open_input(data)
    if isinstance(source, Blob):
        return _from_blob(source, str(name), column, stack)
    if source is not data:
        stack.enter_context(source)
    return _from_stream(source, str(name), column, stack)


def _from_blob(blob: Blob, name: str, column: str | None, stack: ExitStack) -> Source:
    head = bytes(blob.part(0, _TEXT_BYTES).view())
    suffix = Path(name).suffix.lower() if isinstance(blob, FileBlob) else ""
    kind = _kind(head, name, suffix)
    if isinstance(blob, MemoryBlob):
        return _READERS[kind](pa.BufferReader(pa.py_buffer(blob.view())), name, column, stack)
    path = cast(FileBlob, blob).path
    with _reading(name, kind):
        opened = pa.input_stream(path) if kind == _CSV else pa.memory_map(path)
    return _READERS[kind](stack.enter_context(opened), name, column, stack)


def _from_stream(stream: BinaryIO, name: str, column: str | None, stack: ExitStack) -> Source:
    head = read_exactly(stream, _MAGIC_BYTES)
    kind = _kind(head, name, "")
    if kind in (_FILE, _PARQUET):  # they begin at their end
        whole = head + read_exactly(stream, 1 << 62)
        return _READERS[kind](pa.BufferReader(whole), name, column, stack)
    return _READERS[kind](pa.PythonFile(rejoined(head, stream), mode="r"), name, column, stack)


def _kind(head: bytes, name: str, suffix: str) -> str:
    """Return what a file is by its first bytes, and where they say nothing, by its suffix."""
    if head.startswith(b"ARROW1"):
        return _FILE
    if head.startswith(b"\xff\xff\xff\xff"):  # the mark before every message
        return _STREAM
    if head.startswith(b"PAR1"):
        return _PARQUET
    gzipped = suffix in (".gz", ".bz2", ".zst", ".lz4")  # as in data.csv.gz; Arrow unpacks it
    if suffix not in _TABLES and (gzipped or _is_text(head)):
        return _CSV
    raise CorruptStreamError(f"{name} is neither an Arrow, Parquet nor CSV file", offset_bytes=0)


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return b"\0" not in head and error.end >= len(head) - 3 > 0  # cut within a character
    return bool(head) and b"\0" not in head


def _read_file(file: pa.NativeFile, name: str, column: str | None, _: ExitStack) -> Source:
    with _reading(name, _FILE):
        # Choosing columns here would make Arrow copy what is mapped.
        reader = pa.ipc.open_file(file)
        number = _index(reader.schema, column, name)
        rows = reader.count_rows() if hasattr(reader, "count_rows") else None
    batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
    return Source(_column(batches, number, name, _FILE), rows)


def _read_stream(file: pa.NativeFile, name: str, column: str | None, stack: ExitStack) -> Source:
    with _reading(name, _STREAM):
        reader = stack.enter_context(pa.ipc.open_stream(file))
        number = _index(reader.schema, column, name)
    return Source(_column(iter(reader), number, name, _STREAM))


def _read_parquet(file: pa.NativeFile, name: str, column: str | None, stack: ExitStack) -> Source:
    import pyarrow.parquet as pq

    with _reading(name, _PARQUET):
        reader = stack.enter_context(pq.ParquetFile(file))
        field = reader.schema_arrow.field(_index(reader.schema_arrow, column, name))
    _check_type(field.type, f"column {field.name!r} of {name}")
    batches = reader.iter_batches(batch_size=_LEAST_ROWS, columns=[field.name])
    return Source(_column(batches, 0, name, _PARQUET), reader.metadata.num_rows)


def _read_csv(file: pa.NativeFile, name: str, column: str | None, stack: ExitStack) -> Source:
    import pyarrow.csv

    with _reading(name, _CSV):
        reader = stack.enter_context(pyarrow.csv.open_csv(file))
        number = _index(reader.schema, column, name)
    return Source(_column(iter(reader), number, name, _CSV))


_READERS: dict[str, Callable[[pa.NativeFile, str, str | None, ExitStack], Source]] = {
    _FILE: _read_file,
    _STREAM: _read_stream,
    _PARQUET: _read_parquet,
    _CSV: _read_csv,
}


def _column(batches: Iterator[pa.RecordBatch], number: int, name: str, kind: str) -> Iterator[pa.Array]:
    """Yield a column of batches that are read as it goes."""
    while True:
        with _reading(name, kind):
            batch = next(batches, None)
        if batch is None:
            return
        field = batch.schema.field(number)
        yield from _checked([batch.column(number)], f"column {field.name!r} of {name}")


@contextmanager
def _reading(name: str, kind: str) -> Iterator[None]:
    """Turn Arrow's errors about a file's content into ours."""
    try:
        yield
    except AccelError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _corrupt(f"{name}, {kind},", error) from error


def _corrupt(what: str, error: Exception) -> CorruptStreamError:
    text = " ".join(str(error).split())
    return CorruptStreamError(f"{what} is damaged: {text[:300]}", hint="make it again")


# --- chunks ---------------------------------------------------------------------------------------


def _pieces(arrays: Iterator[pa.Array], sizes: Iterator[int]) -> Iterator[Rows]:
    """Yield the arrays as chunks of the given sizes; at least one."""
    rest: list[pa.Array] = []
    waiting = 0
    size = next(sizes, 0)
    first = True
    for array in arrays:
        rest.append(array)
        waiting += len(array)
        while size and waiting >= size:
            chunk, rest = _cut(rest, size)
            yield chunk
            waiting -= size
            size = next(sizes, 0)
            first = False
    if first or waiting:
        yield Rows(tuple(rest))


def _cut(arrays: list[pa.Array], size: int) -> tuple[Rows, list[pa.Array]]:
    """Return the first rows of arrays as a chunk, and the others."""
    taken: list[pa.Array] = []
    for number, array in enumerate(arrays):
        if len(array) > size:
            return Rows((*taken, array.slice(0, size))), [array.slice(size), *arrays[number + 1 :]]
        taken.append(array)
        size -= len(array)
    return Rows(tuple(taken)), []
