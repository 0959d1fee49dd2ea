"""The family's driver: which platforms there are, and how the kernels are opened on them."""

from __future__ import annotations

from collections.abc import Iterable

from accel_drivers.fletcher import _platform
from accel_drivers.fletcher._fletcher_kernel import FletcherKernel
from accel_drivers.fletcher._kernel import Sum
from accel_sdk.device import Device
from accel_sdk.driver import AnyAccelerator, Driver
from accel_sdk.errors import UnsupportedError
from accel_sdk.kernel import AnyKernel


class PlatformDriver(Driver):
    """Fletcher's platforms, through the library of each: ``libfletcher_<name>.so``.

    A library that the loader finds (aws, oc-accel, snap) is a device of that name.
    ``$ACCEL_FLETCHER_LIBRARY`` names a library by its path: a board's if it has a board's name, else one for
    the simulated devices. Each simulated device has a copy of the library of its own, within this process.
    """

    name = "fletcher.platform"
    kernels = (Sum, FletcherKernel)

    def devices(self) -> Iterable[Device]:
        return _platform.devices()

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        if not isinstance(kernel, self.kernels):
            raise UnsupportedError(f"{self.name} cannot run {kernel.name}", driver=self.name)
        from accel_drivers.fletcher import _accelerator

        platform = _platform.open_platform(device)
        if isinstance(kernel, Sum):
            return _accelerator.Summer(kernel, device, platform)
        return _accelerator.General(kernel, device, platform)
