"""The registry: which drivers are there, what they serve, and what is said when they do not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, ClassVar

import pytest

from accel_sdk import registry as registry_module
from accel_sdk.device import Device, Kind
from accel_sdk.driver import Accelerator, AnyAccelerator, Driver
from accel_sdk.errors import (
    AccelError,
    BitstreamError,
    DataError,
    DeviceLostError,
    DeviceNotFoundError,
    DriverLoadError,
    DriverNotFoundError,
    KernelNotFoundError,
)
from accel_sdk.kernel import AnyKernel, Kernel
from accel_sdk.registry import Registry

BOARD = Device("board", Kind.HARDWARE)
CORE = Device("cpu:0", Kind.CPU)
SIMS = [Device(f"sim:{n}", Kind.SIMULATED) for n in range(2)]


@dataclass(frozen=True)
class _Plain(Kernel[Any, Any]):
    """Needs nothing but a name."""

    name: ClassVar[str] = "plain"

    def split(self, data: Any, shares: Sequence[float]) -> Iterator[Any]:
        return iter([data])

    def merge(self, parts: Iterable[Any]) -> Any:
        return list(parts)


@dataclass(frozen=True)
class _Other(_Plain):
    name: ClassVar[str] = "other"


class _Opened(Accelerator[Any, Any]):
    """Says who opened it."""

    opened_by: str = ""

    def _run(self, chunk: Any) -> Any:
        return chunk


class _Fixed(Driver):
    """A driver whose devices a test sets."""

    name = "fixed.driver"
    kernels = (_Plain,)
    failure: Exception | None = None

    def __init__(self, *found: Device) -> None:
        self._found: list[Any] = list(found)

    def devices(self) -> Iterable[Device]:
        return self._found

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        if self.failure is not None:
            raise self.failure
        accelerator = _Opened(kernel, device)
        accelerator.opened_by = self.name
        return accelerator


class _Second(_Fixed):
    name = "second.driver"
    kernels = (_Other,)


class _Broken(_Fixed):
    """Raises when its devices are listed."""

    name = "broken.driver"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def devices(self) -> Iterable[Device]:
        raise self._error


class _Late(_Broken):
    """Raises in the middle of its list, as a generator does."""

    def devices(self) -> Iterable[Device]:
        yield Device("late:0", Kind.HARDWARE)
        raise self._error


class _Installed:
    """Stands for what packages have registered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = ModuleType("accel_test_plugins")
        self.entries: list[EntryPoint] = []
        monkeypatch.setitem(sys.modules, self.module.__name__, self.module)
        monkeypatch.setattr(registry_module, "entry_points", self._select)

    def _select(self, *, group: str) -> list[EntryPoint]:
        return [entry for entry in self.entries if entry.group == group]

    def add(self, group: str, name: str, value: object) -> None:
        attribute = f"thing{len(self.entries)}"
        setattr(self.module, attribute, value)
        self.add_reference(group, name, f"{self.module.__name__}:{attribute}")

    def add_reference(self, group: str, name: str, reference: str) -> None:
        self.entries.append(EntryPoint(name, reference, f"accel_sdk.{group}"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> _Installed:
    return _Installed(monkeypatch)


class _Good(_Fixed):
    name = "good.driver"

    def __init__(self) -> None:
        super().__init__(CORE)


class _OldContract(_Good):
    contract_version = 0


class _Abstract(Driver):
    name = "abstract.driver"
    kernels = (_Plain,)


class _Raising(_Good):
    def __init__(self) -> None:
        raise RuntimeError("no libfoo.so")


class _Nameless(Driver):
    """Forgot its name and its kernels."""

    def devices(self) -> Iterable[Device]:
        return []

    def open(self, kernel: AnyKernel, device: Device) -> AnyAccelerator:
        raise NotImplementedError


# --- loading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (_OldContract, "contract version 0, this SDK has 1"),
        (object, "not a subclass of Driver"),
        (_Good(), "not a subclass of Driver"),
        (_Abstract, "abstract"),
        (_Raising, "no libfoo.so"),
        (_Nameless, "name"),
    ],
    ids=["old contract", "not a driver", "an object", "abstract", "raising", "nameless"],
)
def test_a_driver_that_keeps_no_contract_hides_only_itself(
    value: object, reason: str, installed: _Installed
) -> None:
    installed.add("drivers", "bad.driver", value)
    installed.add("drivers", "good.driver", _Good)
    registry = Registry()
    assert registry.devices() == [CORE]
    assert [driver.name for driver in registry.drivers()] == ["good.driver"]
    problem = registry.problems()["bad.driver"]
    assert "bad.driver" in problem
    assert reason in problem
    with pytest.raises(DriverLoadError, match=r"bad\.driver"):
        registry_module.load_driver(installed.entries[0])


