"""Fletcher: kernels over Arrow record batches, on boards and on simulated ones."""

from accel_drivers.fletcher._driver import PlatformDriver
from accel_drivers.fletcher._fletcher_kernel import FletcherKernel
from accel_drivers.fletcher._kernel import Sum
from accel_drivers.fletcher._rows import Total

__all__ = ["FletcherKernel", "PlatformDriver", "Sum", "Total"]
