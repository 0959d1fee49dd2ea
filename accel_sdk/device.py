"""What a device is, which ones exist on every machine, and what ``$DEVICE`` selects of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from accel_sdk.errors import DataError, DeviceNotFoundError

DEVICE_VARIABLE = "DEVICE"
SIM_DEVICES_VARIABLE = "ACCEL_SIM_DEVICES"
_DEFAULT_SIM_DEVICES = 2


class Kind(str, Enum):
    """How real a device is. Stated wherever a device is reported."""

    HARDWARE = "hardware"
    CPU = "cpu"
    SIMULATED = "simulated"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Device:
    """One thing that can run kernels. A description: making one touches no hardware.

    Parameters
    ----------
    name
        The name that selects it everywhere: in code, on the command line, in ``$DEVICE``, on a cluster.
    kind
        Whether results and rates come from hardware, a CPU core or a simulator.
    platform
        What a bitstream for it is built for; ``""`` where that means nothing.
    properties
        Facts for people (library, slot, ...). No part of the device's identity.
    """

    name: str
    kind: Kind
    platform: str = ""
    properties: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return self.name


def cpu_devices() -> list[Device]:
    """Return ``cpu:0`` .. ``cpu:N-1``, one for each core this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return [Device(f"cpu:{n}", Kind.CPU) for n in range(cores)]


def simulated_devices(
    prefix: str = "sim", platform: str = "", properties: Mapping[str, str] | None = None
) -> list[Device]:
    """Return ``<prefix>:0`` .. ``<prefix>:N-1``, where ``$ACCEL_SIM_DEVICES`` says how many (default 2).

    Raises
    ------
    DataError
        If the variable is not a whole number from 0 to 1024.
    """
    text = os.environ.get(SIM_DEVICES_VARIABLE, str(_DEFAULT_SIM_DEVICES))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= 1024):
        raise DataError(
            f"{SIM_DEVICES_VARIABLE}={text!r} is not a number of simulated devices",
            hint="set it to a whole number from 0 to 1024, or unset it",
        )
    return [
        Device(f"{prefix}:{n}", Kind.SIMULATED, platform, dict(properties or {})) for n in range(int(text))
    ]


def parse_names(names: str | Sequence[str], *, where: str) -> tuple[str, ...]:
    """Split a comma-separated list of device names or globs; a sequence is taken as it is.

    Parameters
    ----------
    where
        What the list came from, for the error text.

    Raises
    ------
    DeviceNotFoundError
        If there is no name in it.
    """
    parts = names.split(",") if isinstance(names, str) else list(names)
    found = tuple(part.strip() for part in parts if part.strip())
    if not found:
        raise DeviceNotFoundError(
            f"{where} names no device",
            hint="give a device name, a comma-separated list or a glob such as 'cpu:*', or leave it out",
        )
    return found


def names_from_environment() -> tuple[str, ...] | None:
    """Return the names in ``$DEVICE``, or ``None`` where it is not set.

    Raises
    ------
    DeviceNotFoundError
        If it is set but empty.
    """
    text = os.environ.get(DEVICE_VARIABLE)
    return None if text is None else parse_names(text, where=f"{DEVICE_VARIABLE}={text!r}")


def match(
    devices: Iterable[Device], names: Sequence[str], *, where: str, strict: bool = True
) -> list[Device]:
    """Return the devices that `names` selects, in the order of the names, each once.

    A device's own name may contain a comma (``IBM,oc-snap``): neighbouring parts of a list are joined
    again where that makes the name of a device.

    Parameters
    ----------
    where
        What the names came from, for the error text.
    strict
        Whether a name that selects nothing is an error; if not, it is passed over.

    Raises
    ------
    DeviceNotFoundError
        If a name selects nothing; the text lists what exists.
    """
    known = list(devices)
    chosen: dict[str, Device] = {}
    position = 0
    while position < len(names):
        taken, hits = _longest_match(known, names[position:])
        if not hits and strict:
            raise DeviceNotFoundError(
                f"no device matches {names[position]!r} ({where})",
                hint=f"there are: {name_list(known)}",
            )
        chosen.update((device.name, device) for device in hits)
        position += taken
    return list(chosen.values())


def _longest_match(devices: Sequence[Device], names: Sequence[str]) -> tuple[int, list[Device]]:
    """Return how many leading parts of `names` make one name or glob, and what it matches."""
    for taken in range(len(names), 1, -1):
        joined = ",".join(names[:taken])
        hits = [d for d in devices if "," in d.name and fnmatchcase(d.name, joined)]
        if hits:
            return taken, hits
    return 1, [d for d in devices if d.name == names[0] or fnmatchcase(d.name, names[0])]


def visible(devices: Iterable[Device]) -> list[Device]:
    """Return what ``$DEVICE`` lets this process see: all of them where it is not set."""
    names = names_from_environment()
    if names is None:
        return list(devices)
    return match(devices, names, where=f"from {DEVICE_VARIABLE}={os.environ[DEVICE_VARIABLE]}")


def default(devices: Sequence[Device]) -> list[Device]:
    """Return what is used when nothing is named: hardware, else CPU cores; never a simulated device.

    Devices that ``$DEVICE`` names were named, so all of those are used.
    """
    if names_from_environment() is not None:
        return list(devices)
    return preferred(devices)


def preferred(devices: Sequence[Device]) -> list[Device]:
    """Return the hardware among devices, else the CPU cores; never a simulated device."""
    hardware = [device for device in devices if device.kind is Kind.HARDWARE]
    return hardware or [device for device in devices if device.kind is Kind.CPU]


def name_list(devices: Iterable[Device]) -> str:
    """Return the names for an error text, or ``none``."""
    return ", ".join(device.name for device in devices) or "none"
