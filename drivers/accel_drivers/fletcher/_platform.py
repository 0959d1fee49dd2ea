"""Which platforms there are, and one of them opened: set up, shared where it must be, closed by the last."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sdk.device import Device, Kind, simulated_devices
from accel_sdk.errors import AccelError, LibraryLoadError
from accel_sdk.ffi import find_library

if TYPE_CHECKING:
    from accel_drivers.fletcher._abi import Library

LIBRARY_VARIABLE = "ACCEL_FLETCHER_LIBRARY"
BUILT_IN = "libfletcher_sim.so"
HARDWARE = ("aws", "oc-accel", "snap", "alveo")
"""Platforms that are boards, best first; the first three are those Fletcher's runtime looks for."""
ECHO = "echo"
"""Fletcher's platform without a device: it prints every call and asks the user for what it reads."""

_PREFIX, _SUFFIX = "libfletcher_", ".so"
_FOLDERS = ("/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib")  # the loader's, beside its cache
_CACHE = Path("/etc/ld.so.cache")
_BUS_BYTES = 64  # fletchgen's default of 512 bits
_WIDE_BUS_BYTES = {"oc-accel": 128}


def devices() -> list[Device]:
    """Return the boards whose library the loader finds, and the simulated devices. Nothing is loaded."""
    named = os.environ.get(LIBRARY_VARIABLE, "")
    stem = platform_name(Path(named)) if named else ""
    found = [
        Device(name, Kind.HARDWARE, f"fletcher:{name}", {"library": str(_library_of(name))})
        for name in HARDWARE
        if name == stem or _loader_finds(_file_name(name))
    ]
    if stem == ECHO or _loader_finds(_file_name(ECHO)):
        found.append(Device(ECHO, Kind.SIMULATED, f"fletcher:{ECHO}"))
    library = {"library": Path(named).name} if named and stem not in (*HARDWARE, ECHO) else {}
    return [*found, *simulated_devices(platform="fletcher", properties=library)]


def platform_name(library: Path) -> str:
    """Return the platform's name that stands in the name of a library, ``""`` where none does."""
    name = library.name
    if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
        return name[len(_PREFIX) : -len(_SUFFIX)]
    return ""


def library_of(device: Device) -> Path:
    """Return the library that serves a device, as a path, or a bare name for the loader.

    Raises
    ------
    LibraryLoadError
        If a path is named and does not exist.
    """
    if device.name in (*HARDWARE, ECHO):
        return _library_of(device.name)
    named = os.environ.get(LIBRARY_VARIABLE, "")
    if platform_name(Path(named)) in (*HARDWARE, ECHO):
        return find_library(BUILT_IN)  # the variable names the library of another device
    return find_library(BUILT_IN, variable=LIBRARY_VARIABLE)


def _library_of(name: str) -> Path:
    named = os.environ.get(LIBRARY_VARIABLE, "")
    if platform_name(Path(named)) == name:
        return find_library(None, variable=LIBRARY_VARIABLE) if "/" in named else Path(named)
    return Path(_file_name(name))


def _file_name(name: str) -> str:
    return f"{_PREFIX}{name}{_SUFFIX}"


def _loader_finds(name: str) -> bool:
    """Return whether the loader knows a library, without loading it."""
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *_FOLDERS]
    if any(folder and Path(folder, name).exists() for folder in folders):
        return True
    try:
        return f"/{name}\0".encode() in _CACHE.read_bytes()
    except OSError:
        return False


class Platform:
    """A platform that is set up, ready for kernels. Made by `open_platform`.

    Attributes
    ----------
    library
        To call.
    name
        As the platform says it.
    bus_bytes
        Buffers must begin at a multiple of this, bytes.
    """

    def __init__(self, library: Library, name: str, device: str) -> None:
        self.library = library
        self.name = name
        self.bus_bytes = _WIDE_BUS_BYTES.get(name, _BUS_BYTES)
        self._device = device
        self._users = 1
        self._turn = threading.Lock()
        self._suspect = False

    @contextmanager
    def turn(self) -> Iterator[Library]:
        """Have the device alone for a run. After a failure it is set up anew before the next one."""
        with self._turn:
            if self._suspect:
                with suppress(AccelError):
                    self.library.terminate()
                self.library.init()
                self._suspect = False
            try:
                yield self.library
            except BaseException:
                self._suspect = True
                raise

    def close(self) -> None:
        """Give it back; the last user's call closes the device."""
        with _SHARING:
            self._users -= 1
            if self._users:
                return
            _SHARED.pop(self._device, None)
        with suppress(AccelError):  # a failure now makes the library unfit for the next user, no more
            self.library.terminate()
            give_back(self.library)


# Of libraries that are opened as they are: two accelerators in one process have the same board behind them.
_SHARED: dict[str, Platform] = {}
_SHARING = threading.Lock()

# Copies that nobody uses, by what they are copies of: a copy cannot be unloaded, but it can be used again.
_IDLE: dict[tuple[str, int, int], list[Library]] = {}


def private_library(path: Path, device: str) -> Library:
    """Return a copy of a library that nobody else in this process uses.

    Raises
    ------
    LibraryLoadError
        If it is no library for this machine, or lacks symbols.
    """
    from accel_drivers.fletcher._abi import Library

    with _SHARING:
        idle = _IDLE.get(_identity(path))
        if idle:
            library = idle.pop()
            library.device = device
            return library
    return Library(path, device=device, private=True)


def give_back(library: Library) -> None:
    """Keep a copy that is terminated for the next user, unless settings would stay with it."""
    if library.private and library.pristine:
        with _SHARING:
            _IDLE.setdefault(_identity(library.path), []).append(library)


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0  # reading it will say why
    return str(path), status.st_size, status.st_mtime_ns


def open_platform(device: Device) -> Platform:
    """Open the platform of a device: a copy of its own for a simulated one, else one for the whole process.

    Raises
    ------
    LibraryLoadError
        If the library cannot be used, or is that of a board where a simulated device is asked for.
    DeviceError
        If the platform does not come up.
    """
    if device.kind is Kind.SIMULATED and device.name != ECHO:
        return _opened(device, private=True)
    with _SHARING:
        shared = _SHARED.get(device.name)
        if shared is None:
            shared = _SHARED[device.name] = _opened(device, private=False)
        else:
            shared._users += 1
        return shared


def _opened(device: Device, *, private: bool) -> Platform:
    from accel_drivers.fletcher._abi import Library

    path = library_of(device)
    if private:
        library = private_library(path, device.name)
    else:
        library = Library(path, device=device.name, private=False)
    name = library.name()
    if private and name in HARDWARE:
        raise LibraryLoadError(
            f"{path} drives the board '{name}', and {device.name} is a simulated device",
            library=str(path),
            hint=f"name the file {_file_name(name)}, and it is the device '{name}'",
        )
    library.init()
    return Platform(library, name, device.name)
