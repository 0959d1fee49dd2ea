"""Binarised neural networks, bit-exact with BNN-PYNQ: on CPU cores and on boards, real or simulated."""

from accel_drivers.bnn._driver import LibraryDriver, NativeDriver
from accel_drivers.bnn._kernel import Bnn
from accel_drivers.bnn._networks import Layer, Network, network, networks
from accel_drivers.bnn._params import write_parameters

__all__ = [
    "Bnn",
    "Layer",
    "LibraryDriver",
    "NativeDriver",
    "Network",
    "network",
    "networks",
    "write_parameters",
]
