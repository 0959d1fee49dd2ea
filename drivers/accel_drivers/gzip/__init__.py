"""gzip: compression on CPU cores (ISA-L) and on Vitis boards, real or simulated."""

from accel_drivers.gzip._driver import IsalDriver, VitisDriver
from accel_drivers.gzip._kernel import Gunzip, Gzip

__all__ = ["Gunzip", "Gzip", "IsalDriver", "VitisDriver"]
