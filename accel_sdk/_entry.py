"""The two functions most users start with, typed where they stand."""

from __future__ import annotations

from typing import cast

from accel_sdk.device import Device
from accel_sdk.driver import Accelerator
from accel_sdk.kernel import AnyKernel, In, Kernel, Out
from accel_sdk.registry import default_registry


def devices(kernel: str | type[AnyKernel] | AnyKernel | None = None) -> list[Device]:
    """Return every device that ``$DEVICE`` lets this process see: hardware, CPU cores, simulated ones.

    Parameters
    ----------
    kernel
        Only those that can run it; by name, class or object.

    Raises
    ------
    DeviceNotFoundError
        If a name in ``$DEVICE`` matches nothing, or the variable is empty.
    KernelNotFoundError
        If the kernel is unknown; the text lists those there are.
    """
    return default_registry().devices(kernel)


def open(kernel: Kernel[In, Out], device: str | Device | None = None) -> Accelerator[In, Out]:
    """Open a kernel on one device, without Dask.

    Parameters
    ----------
    kernel
        What to compute.
    device
        A name, a glob (the first match is taken), or a `Device`. Without: the first hardware device that can
        run the kernel, else the first CPU core; a simulated one only if ``$DEVICE`` names it.

    Returns
    -------
    Accelerator
        Close it, or use it as a context manager.

    Raises
    ------
    DeviceNotFoundError
        If no such device can run it; the text lists those that can.
    DriverError, DeviceError
        If the library or board cannot be used.
    """
    return cast("Accelerator[In, Out]", default_registry().open(kernel, device))
