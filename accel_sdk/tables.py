"""Arrow tables as results: put together, and written to files part by part.

A kernel whose result is a table makes `Kernel.merge` of `concat` and `Kernel.write` of `write`. What is to be
counted over all parts, such as pictures that were skipped, travels in a table's schema metadata under keys
that begin with ``accel.``. pyarrow is imported when it is used: that takes longer than all of `accel_sdk`.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from accel_sdk.errors import DataError
from accel_sdk.output import whole

if TYPE_CHECKING:
    from typing import TypeGuard

    import pyarrow as pa

FORMATS = (".parquet", ".csv", ".arrow")
"""Suffixes that `write` knows."""

_OURS = b"accel."
_INTEGER = re.compile(rb"-?[0-9]{1,4000}")  # Python reads no longer ones


def is_table(value: object) -> TypeGuard[pa.Table]:
    """Return whether a value is a table, without importing pyarrow."""
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(value, pyarrow.Table)


def concat(parts: Iterable[pa.Table]) -> pa.Table:
    """Put tables together; no row is copied.

    In the schema's metadata, values under a key that begins with ``accel.`` are added up if they are decimal
    integers and joined if they are JSON lists. Of any other the first is kept. So the result is the same
    whichever tables were put together before.

    Parameters
    ----------
    parts
        At least one. Their schemas are equal but for metadata.

    Raises
    ------
    DataError
        If there is no part, schemas differ, or a value is an integer in one part and none in another.
    """
    import pyarrow as pa

    tables = list(parts)
    if not tables:
        raise DataError("there are no tables to put together")
    schema = _with(tables[0].schema, _merged([table.schema.metadata for table in tables]))
    return pa.concat_tables([_as_schema(table, schema) for table in tables])


def write(parts: Iterable[pa.Table], file: BinaryIO, suffix: str) -> None:
    """Write tables to one file as they come; memory does not grow with their number.

    What `concat` would add up or join is of the parts, and not written.

    Parameters
    ----------
    parts
        As for `concat`. In a Parquet file each becomes a row group. In CSV a list of fixed size becomes one
        column for each element (``scores_0``, ``scores_1`` ...), any other nested value JSON text.
    file
        Open for writing, not necessarily seekable; it stays open.
    suffix
        One of `FORMATS`, or ``""`` for CSV.

    Raises
    ------
    DataError
        As `concat`; or if the suffix is of no known format.
    """
    if suffix and suffix not in FORMATS:
        raise DataError(f"cannot write a table as '{suffix}'", hint=f"use one of {', '.join(FORMATS)}")
    found = iter(parts)
    first = next(found, None)
    if first is None:
        raise DataError("there are no tables to write")
    schema = _with(first.schema, _constant(first.schema.metadata))
    tables = (_as_schema(table, schema) for table in itertools.chain([first], found))
    _FORMATS[suffix or ".csv"](tables, _Sink(file))


def _as_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    if not table.schema.equals(schema, check_metadata=False):
        raise DataError(f"tables of different columns: {_columns(schema)}; and {_columns(table.schema)}")
    return pa.Table.from_arrays(table.columns, schema=schema)


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


# --- metadata -------------------------------------------------------------------------------------


def _with(schema: pa.Schema, metadata: Mapping[bytes, bytes]) -> pa.Schema:
    return schema.with_metadata(metadata) if metadata else schema.remove_metadata()


def _merged(metadata: Sequence[Mapping[bytes, bytes] | None]) -> dict[bytes, bytes]:
    values: dict[bytes, list[bytes]] = {}
    for part in metadata:
        for key, value in (part or {}).items():
            values.setdefault(key, []).append(value)
    return {key: _joined(key, found) for key, found in values.items()}


def _joined(key: bytes, values: Sequence[bytes]) -> bytes:
    if len(values) == 1 or not key.startswith(_OURS):
        return values[0]
    read = [_read(value) for value in values]
    kinds = {type(value) for value in read}
    if len(kinds) > 1:
        raise DataError(f"metadata {key.decode()} is of different kinds: {b', '.join(values)[:200]!r}")
    if kinds == {int}:
        return str(sum(cast("list[int]", read))).encode()
    if kinds == {list}:
        return json.dumps(list(itertools.chain.from_iterable(cast("list[list[object]]", read)))).encode()
    return values[0]


def _read(value: bytes) -> int | list[object] | None:
    """Return what can be merged: an integer or a list; ``None`` for any other value."""
    if _INTEGER.fullmatch(value):
        return int(value)
    if value.startswith(b"["):
        with suppress(ValueError):
            return cast("list[object]", json.loads(value))
    return None


def _constant(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
    return {key: value for key, value in (metadata or {}).items() if not key.startswith(_OURS)}


# --- formats --------------------------------------------------------------------------------------


class _Sink(io.RawIOBase):
    """A file as Arrow's writers want it: it knows its position even if it is a pipe.

    After a failure it takes and forgets everything: writers write once more as they are closed.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = whole(file)
        self._position = 0
        self.broken = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: object) -> int:
        view = memoryview(cast(bytes, data)).cast("B")
        if not self.broken:
            self._file.write(view)
        self._position += view.nbytes
        return view.nbytes


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...
    def close(self) -> None: ...


def _write_all(writer: _Writer, tables: Iterable[pa.Table], sink: _Sink) -> None:
    try:
        for table in tables:
            if table.num_rows:
                writer.write_table(table)
        writer.close()
    except BaseException:
        sink.broken = True
        with suppress(Exception):
            writer.close()
        raise


def _write_parquet(tables: Iterator[pa.Table], sink: _Sink) -> None:
    import pyarrow.parquet as pq

    first = next(tables)
    writer = pq.ParquetWriter(sink, first.schema)
    _write_all(writer, itertools.chain([first], tables), sink)


def _write_arrow(tables: Iterator[pa.Table], sink: _Sink) -> None:
    import pyarrow as pa

    first = _decoded(next(tables))  # the format allows one dictionary a column, and parts have their own
    writer = pa.ipc.new_file(sink, first.schema)
    _write_all(writer, itertools.chain([first], map(_decoded, tables)), sink)


def _write_csv(tables: Iterator[pa.Table], sink: _Sink) -> None:
    import pyarrow.csv

    first = _plain(next(tables))
    writer = pyarrow.csv.CSVWriter(sink, first.schema)
    _write_all(writer, itertools.chain([first], map(_plain, tables)), sink)


_FORMATS: dict[str, Callable[[Iterator[pa.Table], _Sink], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".arrow": _write_arrow,
}


def _decoded(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            values = table.column(number).cast(field.type.value_type)
            table = table.set_column(number, field.with_type(field.type.value_type), values)
    return table


def _plain(table: pa.Table) -> pa.Table:
    """Return a table that CSV can hold: no column is nested."""
    import pyarrow as pa

    columns: list[tuple[str, pa.ChunkedArray]] = []
    for name, column in zip(table.column_names, _decoded(table).columns, strict=True):
        if pa.types.is_fixed_size_list(column.type):
            columns += _elements(name, column)
        elif pa.types.is_nested(column.type):
            text = [_json(value) for value in column.to_pylist()]
            columns.append((name, pa.chunked_array([text], pa.string())))
        else:
            columns.append((name, column))
    return pa.table([column for _, column in columns], [name for name, _ in columns])


def _elements(name: str, column: pa.ChunkedArray) -> list[tuple[str, pa.ChunkedArray]]:
    import pyarrow.compute as pc

    return [(f"{name}_{number}", pc.list_element(column, number)) for number in range(column.type.list_size)]


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str)
