"""What is computed: kernels, and the work items a runner gets from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, TypeVar

from accel_sdk.data import flat, input_size, is_pipe, sizeof
from accel_sdk.errors import DataError, UnsupportedError
from accel_sdk.output import whole

if TYPE_CHECKING:
    from typing_extensions import Self

In = TypeVar("In")
Out = TypeVar("Out")


class Kernel(ABC, Generic[In, Out]):
    """What is computed, with its parameters. Subclasses are frozen, picklable dataclasses.

    A kernel touches no device. It knows how its input splits into chunks and how the results of the chunks
    merge, and obeys one law: for any data and any shares,
    ``merge(run(c) for c in split(data, shares))`` equals ``run(data)``.

    Attributes
    ----------
    name
        What it is called on the command line and in reports.
    unit
        What `amount` counts; ``"B"`` for bytes, else a singular noun (``"image"``).
    writes_files
        Whether the result is a file's content, so that the command line asks for an output.
    formats
        Suffixes of the files that `write` can make, as ``(".parquet", ".csv")``; ``()`` for any name. A pipe
        has no suffix: `write` then gets ``""``, and a kernel that does not set `writes_files` writes text.
    many_inputs
        Whether the command line takes several inputs: one is passed as its `Path`, several as a list.
    views
        Further outputs that the command line offers, made of the input and the result: the name of the option
        and its help, as ``{"sheet": "Draw the pictures with their classes into this file."}``.
    """

    name: ClassVar[str]
    unit: ClassVar[str] = "B"
    writes_files: ClassVar[bool] = False
    formats: ClassVar[tuple[str, ...]] = ()
    many_inputs: ClassVar[bool] = False
    views: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def split(self, data: object, shares: Sequence[float]) -> Iterator[In]:
        """Cut the input into chunks, lazily, never copying what can be viewed.

        Parameters
        ----------
        data
            Whatever the kernel takes as its input.
        shares
            Relative speed of each device that will take chunks: positive, only the ratios matter. They say
            how finely to cut, not which device gets which chunk: a faster device comes back sooner.

        Raises
        ------
        DataError
            If the input is not what the kernel takes.
        """

    @abstractmethod
    def merge(self, parts: Iterable[Out]) -> Out:
        """Put the results of all chunks together. They arrive in input order, streamed."""

    def plan(self, data: object, shares: Sequence[float]) -> Iterator[Work[In, Out]]:
        """Yield what the runner is to do. A network split over devices yields other kernels here."""
        return (Work(self, chunk) for chunk in self.split(data, shares))

    def amount(self, chunk: In) -> int:
        """Return how much work a chunk is, in `unit`."""
        return sizeof(chunk)

    def write(self, parts: Iterable[Out], file: BinaryIO, *, suffix: str = "") -> None:
        """Write the merged result to a file as the parts arrive, so that memory does not grow with it.

        Parameters
        ----------
        parts
            As for `merge`.
        file
            Open for writing, not necessarily seekable.
        suffix
            Of the file's name, for kernels that write more than one format; ``""`` for a pipe.

        Raises
        ------
        UnsupportedError
            If the kernel's result is not made of bytes and it does not say how to write it.
        """
        if not self.writes_files:
            raise UnsupportedError(
                f"kernel {self.name} has no file format", hint="leave out the output and use the result"
            )
        complete = whole(file)
        for part in parts:
            complete.writelines(flat([part]))

    def total(self, data: object) -> int | None:
        """Return the amount in the whole input, in `unit`, where that is cheap to know: for the progress bar.

        Parameters
        ----------
        data
            As for `split`; it is not to be used up.

        Returns
        -------
        int or None
            ``None`` where it is not known.
        """
        return input_size(data) if self.unit == "B" else None

    def summary(self, result: Out) -> dict[str, object]:
        """Return facts about a whole result, such as an accuracy, as values that JSON has.

        A kernel that overrides this has its result held in memory by the command line.
        """
        return {}

    def lines(self, result: Out) -> list[str]:
        """Return `summary` as lines for people."""
        return [f"{key}: {value}" for key, value in self.summary(result).items()]

    def check_view(self, name: str, suffix: str) -> None:
        """Make sure that a view of `views` can be made, before anything runs; parameters are those of `view`.

        Raises
        ------
        UnsupportedError
            If there is no such view, or what it needs is not installed.
        DataError
            If the view knows no format of that suffix.
        """
        if name not in self.views:
            raise UnsupportedError(f"kernel {self.name} has no view '{name}'")

    def view(self, name: str, data: object, result: Out, file: BinaryIO, suffix: str) -> None:
        """Write a view of `views` to a file.

        Parameters
        ----------
        name
            Which one.
        data
            The input that was run; it can be read once more.
        result
            Of the whole input.
        file
            Open for writing, not necessarily seekable.
        suffix
            Of the file's name, in lower case; ``""`` if it has none.

        Raises
        ------
        UnsupportedError
            If there is no such view.
        DataError
            If the view knows no format of that suffix.
        """
        raise UnsupportedError(f"kernel {self.name} has no view '{name}'")

    @classmethod
    def example(cls) -> Self:
        """Return the kernel that ``accel bench`` measures where no options are given; by default ``cls()``.

        Raises
        ------
        UnsupportedError
            If the kernel has parameters without a default, and does not override this.
        """
        needed = required_parameters(cls)
        if needed:
            raise UnsupportedError(f"kernel {cls.name} brings no example", hint=f"give {', '.join(needed)}")
        return cls()

    def sample(self, nbytes: int) -> object:
        """Return input of about `nbytes` bytes for ``accel bench``, the same at every call.

        Raises
        ------
        UnsupportedError
            If the kernel brings no benchmark input.
        """
        raise UnsupportedError(f"kernel {self.name} brings no benchmark input")


def required_parameters(kernel: type[AnyKernel]) -> list[str]:
    """Return the names of the parameters that have no default."""
    found: tuple[Field[Any], ...] = fields(kernel) if is_dataclass(kernel) else ()
    return [f.name for f in found if f.init and f.default is MISSING and f.default_factory is MISSING]


@dataclass(frozen=True)
class Work(Generic[In, Out]):
    """One item of a plan: a kernel and the chunk it is to run on."""

    kernel: Kernel[In, Out]
    chunk: In


AnyKernel = Kernel[Any, Any]


def kernel_name(kernel: str | type[AnyKernel] | AnyKernel) -> str:
    """Return the name of a kernel given by name, class or object."""
    return kernel if isinstance(kernel, str) else kernel.name


def file_suffix(kernel: AnyKernel, out: Path) -> str:
    """Return the suffix by which a kernel is to write a file, in lower case.

    Raises
    ------
    DataError
        If the kernel knows no such format; the text lists those it knows.
    """
    suffix = out.suffix.lower()
    if not kernel.formats or suffix in kernel.formats or (not suffix and is_pipe(out)):
        return suffix
    problem = f"kernel {kernel.name} writes no '{suffix}' files" if suffix else f"{out} has no suffix"
    raise DataError(
        f"cannot write {out}: {problem}", hint=f"name a file that ends in {' or '.join(kernel.formats)}"
    )
