"""Write a result so that its name shows only when it is complete."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from accel_sdk.data import FileBlob
from accel_sdk.errors import AccelError, DataError, OutputError

_MOST_BUFFERS = 1024  # IOV_MAX
_MOST_NAME_BYTES = 230  # a file name may have 255, and the temporary one is longer


@contextmanager
def open_output(path: Path) -> Iterator[BinaryIO]:
    """Open an output for writing; its name appears, or changes, only when the block ends well.

    A regular file is written under a temporary name in the same folder and renamed at the end; on any
    failure, Ctrl-C included, nothing of it is left and an older file of that name is untouched. A pipe or
    device node is written in place. A symbolic link stays one: what it points to is replaced.

    Raises
    ------
    OutputError
        If it cannot be created or written (no space left, no permission, no such folder, a directory).
    """
    try:
        mode: int | None = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise _unwritable(path, error) from error
    if mode is not None and stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {path}: it is a directory", hint="name a file")
    if mode is not None and not stat.S_ISREG(mode):
        manager = _written_in_place(path)  # as it is: the link behind /dev/stdout names no file
    else:
        manager = _replaced(Path(os.path.realpath(path)), mode)
    with writing_to(path), manager as file:
        yield file


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Say of an `OSError` in the block that it is of this output: for who writes several at once.

    Raises
    ------
    OutputError
        In place of the `OSError`.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, AccelError):
            raise
        raise _unwritable(path, error) from error


@contextmanager
def _written_in_place(target: Path) -> Iterator[BinaryIO]:
    with open(target, "wb", buffering=0) as file:
        yield whole(file)


@contextmanager
def _replaced(target: Path, mode: int | None) -> Iterator[BinaryIO]:
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, "the file there is write-protected", str(target))
    prefix = f".{target.name}." if len(os.fsencode(target.name)) < _MOST_NAME_BYTES else ".accel."
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=target.parent)
    try:
        with open(handle, "wb", buffering=0) as file:
            os.fchmod(handle, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
            yield whole(file)
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def whole(file: BinaryIO | io.RawIOBase) -> BinaryIO:
    """Return a file whose writes write everything; a raw file may take less than it is given."""
    return cast(BinaryIO, file if isinstance(file, _Whole) else _Whole(file))


class _Whole:
    """Adds what a raw file leaves to its caller. Large parts are copied into no buffer."""

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        done = 0
        while done < view.nbytes:
            count = self._file.write(view[done:])
            if count is None:
                raise BlockingIOError(11, "the output is not ready; open it in blocking mode")
            done += count
        return done

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        if not isinstance(self._file, io.FileIO):
            for piece in pieces:
                self.write(piece)
            return
        waiting = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        while waiting:  # many pieces in few system calls
            done = os.writev(self._file.fileno(), waiting[:_MOST_BUFFERS])
            while waiting and done >= waiting[0].nbytes:
                done -= waiting.pop(0).nbytes
            if done:
                waiting[0] = waiting[0][done:]


def refuse_same_file(data: object, out: Path) -> None:
    """Refuse an output that is the input: it would be replaced by its own result.

    Raises
    ------
    DataError
        If both are the same regular file, by whatever names, or `data` is a list that holds it.
    """
    if isinstance(data, (list, tuple)):
        for item in data:
            if isinstance(item, os.PathLike):
                refuse_same_file(item, out)
    with suppress(OSError, AttributeError, io.UnsupportedOperation):
        source = _status(data)
        if stat.S_ISREG(source.st_mode) and os.path.samestat(source, out.stat()):
            raise DataError(f"output {out} is the input file", hint="choose another output")


def _status(data: object) -> os.stat_result:
    if isinstance(data, FileBlob):
        return os.stat(data.path)
    if isinstance(data, os.PathLike):
        return os.stat(data)
    return os.fstat(data.fileno())  # type: ignore[attr-defined]


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
