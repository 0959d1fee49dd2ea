"""The one error tree of the SDK.

::

    AccelError(Exception)
    ├─ DriverError
    │  ├─ DriverNotFoundError(LookupError)     names the known drivers
    │  ├─ DriverLoadError(ImportError)         import failed, or wrong contract version
    │  └─ LibraryLoadError(OSError)            every path tried, in order
    ├─ DeviceError
    │  ├─ DeviceNotFoundError(LookupError)
    │  ├─ NoDeviceLeftError                    what each device said
    │  ├─ DeviceBusyError
    │  ├─ DeviceLostError(ConnectionError)
    │  └─ DeviceMemoryError(MemoryError)       bytes asked, bytes free, bank
    ├─ BitstreamError                          wrong platform, digest, or load failure
    ├─ KernelError
    │  ├─ KernelNotFoundError(LookupError)     names the known kernels
    │  ├─ KernelTimeoutError(TimeoutError)
    │  └─ KernelFaultError                     status register, fault address
    ├─ DataError(ValueError)
    │  ├─ ShapeError
    │  └─ CorruptStreamError                   offset in bytes
    ├─ OutputError(OSError)                    the result cannot be written
    ├─ ClusterError(ConnectionError)           no scheduler, or no usable worker
    ├─ ClosedError(ValueError)
    └─ UnsupportedError(NotImplementedError)   capability the device lacks

Where a builtin fits, the class inherits it too, so that a plain ``except TimeoutError`` works. Every error
keeps its data as attributes and survives pickling, because Dask sends it between processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

_E = TypeVar("_E", bound="AccelError")


def _bare(cls: type[_E], message: str) -> _E:
    """Make an error without running its constructor: pickle restores the attributes afterwards.

    A class that inherits a builtin as well must be made by that builtin's ``__new__``, and Python takes no
    other: the first of the bases that it does take is the one.
    """
    for base in cls.__mro__:
        make = cast("Callable[[type[_E], str], _E]", base.__new__)
        try:
            error = make(cls, message)
        except TypeError:
            continue
        error.args = (message,)
        return error
    raise TypeError(f"{cls.__name__} cannot be made")


class AccelError(Exception):
    """Base of everything this SDK raises on purpose.

    Parameters
    ----------
    message
        What failed, with which values.
    driver, device, library
        Where it failed: names as the user knows them; `library` is a path.
    call, status, symbol
        For native failures: the C function, the value it returned, and that value's name.
    hint
        What to do next, in one clause.
    """

    def __init__(
        self,
        message: str,
        *,
        driver: str | None = None,
        device: str | None = None,
        library: str | None = None,
        call: str | None = None,
        status: int | None = None,
        symbol: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.driver = driver
        self.device = device
        self.library = library
        self.call = call
        self.status = status
        self.symbol = symbol
        self.hint = hint

    def __str__(self) -> str:
        """One line: ``device: call returned SYMBOL (status) in library: message; hint``."""
        text = self.message
        if self.call is not None:
            text = f"{self._failed_call()}: {text}"
        if self.device is not None and not text.startswith(f"{self.device}: "):
            text = f"{self.device}: {text}"
        return f"{text}; {self.hint}" if self.hint else text

    def _failed_call(self) -> str:
        name = self.symbol
        if self.status is not None:
            name = f"{name} ({self.status})" if name else str(self.status)
        text = f"{self.call} returned {name}" if name else str(self.call)
        return f"{text} in {self.library}" if self.library else text

    def __reduce__(self) -> tuple[object, ...]:
        return _bare, (type(self), self.message), self.__dict__


class DriverError(AccelError):
    """A driver or the library behind it cannot be used."""


class DriverNotFoundError(DriverError, LookupError):
    """No driver of that name is installed."""


class DriverLoadError(DriverError, ImportError):
    """A driver's module failed to import, or does not keep the driver contract."""


class LibraryLoadError(DriverError, OSError):
    """A native library is missing, is no library, or lacks a symbol."""


class DeviceError(AccelError):
    """A device cannot be found or used."""


class DeviceNotFoundError(DeviceError, LookupError):
    """No device has that name, or none that may be used can run the kernel."""


class NoDeviceLeftError(DeviceError):
    """Every device of a run was set aside.

    Parameters
    ----------
    errors
        What each device said last, by device name.
    """

    def __init__(self, message: str, *, errors: dict[str, str], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.errors = errors


class DeviceBusyError(DeviceError):
    """Another process holds the device."""


class DeviceLostError(DeviceError, ConnectionError):
    """The device, or the process that held it, went away in the middle of its work."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A buffer does not fit into the device's memory.

    Parameters
    ----------
    nbytes_asked, nbytes_free
        Bytes.
    bank
        Name of the memory bank.
    """

    def __init__(
        self,
        message: str,
        *,
        nbytes_asked: int,
        nbytes_free: int,
        bank: str = "",
        device: str | None = None,
    ) -> None:
        super().__init__(message, device=device)
        self.nbytes_asked = nbytes_asked
        self.nbytes_free = nbytes_free
        self.bank = bank


class BitstreamError(AccelError):
    """A bitstream is for another platform, has another digest, or failed to load."""


class KernelError(AccelError):
    """A kernel failed on a device."""


class KernelNotFoundError(KernelError, LookupError):
    """No kernel of that name is installed."""


class KernelTimeoutError(KernelError, TimeoutError):
    """A chunk did not finish in its time."""


class KernelFaultError(KernelError):
    """The device or its library returned a failure, or an answer that cannot be right."""


class DataError(AccelError, ValueError):
    """The input or a parameter is wrong. The device is not to blame, so nothing is retried."""


class ShapeError(DataError):
    """An array has another shape, dtype or layout than the kernel takes."""


class CorruptStreamError(DataError):
    """Coded input is damaged, truncated, or something else altogether.

    Parameters
    ----------
    offset_bytes
        Where, counted from the start of the file or buffer; ``None`` if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        offset_bytes: int | None = None,
        device: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, device=device, hint=hint)
        self.offset_bytes = offset_bytes


class OutputError(AccelError, OSError):
    """The result cannot be written; nothing was left under its name."""


class ClusterError(AccelError, ConnectionError):
    """The scheduler cannot be reached, or has no worker that can do the job."""


class ClosedError(AccelError, ValueError):
    """An accelerator or runner was used after ``close``."""


class UnsupportedError(AccelError, NotImplementedError):
    """The device or driver lacks this capability."""


def portable(error: _E) -> _E:
    """Strip an error of its cause and traceback, which may not pickle, before it goes to another process."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
