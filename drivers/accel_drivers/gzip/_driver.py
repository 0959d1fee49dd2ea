"""The family's drivers: which devices there are, and how the kernels are opened on them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from accel_drivers.gzip._kernel import Gunzip, Gzip
from accel_sdk import ffi
from accel_sdk.device import Device, Kind, cpu_devices, simulated_devices
from accel_sdk.driver import AnyAccelerator, Driver
from accel_sdk.errors import BitstreamError, UnsupportedError
from accel_sdk.kernel import AnyKernel

LIBRARY_VARIABLE = "ACCEL_GZIP_LIBRARY"
XCLBIN_VARIABLE = "ACCEL_GZIP_XCLBIN"
_BUILT_IN = "libxfzlib_sim.so"


class IsalDriver(Driver):
    """gzip on CPU cores, with Intel's ISA-L."""

    name = "gzip.isal"
    kernels = (Gzip, Gunzip)

    def devices(self) -> Iterable[Device]:
        return cpu_devices()

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        from accel_drivers.gzip import _isal

        if isinstance(kernel, Gzip):
            return _isal.IsalCompressor(kernel, device)
        if isinstance(kernel, Gunzip):
            return _isal.IsalDecompressor(kernel, device)
        raise _unsupported(self, kernel)


class VitisDriver(Driver):
    """gzip on Vitis boards, through the vendor's library or the built-in simulated one.

    ``$ACCEL_GZIP_LIBRARY`` names the vendor's ``libz.so``, ``$ACCEL_GZIP_XCLBIN`` the bitstream. Such a
    library calls ``exit`` on most errors, so it runs in a device host process.
    """

    name = "gzip.vitis"
    kernels = (Gzip, Gunzip)
    boards_folder = Path("/sys/bus/pci/drivers/xocl")
    """Where XRT's kernel driver shows its boards; there only while it is loaded."""

    def devices(self) -> Iterable[Device]:
        return [*self._boards(), *simulated_devices(platform="xfzlib")]

    def isolated(self, kernel: AnyKernel, device: Device) -> bool:
        return bool(os.environ.get(LIBRARY_VARIABLE))

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        from accel_drivers.gzip import _vitis
        from accel_drivers.gzip._abi import XfZlib

        built_in = None if device.kind is Kind.HARDWARE else _BUILT_IN
        library = ffi.find_library(built_in, variable=LIBRARY_VARIABLE)
        card = XfZlib(library, _xclbin(device), self._index(device), device.name)
        if isinstance(kernel, Gzip):
            return _vitis.VitisCompressor(kernel, device, card)
        if isinstance(kernel, Gunzip):
            return _vitis.VitisDecompressor(kernel, device, card)
        card.close()
        raise _unsupported(self, kernel)

    def _boards(self) -> list[Device]:
        """List the boards that XRT's driver has bound, under the names of their shells."""
        boards: list[Device] = []
        if not self.boards_folder.exists():
            return boards
        for file in sorted(self.boards_folder.glob("*/rom*/VBNV")):
            name = _read_text(file)
            if name:
                twins = sum(board.platform == name for board in boards)
                slot = {"pci": file.parent.parent.name, "index": str(len(boards))}
                boards.append(Device(f"{name}:{twins}" if twins else name, Kind.HARDWARE, name, slot))
        return boards

    def _index(self, device: Device) -> int:
        """Return the number that the library knows the device by: its place among its own kind."""
        names = [found.name for found in self.devices() if found.kind is device.kind]
        return names.index(device.name)


def _xclbin(device: Device) -> str:
    path = os.environ.get(XCLBIN_VARIABLE, "")
    if not path and device.kind is Kind.HARDWARE:
        raise BitstreamError("no bitstream is named", hint=f"set {XCLBIN_VARIABLE} to its path")
    if path and not os.access(path, os.R_OK):
        raise BitstreamError(f"cannot read bitstream {path} (from {XCLBIN_VARIABLE})")
    return path


def _read_text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""  # a board that is being reset


def _unsupported(driver: Driver, kernel: AnyKernel) -> UnsupportedError:
    return UnsupportedError(f"{driver.name} cannot run {kernel.name}", driver=driver.name)
