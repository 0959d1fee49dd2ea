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

from accel_sdk.errors import AccelError, DataError, OutputError

_MOST_BUFFERS = 1024  # IOV_MAX


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
    target = Path(os.path.realpath(path))
    try:
        mode: int | None = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise _unwritable(path, error) from error
    if mode is not None and stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {path}: it is a directory", hint="name a file")
    in_place = mode is not None and not stat.S_ISREG(mode)
    manager = _written_in_place(target) if in_place else _replaced(target, mode)
    try:
        with manager as file:
            yield file
    except OSError as error:
        if isinstance(error, AccelError):
            raise
        raise _unwritable(path, error) from error


@contextmanager
def _written_in_place(target: Path) -> Iterator[BinaryIO]:
    with open(target, "wb", buffering=0) as file:
        yield cast(BinaryIO, _Whole(file))


@contextmanager
def _replaced(target: Path, mode: int | None) -> Iterator[BinaryIO]:
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, "the file there is write-protected", str(target))
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:200]}.", suffix=".part", dir=target.parent)
    try:
        with open(handle, "wb", buffering=0) as file:
            os.fchmod(handle, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
            yield cast(BinaryIO, _Whole(file))
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


class _Whole:
    """An unbuffered file whose ``write`` writes everything: large parts are not copied into a buffer."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        done = 0
        while done < view.nbytes:
            done += self._file.write(view[done:]) or 0
        return done

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write many pieces in few system calls."""
        waiting = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        while waiting:
            done = os.writev(self._file.fileno(), waiting[:_MOST_BUFFERS])
            while waiting and done >= waiting[0].nbytes:
                done -= waiting.pop(0).nbytes
            if done:
                waiting[0] = waiting[0][done:]

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed


def refuse_same_file(data: object, out: Path) -> None:
    """Refuse an output that is the input: it would be replaced by its own result.

    Raises
    ------
    DataError
        If both are the same regular file, by whatever names.
    """
    with suppress(OSError, AttributeError, io.UnsupportedOperation):
        source = os.stat(data) if isinstance(data, os.PathLike) else os.fstat(data.fileno())  # type: ignore[attr-defined]
        if stat.S_ISREG(source.st_mode) and os.path.samestat(source, out.stat()):
            raise DataError(f"output {out} is the input file", hint="choose another output")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
