"""Locate, check and open native libraries.

A library is looked for by option, then by environment variable, then among the built-in ones. Its ABI header
is the very file the C++ side was compiled with, installed beside the built-in libraries. Every function in it
is looked up when the library is opened: a missing symbol is found then, not in the middle of a job.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sdk.errors import LibraryLoadError

if TYPE_CHECKING:
    from cffi import FFI

LIB_DIR_VARIABLE = "ACCEL_SDK_LIB_DIR"
_DISTRIBUTION = "accel-sdk"


@dataclass(frozen=True)
class Library:
    """An opened native library.

    Attributes
    ----------
    path
        Of the file.
    ffi, lib
        cffi's two objects; only a family's ``_abi`` module uses them.
    symbols
        Functions of the ABI that it exports, optional ones among them.
    """

    path: Path
    ffi: FFI
    lib: Any
    symbols: frozenset[str]

    def has(self, symbol: str) -> bool:
        """Return whether an optional function is there."""
        return symbol in self.symbols


def native_file(name: str) -> Path:
    """Return the path of an installed library or ABI header; it need not exist.

    ``$ACCEL_SDK_LIB_DIR`` names another folder. Otherwise the installed distribution says where, so that a
    wheel, an editable install and a run from a checkout agree.
    """
    folder = os.environ.get(LIB_DIR_VARIABLE)
    if folder:
        return Path(folder) / name
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise LibraryLoadError(
            f"{_DISTRIBUTION} is not installed, so its native libraries are not built",
            hint="run 'pip install .' in the checkout",
        ) from None
    return Path(str(distribution.locate_file(f"accel_sdk/_lib/{name}")))


def find_library(
    builtin: str | None, *, option: str | os.PathLike[str] | None = None, variable: str | None = None
) -> Path:
    """Return the path of the library to open: option, then environment variable, then built-in.

    Raises
    ------
    LibraryLoadError
        If that file does not exist; the text says who named it.
    """
    named = os.environ.get(variable, "") if variable else ""
    if option is not None:
        path, source = Path(option), "the library option"
    elif named:
        path, source = Path(named), str(variable)
    elif builtin is not None:
        path, source = native_file(builtin), "the installed package"
    else:
        raise LibraryLoadError("no library is named", hint=f"set {variable} to the library's path")
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise LibraryLoadError(
            f"library {path} {what} (from {source})", library=str(path), hint="correct the path"
        )
    return path.absolute()


def open_library(path: Path, abi: Sequence[str], optional: Sequence[str] = ()) -> Library:
    """Open a library and check it against its ABI headers.

    Parameters
    ----------
    path
        The library.
    abi
        Names of installed headers; every function in them must be exported.
    optional
        Names of installed headers whose functions may be missing.

    Raises
    ------
    LibraryLoadError
        If the file is no library for this machine, or lacks symbols; all of them are named.
    """
    from cffi import FFI  # not needed to list devices

    ffi = FFI()
    required = _declare(ffi, abi)
    wanted = required | _declare(ffi, optional)
    lib = _dlopen(ffi, path)
    found = frozenset(name for name in wanted if _has(lib, name))
    missing = sorted(required - found)
    if missing:
        raise LibraryLoadError(
            f"{path} lacks {', '.join(missing)}",
            library=str(path),
            symbol=missing[0],
            hint=f"it must export every function of {', '.join(abi)}",
        )
    return Library(path, ffi, lib, found)


def _declare(ffi: FFI, headers: Sequence[str]) -> frozenset[str]:
    """Give cffi the headers and return the names of all functions declared so far."""
    for header in headers:
        try:
            ffi.cdef(native_file(header).read_text())
        except OSError as error:
            raise LibraryLoadError(
                f"cannot read ABI header {error.filename}: {error.strerror}",
                hint="install the package again",
            ) from error
    return frozenset(dir(ffi.dlopen(None)))  # lists declarations; loads nothing


def _dlopen(ffi: FFI, path: Path) -> Any:
    try:
        return ffi.dlopen(str(path))
    except OSError as error:
        reason = str(error).replace(f"cannot load library '{path}': ", "").replace(f"{path}: ", "")
        reason = reason.partition(".  Additionally")[0]  # cffi's advice for names that are no paths
        raise LibraryLoadError(
            f"cannot load {path}: {reason}",
            library=str(path),
            hint="it must be a shared library for this machine, with what it needs installed",
        ) from error


def _has(lib: Any, name: str) -> bool:
    try:
        getattr(lib, name)
    except AttributeError:
        return False
    return True
