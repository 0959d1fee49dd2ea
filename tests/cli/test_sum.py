"""``accel run sum`` and ``accel bench sum``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Done = subprocess.CompletedProcess[bytes]
_TABLE = pa.table({"number": [10, None, 30], "text": ["a", "b", "c"]})


@pytest.fixture
def file(folder: Path) -> str:
    pq.write_table(_TABLE, folder / "data.parquet")
    return "data.parquet"


def test_a_file_is_summed(accel: Callable[..., Done], file: str) -> None:
    done = accel("run", "sum", file, "--column", "number", "--device", "sim:*")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == ["40", "rows 3, 1 of them null"]
    assert b"simulated" in done.stderr


def test_json_and_standard_input(accel: Callable[..., Done]) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _TABLE.schema) as writer:
        writer.write_table(_TABLE)
    done = accel("run", "sum", "-", "-d", "sim:0", "--json", feed=bytes(sink.getvalue()))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["result"] == 40
    expected = {"sum": 40, "rows": 3, "nulls": 1, "wrapped": False, "exact": "40"}
    assert document["summary"] == expected
    assert document["report"]["unit"] == "row"


def test_overflow_is_said(accel: Callable[..., Done], folder: Path) -> None:
    (folder / "large.csv").write_text(f"n\n{2**63 - 1}\n1\n")
    done = accel("run", "sum", "large.csv", "-d", "sim:0")
    assert done.stdout.decode().splitlines()[0] == str(-(2**63))
    assert "the sum wrapped: 9223372036854775808 does not fit" in done.stdout.decode()


def test_mistakes_are_one_line(fails: Callable[..., str], file: str) -> None:
    assert "it has: number (int64), text (string)" in fails(
        "run", "sum", file, "--column", "nmber", "-d", "sim:0"
    )
    assert "of type string" in fails("run", "sum", file, "--column", "text", "-d", "sim:0")
    assert "used only when named" in fails("run", "sum", file)
    assert "Arrow, Parquet nor CSV" in fails("run", "sum", "-", "-d", "sim:0", feed=b"\0\1\2\3")


def test_the_benchmark(accel: Callable[..., Done]) -> None:
    done = accel("bench", "sum", "-d", "sim:*", "--size", "2", "--repeat", "1", "--json")
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)
    assert set(reports) == {"sim:0", "sim:1", "all together"}
