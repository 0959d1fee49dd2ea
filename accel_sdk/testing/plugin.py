"""The pytest plugin: simulated devices and injected faults as fixtures.

Kept light: it is imported by every pytest run in an environment that has the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from accel_sdk.device import Device
    from accel_sdk.runner import Runner
    from accel_sdk.testing.faults import FaultLog

_INI = "accel_sim_devices"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the ini option that says which simulated devices the fixtures use."""
    parser.addini(_INI, "device names or globs of the sim_* fixtures (default: sim:*)", default="sim:*")


@pytest.fixture
def sim_devices(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """Several simulated devices, two by default; ``$DEVICE`` names them, for the code under test."""
    from accel_sdk.device import DEVICE_VARIABLE
    from accel_sdk.registry import default_registry

    monkeypatch.setenv(DEVICE_VARIABLE, str(pytestconfig.getini(_INI)))
    return default_registry().devices()


@pytest.fixture
def sim_device(sim_devices: list[Device], monkeypatch: pytest.MonkeyPatch) -> Device:
    """One simulated device; ``$DEVICE`` names it, so that code under test uses it."""
    from accel_sdk.device import DEVICE_VARIABLE

    monkeypatch.setenv(DEVICE_VARIABLE, sim_devices[0].name)
    return sim_devices[0]


@pytest.fixture
def sim_runner(sim_devices: list[Device]) -> Iterator[Runner]:
    """Yield a runner over the simulated devices."""
    from accel_sdk.runner import Runner

    with Runner([device.name for device in sim_devices]) as runner:
        yield runner


@pytest.fixture
def faulty() -> Iterator[Callable[..., FaultLog]]:
    """Yield `accel_sdk.testing.faulty` as a function: its faults end with the test."""
    from accel_sdk.testing.faults import faulty as inject

    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> FaultLog:
            return stack.enter_context(inject(*args, **kwargs))

        yield start
