"""What a kernel does by itself: plan, amount, write, sample."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from accel_sdk.errors import UnsupportedError
from accel_sdk.kernel import Kernel, Work, kernel_name


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
        _Twice.sample(10)


def test_a_kernel_is_named_by_name_class_or_object() -> None:
    assert kernel_name("twice") == kernel_name(_Twice) == kernel_name(_Twice()) == "twice"


def test_a_kernel_must_say_how_to_split_and_merge() -> None:
    class Half(Kernel[Any, Any]):
        name = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
