"""Unpack an archive that somebody sent: nothing lands outside its folder, nothing fills the disk."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from accel_sdk.errors import DataError

SUFFIXES = (".tar.xz", ".tar.gz", ".tar.bz2", ".txz", ".tgz", ".tar", ".zip")
"""What archives are called; what one is, its content says."""

_MOST_FILE_BYTES = 64 << 20
_MOST_BYTES = 512 << 20
_MOST_FILES = 4096
_BLOCK_BYTES = 1 << 20
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the regular files of a tar archive (xz, gzip, bzip2 or plain) or zip archive.

    Every byte is written by this module: no mode, owner or link of a member is ever used.

    Parameters
    ----------
    archive, folder
        From where, and to where; the folder exists.

    Raises
    ------
    DataError
        If it is no such archive, is damaged, holds a link, a device or a path out of the folder, or more
        than 64 MiB in a file, 512 MiB in all or 4,096 files.
    """
    budget = _MOST_BYTES
    try:
        for number, (name, content) in enumerate(_members(archive)):
            if number == _MOST_FILES:
                raise DataError(f"{archive} holds more than {_MOST_FILES} files")
            target = folder / _safe(archive, name)
            _make_folders(folder, target.parent)
            budget -= _copy(content, target, f"{archive}: {name}")
            if budget < 0:
                raise DataError(f"{archive} holds more than {_MOST_BYTES >> 20} MiB")
    except DataError:
        raise
    except Exception as error:  # every decompressor has errors of its own
        raise DataError(
            f"cannot unpack {archive}: {str(error) or type(error).__name__}",
            hint="it must be a folder, or a tar or zip archive of one",
        ) from error


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with archive.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        yield from _zip_members(archive, file) if magic in _ZIP_MAGIC else _tar_members(archive, file)


def _tar_members(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name, content
            elif not member.isdir():
                raise _refused(archive, member.name, "is no regular file")


def _zip_members(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(file) as zipped:
        for info in zipped.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "is no regular file")
            if not info.is_dir():
                with zipped.open(info) as content:
                    yield info.filename, content


def _safe(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name:
        raise _refused(archive, name, "leads out of it")
    return path


def _make_folders(folder: Path, target: Path) -> None:
    """Make the folders from `folder` to `target`, but never `folder` itself: it may be gone on purpose."""
    for parent in reversed([target, *target.parents]):
        if folder in parent.parents:
            parent.mkdir(exist_ok=True)


def _copy(content: IO[bytes], target: Path, label: str) -> int:
    """Write a member's content; return its length."""
    done = 0
    with target.open("wb") as file:
        while block := content.read(_BLOCK_BYTES):
            done += len(block)
            if done > _MOST_FILE_BYTES:
                raise DataError(f"{label} is larger than {_MOST_FILE_BYTES >> 20} MiB")
            file.write(block)
    return done


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"{archive} is not to be trusted: its member {name!r} {why}")
