"""The Fletcher driver keeps the contract. Expected sums come from Arrow and from Python's integers."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from accel_drivers.fletcher import FletcherKernel, PlatformDriver, Sum
from accel_sdk import DataError
from accel_sdk.testing import Case, DriverConformance

_NUMBERS = st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()), max_size=60)
_STRICT = pa.schema([pa.field("number", pa.int64(), nullable=False)])


def _table(chunks: list[list[int | None]]) -> pa.Table:
    return pa.table({"number": pa.chunked_array(chunks, pa.int64())})


def _wrapped(number: int) -> int:
    return int.from_bytes((number % 2**64).to_bytes(8, "little"), "little", signed=True)


def _expected(table: pa.Table) -> int:
    return _wrapped(sum(n for n in table.column(0).to_pylist() if n is not None))


def _batches(numbers: list[list[int]]) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_arrays([pa.array(n, pa.int64())], schema=_STRICT) for n in numbers]


class TestSum(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            driver=PlatformDriver(),
            device="sim:0",
            kernel=Sum(),
            data=st.lists(_NUMBERS, max_size=5).map(_table),
            empty=_table([]),
            one=_table([[-7]]),
            reference=_expected,
            variants=[Sum("number")],
            bad=[
                (object(), DataError),
                ("text", DataError),
                (pa.table({"a": [1], "b": [2]}), DataError),
                (pa.table({"number": [1.5]}), DataError),
                (b"\x00\x01\x02\x03 is no table", DataError),
                (b"", DataError),
            ],
        )


class TestFletcherKernel(DriverConformance):
    @pytest.fixture
    def case(self) -> Case:
        small = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40)
        return Case(
            driver=PlatformDriver(),
            device="sim:0",
            kernel=FletcherKernel(),
            data=st.lists(small, max_size=4).map(_batches),
            empty=_batches([[]]),
            one=_batches([[-7]]),
            reference=lambda data: [_wrapped(sum(batch.column(0).to_pylist())) for batch in data],
            bad=[(object(), DataError), (pa.array([1]), DataError)],
        )
