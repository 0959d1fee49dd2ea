"""Find drivers, list devices, open kernels on them.

Drivers and kernels are found through the entry-point groups ``accel_sdk.drivers`` and ``accel_sdk.kernels``,
ours and third parties' alike. A driver that fails to load hides nothing but itself: `problems` says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from accel_sdk import device as _device
from accel_sdk.device import Device, Kind
from accel_sdk.driver import CONTRACT_VERSION, AnyAccelerator, Driver
from accel_sdk.errors import (
    AccelError,
    DataError,
    DeviceNotFoundError,
    DriverLoadError,
    DriverNotFoundError,
    KernelNotFoundError,
)
from accel_sdk.host import HostedAccelerator
from accel_sdk.kernel import AnyKernel, kernel_name

DRIVER_GROUP = "accel_sdk.drivers"
KERNEL_GROUP = "accel_sdk.kernels"

_log = logging.getLogger(__name__)

Wrapper = Callable[[AnyAccelerator], AnyAccelerator]


class Registry:
    """The drivers of this process and the devices they know, one name for each device.

    Parameters
    ----------
    drivers
        Use these, and no entry points: for tests and for programs that bring their own.
    """

    def __init__(self, drivers: Sequence[Driver] | None = None) -> None:
        self._drivers = None if drivers is None else list(drivers)
        self._problems: dict[str, str] = {}
        self._loading = threading.RLock()
        self._wrappers: list[tuple[str, Wrapper]] = []

    def drivers(self) -> list[Driver]:
        """Return every driver that loads, in the order of their entry points' names."""
        with self._loading:  # another thread must not see half of them
            if self._drivers is None:
                found = []
                for entry in _entries(DRIVER_GROUP):
                    try:
                        found.append(load_driver(entry))
                    except DriverLoadError as error:
                        self._problems[entry.name] = str(error)
                        _log.warning("%s", error)
                self._drivers = found
        return self._drivers

    def problems(self) -> dict[str, str]:
        """Return why a driver failed to load or to list its devices, by the driver's name."""
        self.drivers()
        return dict(self._problems)

    def driver(self, name: str) -> Driver:
        """Return the driver of that name.

        Raises
        ------
        DriverNotFoundError
            If there is none; the text names those there are.
        """
        for driver in self.drivers():
            if driver.name == name:
                return driver
        known = ", ".join(driver.name for driver in self.drivers()) or "none"
        raise DriverNotFoundError(f"no driver {name!r}", hint=f"there are: {known}")

    def devices(self, kernel: str | type[AnyKernel] | AnyKernel | None = None) -> list[Device]:
        """Return every device that ``$DEVICE`` lets this process see.

        Parameters
        ----------
        kernel
            Only those that can run it; by name, class or object.

        Raises
        ------
        DeviceNotFoundError
            If a name in ``$DEVICE`` matches nothing, or the variable is empty.
        KernelNotFoundError
            If no driver knows the kernel.
        """
        seen = _device.visible(self._all_devices())
        if kernel is None:
            return seen
        able = self._names_for(kernel)
        return [device for device in seen if device.name in able]

    def kernels_of(self, device: Device) -> list[str]:
        """Return the names of the kernels the device can run, sorted."""
        return self.kernels_by_device().get(device.name, [])

    def kernels_by_device(self) -> dict[str, list[str]]:
        """Return the names of the kernels that each device can run, sorted, by the device's name."""
        table: dict[str, set[str]] = {}
        for driver, found in self._listing():
            for device in found:
                table.setdefault(device.name, set()).update(kernel.name for kernel in driver.kernels)
        return {name: sorted(kernels) for name, kernels in table.items()}

    def drivers_of(self, device: Device) -> list[str]:
        """Return the names of the drivers that serve the device."""
        return [driver.name for driver, found in self._listing() if _lists(found, device)]

    def select(
        self,
        kernel: str | type[AnyKernel] | AnyKernel,
        names: str | Sequence[str] | None = None,
        *,
        where: str = "asked for",
    ) -> list[Device]:
        """Return the devices a kernel is to run on.

        Parameters
        ----------
        kernel
            By name, class or object.
        names
            Names or globs, as in ``$DEVICE``. Without them: hardware, else CPU cores, but never a simulated
            device that nobody named.

        Raises
        ------
        DeviceNotFoundError
            If a name matches nothing that is visible, a named device cannot run the kernel, or only
            simulated devices could; the text lists what there is.
        """
        able = self.devices(kernel)
        label = kernel_name(kernel)
        if names is not None:
            return self._named(label, able, names, where)
        if not able:
            raise self._nothing_runs(label)
        chosen = _device.default(able)
        if not chosen:
            raise DeviceNotFoundError(
                f"only simulated devices can run {label}, and a simulated device is used only when named",
                hint=f"name one of: {_device.name_list(able)}",
            )
        return chosen

    def open(self, kernel: AnyKernel, device: str | Device | None = None) -> AnyAccelerator:
        """Open a kernel on a device; see `accel_sdk.open`."""
        target = self._resolve(kernel, device)
        driver = self._driver_for(kernel, target)
        try:
            accelerator = self._open_with(driver, kernel, target)
        except AccelError as error:
            error.driver = error.driver or driver.name
            error.device = error.device or target.name
            raise
        for name, wrap in self._wrappers:
            if name == target.name:
                accelerator = wrap(accelerator)
        return accelerator

    def kernel_type(self, name: str) -> type[AnyKernel]:
        """Return the kernel class of that name.

        Raises
        ------
        KernelNotFoundError
            If there is none; the text names those there are.
        DriverLoadError
            If its module does not import.
        """
        for entry in _entries(KERNEL_GROUP):
            if entry.name == name:
                return cast("type[AnyKernel]", _load(entry))
        raise self._unknown_kernel(name)

    def match(self, names: str | Sequence[str], *, where: str = "asked for") -> list[Device]:
        """Return the visible devices that `names` selects, in their order.

        Raises
        ------
        DeviceNotFoundError
            If a name matches nothing that is visible; the text lists what is.
        """
        restriction = _device.names_from_environment()
        if restriction is not None:
            where = f"{where}; {_device.DEVICE_VARIABLE}={','.join(restriction)} restricts this process"
        wanted = _device.parse_names(names, where="the device list")
        return _device.match(self.devices(), wanted, where=where)

    @contextmanager
    def intercept(self, device: str, wrap: Wrapper) -> Iterator[None]:
        """Within the block, pass every accelerator opened on `device` through `wrap`.

        What the fault injection of `accel_sdk.testing` is made with. Works in this process only.
        """
        item = (device, wrap)
        self._wrappers.append(item)
        try:
            yield
        finally:
            self._wrappers.remove(item)

    def _listing(self) -> Iterator[tuple[Driver, list[Device]]]:
        for driver in self.drivers():
            try:
                found = list(driver.devices())
                _check_devices(found)
            except DataError:
                raise  # a variable of the user's is wrong
            except Exception as error:  # a driver must not hide the others
                self._problems[driver.name] = f"{driver.name}: listing devices failed: {error!r}"
                _log.warning("%s", self._problems[driver.name])
                continue
            self._problems.pop(driver.name, None)
            yield driver, found

    def _all_devices(self) -> list[Device]:
        merged: dict[str, Device] = {}
        for _, found in self._listing():
            for device in found:
                old = merged.get(device.name)
                merged[device.name] = device if old is None else _merge(old, device)
        order = list(Kind)  # hardware first, simulated last
        return sorted(merged.values(), key=lambda device: order.index(device.kind))

    def _names_for(self, kernel: str | type[AnyKernel] | AnyKernel) -> set[str]:
        name = kernel_name(kernel)
        known = any(name == k.name for driver in self.drivers() for k in driver.kernels)
        if not known and name not in kernel_names():
            raise self._unknown_kernel(name)
        listing = [found for d, found in self._listing() if name in (k.name for k in d.kernels)]
        return {device.name for found in listing for device in found}

    def _named(self, label: str, able: list[Device], names: str | Sequence[str], where: str) -> list[Device]:
        chosen = self.match(names, where=where)
        usable = [device for device in chosen if device in able]
        literal = set(_device.parse_names(names, where="the device list"))
        unable = [d for d in chosen if d not in able and (d.name in literal or not usable)]
        if unable:
            raise DeviceNotFoundError(
                f"{_device.name_list(unable)} cannot run {label}",
                hint=f"devices that can: {_device.name_list(able)}",
            )
        return usable

    def _nothing_runs(self, label: str) -> DeviceNotFoundError:
        problems = "; ".join(self._problems.values())
        return DeviceNotFoundError(
            f"no visible device can run {label}" + (f" ({problems})" if problems else ""),
            hint=f"visible devices: {_device.name_list(self.devices())}",
        )

    def _resolve(self, kernel: AnyKernel, device: str | Device | None) -> Device:
        if isinstance(device, Device):
            return device
        return self.select(kernel, device)[0]

    def _driver_for(self, kernel: AnyKernel, device: Device) -> Driver:
        for driver, found in self._listing():
            if _lists(found, device) and kernel.name in (k.name for k in driver.kernels):
                return driver
        raise DeviceNotFoundError(
            f"{device} cannot run {kernel.name}",
            hint=f"devices that can: {_device.name_list(self.devices(kernel))}",
        )

    def _open_with(self, driver: Driver, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        if driver.isolated(kernel, device):
            return HostedAccelerator(driver, kernel, device)
        return driver.open(kernel, device)

    def _unknown_kernel(self, name: str) -> KernelNotFoundError:
        return KernelNotFoundError(
            f"no kernel {name!r}", hint=f"there are: {', '.join(kernel_names()) or 'none'}"
        )


def kernel_names() -> list[str]:
    """Return the names of all installed kernels, from metadata alone."""
    return sorted({entry.name for entry in entry_points(group=KERNEL_GROUP)})


def load_driver(entry: EntryPoint) -> Driver:
    """Load a driver and check it against the contract at once.

    Raises
    ------
    DriverLoadError
        If its module does not import, or it is no driver of this SDK's contract version.
    """
    loaded = _load(entry)
    if not (isinstance(loaded, type) and issubclass(loaded, Driver)):
        raise DriverLoadError(f"driver {entry.name}: {entry.value} is not a subclass of Driver")
    for name in ("name", "kernels"):
        if not hasattr(loaded, name):
            raise DriverLoadError(f"driver {entry.name}: {entry.value} has no '{name}'")
    if loaded.contract_version != CONTRACT_VERSION:
        raise DriverLoadError(
            f"driver {entry.name} was written for contract version {loaded.contract_version}, "
            f"this SDK has {CONTRACT_VERSION}",
            hint="install a release of the driver that matches",
        )
    try:
        return cast("type[Any]", loaded)()  # type: ignore[no-any-return]
    except Exception as error:
        raise DriverLoadError(f"driver {entry.name} cannot be made: {error!r}") from error


def _entries(group: str) -> list[EntryPoint]:
    """Return a group's entry points by name; one is enough where an install lists it twice."""
    unique = {(entry.name, entry.value): entry for entry in entry_points(group=group)}
    return [unique[key] for key in sorted(unique)]


def _load(entry: EntryPoint) -> object:
    try:
        return cast(object, entry.load())
    except (Exception, SystemExit) as error:  # whatever a third party's module does as it is imported
        raise DriverLoadError(
            f"{entry.name}: {entry.value} does not import: {error}",
            hint="install what it needs, or uninstall the package that brings it",
        ) from error


def _lists(found: Sequence[Device], device: Device) -> bool:
    """Return whether a device is among those found: a name is one device, whoever lists it."""
    return any(other.name == device.name for other in found)


def _check_devices(found: Sequence[object]) -> None:
    for item in found:
        if not isinstance(item, Device):
            raise TypeError(f"{item!r} is no Device")


def _merge(old: Device, new: Device) -> Device:
    return replace(
        old,
        platform=old.platform or new.platform,
        properties={**old.properties, **new.properties},
    )


_default = Registry()


def default_registry() -> Registry:
    """Return the registry of this process."""
    return _default
