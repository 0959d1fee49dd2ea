"""Scratch folders, of which nothing is left, whatever ends the program."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "accel-bnn-"
_OLD_S = 60.0  # younger ones may just be on their way to being locked


_live: set[Path] = set()
_making = threading.Lock()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards.

    Also if the program ends while a thread is in the block. What a process that was killed, or that a library
    ended, left behind goes when the next one comes: the lock on it went with its process.
    """
    _sweep()
    with _making:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        _live.add(folder)
    try:
        with _locked(folder, fcntl.LOCK_SH):
            yield folder
    finally:
        _remove(folder)
        _live.discard(folder)


@atexit.register
def _remove_all() -> None:
    """Remove what threads that nobody waits for still use; they can make no more."""
    _making.acquire()  # and never given back
    for folder in list(_live):
        _remove(folder)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, somebody else's, or gone
            if time.time() - folder.stat().st_mtime > _OLD_S:
                with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    _remove(folder)


def _remove(folder: Path) -> None:
    gone = folder.with_name(f"{folder.name}.gone")
    with suppress(FileNotFoundError):
        folder.rename(gone)  # whoever still writes into it finds no such folder
    shutil.rmtree(gone, ignore_errors=True)
