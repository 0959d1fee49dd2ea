"""What is computed: kernels, and the work items a runner gets from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Generic, TypeVar

from accel_sdk.data import flat, sizeof
from accel_sdk.errors import UnsupportedError
from accel_sdk.output import whole

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
    """

    name: ClassVar[str]
    unit: ClassVar[str] = "B"
    writes_files: ClassVar[bool] = False

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

    @classmethod
    def sample(cls, nbytes: int) -> object:
        """Return input of about `nbytes` bytes for ``accel bench``, the same at every call.

        Raises
        ------
        UnsupportedError
            If the kernel brings no benchmark input.
        """
        raise UnsupportedError(f"kernel {cls.name} brings no benchmark input")


@dataclass(frozen=True)
class Work(Generic[In, Out]):
    """One item of a plan: a kernel and the chunk it is to run on."""

    kernel: Kernel[In, Out]
    chunk: In


AnyKernel = Kernel[Any, Any]


def kernel_name(kernel: str | type[AnyKernel] | AnyKernel) -> str:
    """Return the name of a kernel given by name, class or object."""
    return kernel if isinstance(kernel, str) else kernel.name
