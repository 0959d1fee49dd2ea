"""The kernel: sum a column of integers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Union

from accel_drivers.fletcher._rows import Rows, Total
from accel_sdk.errors import DataError
from accel_sdk.kernel import Kernel

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Chunk = Union[Rows, "pa.Table", "pa.RecordBatch", "pa.ChunkedArray", "pa.Array", "NDArray[np.int64]"]

_log = logging.getLogger(__name__)
_SEED = 20180522


@dataclass(frozen=True)
class Sum(Kernel[Chunk, int]):
    """Sum a column of integers in Arrow's format.

    Input: an Arrow record batch, table, chunked array, array or reader; an array of integers; whatever has
    ``__arrow_c_stream__`` (data frames); or an Arrow file or stream, Parquet or CSV: a `pathlib.Path`, bytes,
    a pipe or a binary stream. Files in Arrow's own format are mapped into memory and must not be cut short
    meanwhile. Files are read by the process that runs the kernel, not by its workers.

    Columns of int64 are summed where they are, others are cast. A null counts as 0, as in Arrow's ``sum``;
    but where Arrow says null, because nothing else is there, the sum is 0.

    Result: an `int`, a signed 64-bit number as the hardware has it. A sum that does not fit wraps, and is
    reported: in the log, by the command line, and by the result, which is a `Total`, as ``wrapped`` and
    ``exact``. Numbers of uint64 above 2**63 - 1 are negative to the hardware; they are reported where the sum
    does not fit.

    Parameters
    ----------
    column
        Name of the column; by default the only one, or the only one of integers.

    Raises
    ------
    DataError
        If `column` is no name.
    """

    name: ClassVar[str] = "sum"
    unit: ClassVar[str] = "row"

    column: str | None = field(default=None, metadata={"help": "the column to sum; default: the only one"})

    def __post_init__(self) -> None:
        if self.column is not None and not isinstance(self.column, str):
            raise DataError(f"column must be a name, not {type(self.column).__name__}")

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Rows]:
        from accel_drivers.fletcher import _inputs

        return _inputs.split(data, self.column, shares)

    def merge(self, parts: Iterable[int]) -> Total:
        exact = rows = nulls = 0
        for part in parts:
            exact += part.exact if isinstance(part, Total) else part
            rows += getattr(part, "rows", 0)
            nulls += getattr(part, "nulls", 0)
        total = Total(exact, rows, nulls)
        if total.wrapped:
            _log.warning("%s", _wrapped(total))
        return total

    def amount(self, chunk: object) -> int:
        return chunk.count if isinstance(chunk, Rows) else self.total(chunk) or 0

    def total(self, data: object) -> int | None:
        from accel_drivers.fletcher import _inputs

        return _inputs.count(data, self.column)

    def summary(self, result: int) -> dict[str, object]:
        if not isinstance(result, Total):
            return {"sum": int(result)}
        facts: dict[str, object] = {"sum": int(result), "rows": result.rows, "nulls": result.nulls}
        return {**facts, "wrapped": result.wrapped, "exact": str(result.exact)}

    def lines(self, result: int) -> list[str]:
        if not isinstance(result, Total):
            return []
        nulls = f", {result.nulls:,} of them null" if result.nulls else ""
        lines = [f"rows {result.rows:,}{nulls}"]
        return [*lines, _wrapped(result)] if result.wrapped else lines

    def sample(self, nbytes: int) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        limit = 1 << 31
        numbers = np.random.default_rng(_SEED).integers(-limit, limit, max(1, nbytes // 8))
        return pa.table({self.column or "number": pa.array(numbers)})


def _wrapped(total: Total) -> str:
    return f"the sum wrapped: {total.exact} does not fit into 64 bits"
