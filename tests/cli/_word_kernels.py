"""A third party's kernels whose results are tables, as the command-line tests want them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, cast

from accel_sdk import Accelerator, DataError, Device, Driver, Kernel, Kind, UnsupportedError, tables
from accel_sdk.kernel import AnyKernel

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Stream(Kernel["list[str]", "pa.Table"]):
    """List the words of texts.

    A second paragraph, which no help shows.
    """

    name: ClassVar[str] = "word-stream"
    unit: ClassVar[str] = "word"
    formats: ClassVar[tuple[str, ...]] = tables.FORMATS
    many_inputs: ClassVar[bool] = True

    least: int = field(default=1, metadata={"help": "letters in a word"})
    case: Literal["keep", "upper"] = "keep"
    backwards: bool = False
    sizes: bool = True

    def __post_init__(self) -> None:
        if self.least < 1:
            raise DataError(f"least must be positive, not {self.least}")

    def split(self, data: object, shares: Sequence[float]) -> Iterator[list[str]]:
        words = _words(data)
        for start in range(0, len(words) or 1, 10):
            yield words[start : start + 10]

    def amount(self, chunk: list[str]) -> int:
        return len(chunk)

    def merge(self, parts: Iterable[pa.Table]) -> pa.Table:
        return tables.concat(parts)

    def write(self, parts: Iterable[pa.Table], file: BinaryIO, *, suffix: str = "") -> None:
        tables.write(parts, file, suffix)

    def total(self, data: object) -> int | None:
        return None if hasattr(data, "read") else len(_words(data))

    def sample(self, nbytes: int) -> bytes:
        return (b"ab " * (nbytes // 3 + 1))[: min(nbytes, 300)]


@dataclass(frozen=True)
class Words(Stream):
    """List the words of texts, and sum up."""

    name: ClassVar[str] = "words"
    views: ClassVar[Mapping[str, str]] = {"echo": "Write the text behind its count.", "count-only": "Count."}

    @classmethod
    def example(cls) -> Words:
        return cls(least=2, backwards=True)

    def summary(self, result: pa.Table) -> dict[str, object]:
        return {"words": result.num_rows, "short": int(result.schema.metadata[b"accel.short"])}

    def check_view(self, name: str, suffix: str) -> None:
        super().check_view(name, suffix)
        if "NO_VIEWS" in os.environ:
            raise UnsupportedError("the view needs a library", hint="install it")

    def view(self, name: str, data: object, result: pa.Table, file: BinaryIO, suffix: str) -> None:
        file.write(f"{result.num_rows} words\n".encode())
        if suffix == ".bad":
            raise DataError(f"no view of the format {suffix}")
        if name == "echo":
            file.write(_text(data).encode())


@dataclass(frozen=True)
class Needy(Stream):
    """List words, and say how long they are to be."""

    name: ClassVar[str] = "needy"
    formats: ClassVar[tuple[str, ...]] = ()

    most: int = field(kw_only=True)
    size: int = 5  # as an option of the benchmark is called


def _words(data: object) -> list[str]:
    return _text(data).split()


def _text(data: object) -> str:
    if isinstance(data, bytes):
        return data.decode()
    if isinstance(data, Path):
        try:
            return data.read_text()
        except OSError as error:
            raise DataError(f"cannot read {data}: {error.strerror}") from error
    if isinstance(data, list):
        return " ".join(map(_text, data))
    return cast(BinaryIO, data).read().decode()


class WordDriver(Driver):
    """One imaginary board."""

    name = "words.board"
    kernels = (Stream, Words, Needy)

    def devices(self) -> Iterable[Device]:
        return [Device("word-board", Kind.HARDWARE)]

    def open(self, kernel: AnyKernel, device: Device) -> Accelerator[list[str], pa.Table]:
        assert isinstance(kernel, Stream)
        if "NOTHING_OPENS" in os.environ:
            raise AssertionError("this run should have ended before")
        return _Board(kernel, device)


class _Board(Accelerator["list[str]", "pa.Table"]):
    def __init__(self, kernel: Stream, device: Device) -> None:
        super().__init__(kernel, device)
        self._kernel = kernel

    def _run(self, chunk: list[str]) -> pa.Table:
        import pyarrow as pa

        kernel = self._kernel
        words = [word for word in chunk if len(word) >= kernel.least]
        if kernel.case == "upper":
            words = [word.upper() for word in words]
        if kernel.backwards:
            words = [word[::-1] for word in words]
        columns = {"word": pa.array(words, pa.string())}
        if kernel.sizes:
            columns["size"] = pa.array([len(word) for word in words], pa.int32())
        short = len(chunk) - len(words)
        return pa.table(columns).replace_schema_metadata({b"accel.short": str(short).encode()})