@pytest.mark.parametrize(
    "code",
    [
        "raise RuntimeError('no card')",
        "import a_module_that_nobody_has",
        "1 +",
        "raise SystemExit('no card')",
    ],
    ids=["raises", "lacks a module", "syntax error", "exits"],
)
def test_a_module_that_does_not_import_hides_only_itself(
    code: str,
    installed: _Installed,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "accel_test_broken.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "accel_test_broken", raising=False)
    installed.add_reference("drivers", "bad.driver", "accel_test_broken:Driver")
    installed.add("drivers", "good.driver", _Good)
    registry = Registry()
    assert registry.devices() == [CORE]
    assert "accel_test_broken:Driver does not import" in registry.problems()["bad.driver"]


def test_an_entry_that_points_nowhere(installed: _Installed) -> None:
    installed.add_reference("drivers", "bad.driver", "accel_test_plugins:Absent")
    registry = Registry()
    assert registry.drivers() == []
    assert "Absent" in registry.problems()["bad.driver"]


def test_an_entry_listed_twice_is_loaded_once(installed: _Installed) -> None:
    installed.add("drivers", "good.driver", _Good)
    installed.entries *= 2
    assert len(Registry().drivers()) == 1


def test_drivers_come_in_the_order_of_their_names(installed: _Installed) -> None:
    installed.add("drivers", "z", _Second)
    installed.add("drivers", "a", _Good)
    assert [driver.name for driver in Registry().drivers()] == ["good.driver", "second.driver"]


def test_a_driver_by_name() -> None:
    registry = Registry([_Fixed(CORE), _Second()])
    assert registry.driver("second.driver").name == "second.driver"
    with pytest.raises(DriverNotFoundError, match=r"'x'.*fixed\.driver, second\.driver"):
        registry.driver("x")
    with pytest.raises(DriverNotFoundError, match="none"):
        Registry([]).driver("x")


# --- kernels --------------------------------------------------------------------------------------


def test_kernels_by_name(installed: _Installed) -> None:
    installed.add("kernels", "plain", _Plain)
    installed.add_reference("kernels", "broken", "accel_test_plugins:Absent")
    assert registry_module.kernel_names() == ["broken", "plain"], "from metadata alone"
    assert Registry([]).kernel_type("plain") is _Plain
    with pytest.raises(DriverLoadError, match="Absent"):
        Registry([]).kernel_type("broken")
    with pytest.raises(KernelNotFoundError, match=r"no kernel 'x'; there are: broken, plain"):
        Registry([]).kernel_type("x")


@pytest.mark.usefixtures("installed")
def test_no_kernels_at_all() -> None:
    with pytest.raises(KernelNotFoundError, match="there are: none"):
        Registry([]).kernel_type("x")


# --- listing --------------------------------------------------------------------------------------


def test_devices_come_hardware_first_simulated_last() -> None:
    registry = Registry([_Fixed(SIMS[0], CORE, BOARD)])
    assert registry.devices() == [BOARD, CORE, SIMS[0]]


def test_two_drivers_serve_one_device() -> None:
    ours = Device("sim:0", Kind.SIMULATED, "xfzlib", {"library": "/a"})
    theirs = Device("sim:0", Kind.SIMULATED, "xfzlib", {"slot": "7"})
    registry = Registry([_Fixed(ours), _Second(theirs, CORE)])
    cpu, merged = registry.devices()
    assert (cpu, merged.properties) == (CORE, {"library": "/a", "slot": "7"})
    assert registry.kernels_of(merged) == ["other", "plain"]
    assert registry.drivers_of(merged) == ["fixed.driver", "second.driver"]
    for kernel, name in ((_Plain(), "fixed.driver"), (_Other(), "second.driver")):
        with registry.open(kernel, "sim:0") as accelerator:
            assert isinstance(accelerator, _Opened)
            assert accelerator.opened_by == name


def test_two_drivers_of_different_platforms_serve_one_device() -> None:
    """The registry merges kernels under one name, whatever each driver's bitstreams are built for."""
    ours, theirs = Device("sim:0", Kind.SIMULATED, "xfzlib"), Device("sim:0", Kind.SIMULATED)
    registry = Registry([_Fixed(ours), _Second(theirs)])
    (merged,) = registry.devices()
    assert registry.kernels_of(merged) == ["other", "plain"]
    for kernel in (_Plain(), _Other()):
        with registry.open(kernel, "sim:0") as accelerator:
            assert accelerator.device.name == "sim:0"


@pytest.mark.parametrize("kernel", ["plain", _Plain, _Plain()], ids=["name", "class", "object"])
def test_devices_for_a_kernel(kernel: Any) -> None:
    registry = Registry([_Fixed(CORE), _Second(SIMS[0])])
    assert registry.devices(kernel) == [CORE]


def test_devices_for_an_unknown_kernel() -> None:
    with pytest.raises(KernelNotFoundError, match="'x'"):
        Registry([_Fixed(CORE)]).devices("x")


def test_a_known_kernel_that_no_driver_runs(installed: _Installed) -> None:
    installed.add("kernels", "other", _Other)
    registry = Registry([_Fixed(CORE)])
    assert registry.devices("other") == []
    with pytest.raises(DeviceNotFoundError, match=r"no visible device can run other.*cpu:0"):
        registry.select("other")


@pytest.mark.parametrize("kind", [_Broken, _Late])
@pytest.mark.parametrize(
    "error",
    [RuntimeError("bus\nerror"), OSError(5, "I/O error"), DeviceLostError("gone"), BitstreamError("gone")],
    ids=lambda error: type(error).__name__,
)
def test_a_driver_that_cannot_list_hides_only_itself(
    error: Exception, kind: Callable[[Exception], Driver]
) -> None:
    registry = Registry([kind(error), _Fixed(CORE)])
    assert registry.devices() == [CORE]
    assert registry.select(_Plain()) == [CORE]
    assert "broken.driver" in registry.problems()["broken.driver"]


def test_a_users_mistake_in_the_environment_is_told_at_once() -> None:
    registry = Registry([_Broken(DataError("ACCEL_SIM_DEVICES='x' is no number")), _Fixed(CORE)])
    with pytest.raises(DataError, match="ACCEL_SIM_DEVICES"):
        registry.devices()


def test_a_driver_that_lists_no_devices_but_something_else_hides_only_itself() -> None:
    class Junk(_Fixed):
        name = "junk.driver"

        def devices(self) -> Iterable[Device]:
            return ["board0"]  # type: ignore[list-item]

    registry = Registry([Junk(), _Fixed(CORE)])
    assert registry.devices() == [CORE]
    assert "junk.driver" in registry.problems()


def test_a_driver_that_recovers_is_no_problem_any_more() -> None:
    class Moody(_Fixed):
        name = "moody.driver"
        moods: ClassVar[list[str]] = ["bad"]

        def devices(self) -> Iterable[Device]:
            if self.moods:
                raise RuntimeError(self.moods.pop())
            return [BOARD]

    registry = Registry([Moody()])
    assert registry.devices() == []
    assert registry.problems()
    assert registry.devices() == [BOARD]
    assert not registry.problems()


# --- choosing -------------------------------------------------------------------------------------


def test_default_is_hardware_else_cpu() -> None:
    assert Registry([_Fixed(*SIMS, CORE, BOARD)]).select(_Plain()) == [BOARD]
    assert Registry([_Fixed(*SIMS, CORE)]).select(_Plain()) == [CORE]


def test_hardware_that_cannot_run_the_kernel_does_not_count() -> None:
    registry = Registry([_Fixed(CORE), _Second(BOARD)])
    assert registry.select(_Plain()) == [CORE]


def test_a_simulated_device_is_used_only_when_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry([_Fixed(*SIMS)])
    with pytest.raises(DeviceNotFoundError, match=r"only simulated.*plain.*sim:0, sim:1"):
        registry.select(_Plain())
    with pytest.raises(DeviceNotFoundError, match="only simulated"):
        registry.open(_Plain())
    assert registry.select(_Plain(), "sim:*") == SIMS
    assert registry.select(_Plain(), ["sim:1"]) == [SIMS[1]]
    monkeypatch.setenv("DEVICE", "sim:1")
    assert registry.select(_Plain()) == [SIMS[1]]


def test_named_devices_come_in_the_order_of_their_names() -> None:
    registry = Registry([_Fixed(*SIMS, CORE)])
    assert registry.select(_Plain(), "sim:1,cpu:*,sim:*") == [SIMS[1], CORE, SIMS[0]]


def test_device_restricts_what_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry([_Fixed(*SIMS, CORE)])
    monkeypatch.setenv("DEVICE", "sim:0,cpu:0")
    assert registry.select(_Plain(), "sim:*") == [SIMS[0]]
    with pytest.raises(DeviceNotFoundError) as caught:
        registry.select(_Plain(), "sim:1")
    assert "'sim:1'" in str(caught.value)
    assert "DEVICE=sim:0,cpu:0 restricts" in str(caught.value)
    assert "there are: sim:0, cpu:0" in str(caught.value)


def test_an_unknown_device_lists_what_exists() -> None:
    with pytest.raises(DeviceNotFoundError, match=r"'gpu:0' \(by me\).*cpu:0, sim:0, sim:1"):
        Registry([_Fixed(*SIMS, CORE)]).select(_Plain(), "gpu:0", where="by me")


def test_a_named_device_that_cannot_run_the_kernel() -> None:
    registry = Registry([_Fixed(CORE), _Second(*SIMS)])
    with pytest.raises(DeviceNotFoundError, match=r"sim:0 cannot run plain.*cpu:0"):
        registry.select(_Plain(), "sim:0")
    assert registry.select(_Plain(), "*") == [CORE], "a glob leaves out what cannot"
    with pytest.raises(DeviceNotFoundError, match=r"sim:0 cannot run plain"):
        registry.select(_Plain(), "cpu:0,sim:0")


def test_no_device_says_which_driver_has_a_problem() -> None:
    registry = Registry([_Broken(RuntimeError("no XRT"))])
    with pytest.raises(DeviceNotFoundError, match=r"no visible device can run plain.*no XRT"):
        registry.select(_Plain())


# --- opening --------------------------------------------------------------------------------------


def test_open_takes_a_device_a_name_or_a_glob() -> None:
    registry = Registry([_Fixed(*SIMS, CORE)])
    for given, name in ((SIMS[1], "sim:1"), ("sim:1", "sim:1"), ("sim:*", "sim:0"), (None, "cpu:0")):
        with registry.open(_Plain(), given) as accelerator:
            assert accelerator.device.name == name


def test_open_on_a_device_that_cannot() -> None:
    registry = Registry([_Fixed(CORE), _Second(BOARD)])
    with pytest.raises(DeviceNotFoundError, match=r"board cannot run plain.*cpu:0"):
        registry.open(_Plain(), BOARD)


def test_an_error_on_opening_names_driver_and_device() -> None:
    driver = _Fixed(BOARD)
    driver.failure = BitstreamError("wrong platform")
    with pytest.raises(BitstreamError) as caught:
        Registry([driver]).open(_Plain())
    assert (caught.value.driver, caught.value.device) == ("fixed.driver", "board")
    driver.failure = BitstreamError("wrong platform", driver="inner", device="slot 7")
    with pytest.raises(AccelError) as kept:
        Registry([driver]).open(_Plain())
    assert (kept.value.driver, kept.value.device) == ("inner", "slot 7")


def test_interception_ends_with_its_block() -> None:
    registry = Registry([_Fixed(*SIMS)])
    seen: list[str] = []

    def wrap(accelerator: AnyAccelerator) -> AnyAccelerator:
        seen.append(accelerator.device.name)
        return accelerator

    with registry.intercept("sim:0", wrap):
        for name in ("sim:0", "sim:1"):
            registry.open(_Plain(), name).close()
    registry.open(_Plain(), "sim:0").close()
    assert seen == ["sim:0"]


def test_the_installed_drivers_are_found() -> None:
    registry = Registry()
    assert {"gzip.isal", "gzip.vitis"} <= {driver.name for driver in registry.drivers()}
    assert {"cpu:0", "sim:0", "sim:1"} <= {device.name for device in registry.devices("gzip")}
