"""What a kernel does by itself: plan, amount, write, sample."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from accel_sdk.errors import DataError, UnsupportedError
from accel_sdk.kernel import Kernel, Work, file_suffix, kernel_name


@dataclass(frozen=True)
class _Twice(Kernel[Any, Any]):
    """The least that a kernel must be."""

    name: ClassVar[str] = "twice"

    def split(self, data: Any, shares: Sequence[float]) -> Iterator[Any]:
        return iter(data)

    def merge(self, parts: Iterable[Any]) -> Any:
        return list(parts)


@dataclass(frozen=True)
class _Filed(_Twice):
    """Its result is a file's content."""

    name: ClassVar[str] = "filed"
    writes_files: ClassVar[bool] = True


@dataclass(frozen=True)
class _Described(_Twice):
    """Uses the hooks."""

    name: ClassVar[str] = "described"
    unit: ClassVar[str] = "image"
    formats: ClassVar[tuple[str, ...]] = (".parquet", ".csv")
    views: ClassVar[Mapping[str, str]] = {"sheet": "Draw."}

    network: int
    params: int
    detail: list[int] = field(default_factory=list)
    cache: int = field(init=False, default=0)

    def summary(self, result: Any) -> dict[str, object]:
        return {"parts": len(result), "accuracy": 0.5}


class _SmallWrites(io.RawIOBase):
    """An unbuffered file that takes less than it is given, as a pipe or a full socket does."""

    def __init__(self) -> None:
        super().__init__()
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(memoryview(data)[:7])
        self.content += taken
        return len(taken)


def test_the_default_plan_is_the_same_kernel_for_every_chunk() -> None:
    kernel = _Twice()
    assert list(kernel.plan("ab", [1.0])) == [Work(kernel, "a"), Work(kernel, "b")]


def test_the_plan_is_lazy() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    plan = _Twice().plan(endless(), [1.0])
    assert [next(plan).chunk for _ in range(3)] == [0, 1, 2]


def test_amount_is_bytes_by_default() -> None:
    assert _Twice().unit == "B"
    assert _Twice().amount(np.zeros(3, np.int32)) == 12


def test_bytes_are_written_in_order() -> None:
    file = io.BytesIO()
    _Filed().write(iter([b"ab", bytearray(b"cd"), memoryview(b"ef"), b""]), file)
    assert file.getvalue() == b"abcdef"


def test_an_unbuffered_file_gets_everything() -> None:
    """With PYTHONUNBUFFERED standard output is such a file."""
    file = _SmallWrites()
    _Filed().write([b"0123456789" * 10, b"x"], cast(Any, file))
    assert file.content == b"0123456789" * 10 + b"x"


def test_what_is_no_bytes_has_no_file_format() -> None:
    with pytest.raises(UnsupportedError, match="twice"):
        _Twice().write([[1, 2]], io.BytesIO())
    with pytest.raises(UnsupportedError):
        _Filed().write([[1, 2]], io.BytesIO())


def test_no_benchmark_input_by_default() -> None:
    with pytest.raises(UnsupportedError, match="twice"):
        _Twice().sample(10)


def test_the_hooks_do_nothing_by_default() -> None:
    kernel = _Twice()
    assert (kernel.formats, kernel.many_inputs, dict(kernel.views)) == ((), False, {})
    assert kernel.summary([1]) == {}
    assert kernel.lines([1]) == []
    assert _Twice.example() == kernel


def test_a_view_that_a_kernel_does_not_have() -> None:
    with pytest.raises(UnsupportedError, match="twice has no view 'sheet'"):
        _Twice().check_view("sheet", ".png")
    with pytest.raises(UnsupportedError, match="twice has no view 'sheet'"):
        _Twice().view("sheet", b"", [], io.BytesIO(), ".png")
    _Described(3, 4).check_view("sheet", ".png")


def test_a_summary_becomes_lines() -> None:
    assert _Described(3, 4).lines([1, 2]) == ["parts: 2", "accuracy: 0.5"]


def test_a_kernel_with_parameters_to_give_brings_no_example() -> None:
    with pytest.raises(UnsupportedError, match=r"described brings no example; give network, params$"):
        _Described.example()


def test_the_whole_amount_of_bytes(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"x" * 77)
    assert _Twice().total(file) == 77
    assert _Twice().total(b"x" * 5) == 5
    assert _Twice().total(io.BytesIO(b"x" * 5)) is None, "a stream is not used up"
    assert _Described(3, 4).total(file) is None, "images are not counted in bytes"


@pytest.mark.parametrize(
    ("name", "suffix"), [("out.csv", ".csv"), ("OUT.CSV", ".csv"), ("a.csv.parquet", ".parquet")]
)
def test_a_suffix_that_the_kernel_writes(name: str, suffix: str, tmp_path: Path) -> None:
    assert file_suffix(_Described(3, 4), tmp_path / name) == suffix


@pytest.mark.parametrize(
    ("name", "text"), [("out.png", "'.png'"), ("out", "has no suffix"), (".csv", "has no suffix")]
)
def test_a_suffix_of_no_known_format(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(DataError, match=rf"{text}.*ends in \.parquet or \.csv"):
        file_suffix(_Described(3, 4), tmp_path / name)
    assert file_suffix(_Twice(), tmp_path / name) == Path(name).suffix, "any will do"


def test_a_pipe_has_no_suffix_to_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert file_suffix(_Described(3, 4), tmp_path / "fifo") == ""
    assert file_suffix(_Described(3, 4), Path("/dev/null")) == ""


def test_a_kernel_is_named_by_name_class_or_object() -> None:
    assert kernel_name("twice") == kernel_name(_Twice) == kernel_name(_Twice()) == "twice"


def test_a_kernel_must_say_how_to_split_and_merge() -> None:
    class Half(Kernel[Any, Any]):
        name = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
