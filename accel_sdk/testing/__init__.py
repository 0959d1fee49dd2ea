"""Test your own code against simulated devices and injected faults, and drivers against their contract.

`DriverConformance` is the definition of a driver: subclass it with one fixture. `faulty` makes any device
fail, stall, hang or lie on chosen chunks. The pytest plugin, active wherever the SDK is installed, brings the
fixtures ``sim_device``, ``sim_devices``, ``sim_runner`` and ``faulty``. Needs the extra ``test``.
"""

from accel_sdk.testing.conformance import Case, DriverConformance
from accel_sdk.testing.faults import FaultLog, every, faulty

__all__ = ["Case", "DriverConformance", "FaultLog", "every", "faulty"]
