"""The calls into a library with Fletcher's platform ABI: addresses in, Python values out.

The ABI has no handle: its state is global to the loaded library. So each simulated device gets a copy of the
library of its own (see `Library`), in this process, where it reads the user's memory in place.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

from accel_sdk import ffi
from accel_sdk.errors import (
    AccelError,
    DeviceError,
    DeviceMemoryError,
    DeviceNotFoundError,
    KernelFaultError,
    KernelTimeoutError,
    LibraryLoadError,
)

ABI = "fletcher.abi.h"
OPTIONAL_ABI = "fletcher_ext.abi.h"
MOST_BYTES = (1 << 63) - 1
"""Largest size the ABI can express; sizes are signed there."""

_NAME_BYTES = 64  # what Fletcher's own runtime passes
_STATUS = {
    1: "FLETCHER_STATUS_ERROR",
    2: "FLETCHER_STATUS_NO_PLATFORM",
    3: "FLETCHER_STATUS_DEVICE_OUT_OF_MEMORY",
}
_SET_UP = ("platformInit", "platformTerminate", "platformGetName")
_SPINS = 64  # a small run is over sooner than the shortest sleep
_SHORTEST_SLEEP_S, _LONGEST_SLEEP_S = 20e-6, 1e-3
_WAIT_SHARE = 0.05  # sleep that share of the time so far: a simulator may only move while it is asked


class Library:
    """A platform library, opened and checked.

    Parameters
    ----------
    path
        Of the library; a bare name is looked for as the loader does it.
    device
        Name for error texts.
    private
        Whether to open a copy, with state of its own. The copy is a file in memory; its descriptor stays
        open, because the loader knows libraries by their names, and a second library under the same number
        would be taken for the first.

    Attributes
    ----------
    device, private
        As above; the name may be set anew.
    pristine
        Whether nothing of it was changed that stays when it is set up again.

    Raises
    ------
    LibraryLoadError
        If it is no library for this machine, or lacks symbols.

    Notes
    -----
    A library is never unloaded: one in C++ often cannot be (its unique symbols keep it), and Fletcher's own
    runtime never tries.
    """

    def __init__(self, path: Path, *, device: str, private: bool) -> None:
        self.path = path
        self.device = device
        self.private = private
        self.pristine = True
        fd = _copy(path) if private else None
        opened = path if fd is None else Path(f"/proc/self/fd/{fd}")
        try:
            self._library = ffi.open_library(opened, [ABI], [OPTIONAL_ABI])
        except LibraryLoadError as error:
            if fd is not None and error.symbol is None:  # what lacks symbols is loaded, and keeps its name
                os.close(fd)
            raise _renamed(error, opened, path) from error.__cause__
        self._ffi = self._library.ffi
        self._lib = self._library.lib
        self._word = self._ffi.new("uint32_t *")
        self._address = self._ffi.new("uint64_t *")
        self._flag = self._ffi.new("int *")

    # --- the platform -----------------------------------------------------------------------------

    def name(self) -> str:
        """Return the name that the platform gives itself."""
        text = self._ffi.new("char[]", _NAME_BYTES + 1)  # upstream libraries write one byte too many
        self._check("platformGetName", self._lib.platformGetName(text, _NAME_BYTES))
        return cast(bytes, self._ffi.string(text)).decode(errors="replace")

    def init(self) -> None:
        """Open the device."""
        self._check("platformInit", self._lib.platformInit(self._ffi.NULL))

    def terminate(self) -> None:
        """Close the device."""
        self._check("platformTerminate", self._lib.platformTerminate(self._ffi.NULL))

    # --- registers --------------------------------------------------------------------------------

    def write(self, register: int, value: int) -> None:
        """Write a 32-bit register, counted in words."""
        self._check("platformWriteMMIO", self._lib.platformWriteMMIO(register, value))

    def read(self, register: int) -> int:
        """Read a 32-bit register, counted in words."""
        self._check("platformReadMMIO", self._lib.platformReadMMIO(register, self._word))
        return int(self._word[0])

    def wait(
        self, register: int, mask: int, wanted: int, *, timeout_s: float | None, sleep_s: float | None = None
    ) -> int:
        """Read a register until the bits of `mask` are those of `wanted`; return what it held then.

        The GIL is held neither in a read nor between two.

        Parameters
        ----------
        timeout_s
            Longest wait in seconds; ``None`` for no limit.
        sleep_s
            Time between two reads; by default none at first, then a small part of the time so far.

        Raises
        ------
        KernelTimeoutError
            If that does not happen in time; the register's last value is its ``status``.
        """
        started = time.perf_counter()
        spins = _SPINS if sleep_s is None else 0
        while True:
            value = self.read(register)
            if value & mask == wanted:
                return value
            if spins:
                spins -= 1
                continue
            waited = time.perf_counter() - started
            if timeout_s is not None and waited > timeout_s:
                raise self._late(value, timeout_s)
            time.sleep(_pause(waited) if sleep_s is None else sleep_s)

    # --- memory -----------------------------------------------------------------------------------

    def prepare(self, address: int, nbytes: int) -> tuple[int, bool]:
        """Make host memory visible to the device; return its device address and whether that is to be freed.

        The memory stays the caller's and must stay valid as long as the device uses it.
        """
        self._flag[0] = 0
        self._address[0] = 0
        status = self._lib.platformPrepareHostBuffer(
            self._pointer(address), self._address, nbytes, self._flag
        )
        self._check("platformPrepareHostBuffer", status, nbytes)
        return int(self._address[0]), bool(self._flag[0] == 1)

    def cache(self, address: int, nbytes: int) -> int:
        """Copy host memory to the device; return its device address, which is to be freed."""
        self._address[0] = 0
        status = self._lib.platformCacheHostBuffer(self._pointer(address), self._address, nbytes)
        self._check("platformCacheHostBuffer", status, nbytes)
        return int(self._address[0])

    def malloc(self, nbytes: int) -> int:
        """Allocate device memory; return its address."""
        self._address[0] = 0
        self._check("platformDeviceMalloc", self._lib.platformDeviceMalloc(self._address, nbytes), nbytes)
        return int(self._address[0])

    def free(self, address: int) -> None:
        """Free device memory."""
        self._check("platformDeviceFree", self._lib.platformDeviceFree(address))

    def to_device(self, source: memoryview, address: int) -> None:
        """Copy bytes to device memory."""
        data = self._ffi.from_buffer("uint8_t[]", source)
        status = self._lib.platformCopyHostToDevice(data, address, source.nbytes)
        self._check("platformCopyHostToDevice", status)

    def to_host(self, address: int, target: memoryview) -> None:
        """Fill a writable buffer from device memory."""
        data = self._ffi.from_buffer("uint8_t[]", target, require_writable=True)
        self._check(
            "platformCopyDeviceToHost", self._lib.platformCopyDeviceToHost(address, data, target.nbytes)
        )

    # --- what only simulated libraries tell -------------------------------------------------------

    def model(self) -> str:
        """Return what stands behind a simulated library (``"rtl"``, ``"functional"``), else ``""``."""
        if not self._library.has("accel_fletcher_model"):
            return ""
        return self._text(self._lib.accel_fletcher_model())

    def cycles(self) -> int | None:
        """Return device cycles since loading, if they are modelled."""
        if not self._library.has("accel_fletcher_cycles"):
            return None
        return int(self._lib.accel_fletcher_cycles())

    def device_s(self) -> float | None:
        """Return modelled seconds since loading, if time is modelled."""
        if not self._library.has("accel_fletcher_device_seconds"):
            return None
        return float(self._lib.accel_fletcher_device_seconds())

    def last_error(self) -> str:
        """Return the text of the last error, if the library has one."""
        if not self._library.has("accel_fletcher_last_error"):
            return ""
        return self._text(self._lib.accel_fletcher_last_error())

    def simulate(self, name: str, value: int) -> bool:
        """Set a parameter of the simulation; return whether there is such a one."""
        if not self._library.has("accel_fletcher_sim_set"):
            return False
        self.pristine = False
        return bool(self._lib.accel_fletcher_sim_set(name.encode(), value) == 0)

    # --- inside -----------------------------------------------------------------------------------

    def _pointer(self, address: int) -> Any:
        return self._ffi.cast("const uint8_t *", address)

    def _text(self, text: Any) -> str:
        return cast(bytes, self._ffi.string(text)).decode(errors="replace") if text else ""

    def _check(self, call: str, status: int, nbytes: int | None = None) -> None:
        """Turn the status of a call into an exception; every call goes through here."""
        if status == 0:
            return
        message = self.last_error() or "the library says no more"
        raise _error(call, int(status), message, nbytes, self.device, str(self.path))

    def _late(self, value: int, timeout_s: float) -> KernelTimeoutError:
        return KernelTimeoutError(
            f"not done within {timeout_s:g} s: the status register is still {value:#x}",
            device=self.device,
            library=str(self.path),
            call="platformReadMMIO",
            status=value,
            hint="the bitstream may be another one, or the device hangs",
        )


def _copy(path: Path) -> int:
    """Return the descriptor of a copy of a file, in memory."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LibraryLoadError(
            f"cannot read library {path}: {error.strerror or error}", library=str(path)
        ) from error
    fd = os.memfd_create(path.name[:200])
    view = memoryview(content)
    while view.nbytes:
        view = view[os.write(fd, view) :]
    return fd


def _renamed(error: LibraryLoadError, copy: Path, path: Path) -> LibraryLoadError:
    """Return the error with the library's own name in place of its copy's."""
    error.message = error.message.replace(str(copy), str(path))
    error.library = str(path)
    return error


def _error(call: str, status: int, message: str, nbytes: int | None, device: str, library: str) -> AccelError:
    """Make the exception for a status."""
    error: AccelError
    if status == 3:
        error = DeviceMemoryError(message, nbytes_asked=nbytes or 0, nbytes_free=0)
    elif status == 2:
        error = DeviceNotFoundError(message, hint="check that the board and its driver are there")
    elif call in _SET_UP:
        error = DeviceError(message, hint="check that the board is there and free")
    else:
        error = KernelFaultError(message)
    error.device, error.library, error.call = device, library, call
    error.status, error.symbol = status, _STATUS.get(status)
    return error


def _pause(waited_s: float) -> float:
    return min(_LONGEST_SLEEP_S, max(_SHORTEST_SLEEP_S, waited_s * _WAIT_SHARE))
