"""The family's drivers: which devices there are, and how the kernel is opened on them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from accel_drivers.bnn._kernel import Bnn
from accel_sdk.device import Device, Kind, cpu_devices, simulated_devices
from accel_sdk.driver import AnyAccelerator, Driver
from accel_sdk.errors import LibraryLoadError, UnsupportedError
from accel_sdk.ffi import find_library
from accel_sdk.kernel import AnyKernel

LIBRARY_VARIABLE = "ACCEL_BNN_LIBRARY_DIR"
BOARD_VARIABLE = "BOARD"  # set by PYNQ's images: Pynq-Z1, Pynq-Z2, Ultra96
_PLATFORM = "bnn-pynq"
_BUILT_IN = "python_sw-{network}-pynqZ1-Z2.so"
_PLATFORMS = {"Pynq-Z1": "pynqZ1-Z2", "Pynq-Z2": "pynqZ1-Z2", "Ultra96": "ultra96"}  # BNN-PYNQ's names
_PREFIX = {Kind.HARDWARE: "python_hw", Kind.SIMULATED: "python_sw"}


class NativeDriver(Driver):
    """Binarised neural networks on CPU cores, by the native engine."""

    name = "bnn.native"
    kernels = (Bnn,)

    def devices(self) -> Iterable[Device]:
        return cpu_devices()

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        from accel_drivers.bnn._native import NativeClassifier

        if isinstance(kernel, Bnn):
            return NativeClassifier(kernel, device)
        raise _unsupported(self, kernel)


class LibraryDriver(Driver):
    """Binarised neural networks by any library with BNN-PYNQ's ABI: a board's, the original's, the built-in.

    ``$ACCEL_BNN_LIBRARY_DIR`` names the folder of ``python_hw-<network>-<platform>.so``, for the board that
    ``$BOARD`` names, and of ``python_sw-<network>-<platform>.so``, for ``sim:N``. Such a library keeps its
    state in the process and may abort, so it runs in a device host process.
    """

    name = "bnn.library"
    kernels = (Bnn,)

    def devices(self) -> Iterable[Device]:
        return [*_board(), *simulated_devices(platform=_PLATFORM)]

    def isolated(self, kernel: AnyKernel, device: Device) -> bool:
        return True

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        from accel_drivers.bnn._library import LibraryClassifier

        if isinstance(kernel, Bnn):
            return LibraryClassifier(kernel, device, library_path(kernel.network, device.kind))
        raise _unsupported(self, kernel)


def _board() -> list[Device]:
    """Return the board this process runs on, if its hardware libraries are there."""
    name, folder = os.environ.get(BOARD_VARIABLE, ""), _library_folder()
    if not name or folder is None or not any(folder.glob("python_hw-*.so")):
        return []
    return [Device(name, Kind.HARDWARE, _PLATFORM, {"libraries": str(folder)})]


def library_path(network: str, kind: Kind) -> Path:
    """Return the library of a network: from ``$ACCEL_BNN_LIBRARY_DIR``, else the built-in simulated one.

    Raises
    ------
    LibraryLoadError
        If there is none, or several and ``$BOARD`` does not say which.
    """
    folder = _library_folder()
    if folder is None and kind is Kind.HARDWARE:
        raise LibraryLoadError("no folder of hardware libraries is named", hint=f"set {LIBRARY_VARIABLE}")
    if folder is not None:
        prefix = _PREFIX[kind]
        found = sorted(folder.glob(f"{prefix}-{network}-*.so"))
        if found:
            return _one_of(found)
        if not folder.is_dir():
            raise LibraryLoadError(
                f"{folder} is no folder (from {LIBRARY_VARIABLE})", hint="correct the path"
            )
        if kind is Kind.HARDWARE or any(folder.glob(f"{prefix}-*.so")):
            raise LibraryLoadError(f"{folder} has no {prefix}-{network}-*.so (from {LIBRARY_VARIABLE})")
    return find_library(_BUILT_IN.format(network=network))


def _library_folder() -> Path | None:
    named = os.environ.get(LIBRARY_VARIABLE, "")
    return Path(named) if named else None


def _one_of(found: list[Path]) -> Path:
    """Return the library for this board."""
    if len(found) == 1:
        return found[0].absolute()
    board = os.environ.get(BOARD_VARIABLE, "")
    platform = _PLATFORMS.get(board, board.lower())
    fitting = [path for path in found if path.stem.split("-", 2)[2] == platform]
    if len(fitting) == 1:
        return fitting[0].absolute()
    names = ", ".join(path.name for path in found)
    raise LibraryLoadError(
        f"{found[0].parent} has several libraries: {names}",
        hint=f"set {BOARD_VARIABLE} to the board's name, or move the others away",
    )


def _unsupported(driver: Driver, kernel: AnyKernel) -> UnsupportedError:
    return UnsupportedError(f"{driver.name} cannot run {kernel.name}", driver=driver.name)
