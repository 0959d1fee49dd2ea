"""Devices, and what ``$DEVICE`` and ``$ACCEL_SIM_DEVICES`` select."""

from __future__ import annotations

import os
import pickle
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sdk import device
from accel_sdk.device import Device, Kind
from accel_sdk.errors import DataError, DeviceNotFoundError

BOARD = Device("xilinx_u200_xdma_201830_2", Kind.HARDWARE, "xilinx_u200_xdma_201830_2")
CAPI = Device("IBM,oc-snap", Kind.HARDWARE)
BRACKETS = Device("board[0]", Kind.HARDWARE)
CORES = [Device(f"cpu:{n}", Kind.CPU) for n in range(3)]
SIMS = [Device(f"sim:{n}", Kind.SIMULATED) for n in range(2)]
ALL = [BOARD, CAPI, BRACKETS, *CORES, *SIMS]


def _names(found: list[Device]) -> list[str]:
    return [item.name for item in found]


def _select(text: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("DEVICE", text)
    return _names(device.visible(ALL))


def test_device_is_a_frozen_value_without_its_properties() -> None:
    one = Device("sim:0", Kind.SIMULATED, "x", {"library": "/a"})
    two = Device("sim:0", Kind.SIMULATED, "x", {"library": "/b"})
    assert one == two
    assert hash(one) == hash(two)
    assert str(one) == "sim:0"
    assert pickle.loads(pickle.dumps(one)).properties == {"library": "/a"}
    with pytest.raises(FrozenInstanceError):
        one.name = "sim:1"  # type: ignore[misc]


def test_kinds_print_as_the_design_names_them() -> None:
    assert [str(kind) for kind in Kind] == ["hardware", "cpu", "simulated"]


def test_one_cpu_device_for_each_usable_core() -> None:
    found = device.cpu_devices()
    assert _names(found) == [f"cpu:{n}" for n in range(len(os.sched_getaffinity(0)))]
    assert {item.kind for item in found} == {Kind.CPU}


@pytest.mark.parametrize(("text", "count"), [(None, 2), ("0", 0), ("1", 1), ("7", 7), ("1024", 1024)])
def test_number_of_simulated_devices(text: str | None, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if text is not None:
        monkeypatch.setenv("ACCEL_SIM_DEVICES", text)
    found = device.simulated_devices("pynq-sim", "Pynq-Z1", {"bus": "AXI"})
    assert _names(found) == [f"pynq-sim:{n}" for n in range(count)]
    assert all(item.kind is Kind.SIMULATED and item.platform == "Pynq-Z1" for item in found)
    assert all(item.properties == {"bus": "AXI"} for item in found)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "+1", "1.0", "two", "1025", "0x2", "1 ", "1_0", "\u0661", "\u00b2", "9" * 5000],
    ids=lambda text: ascii(text[:8]),
)
def test_bad_numbers_of_simulated_devices(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_SIM_DEVICES", text)
    with pytest.raises(DataError, match=r"ACCEL_SIM_DEVICES=.*0 to 1024"):
        device.simulated_devices()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cpu:1", ["cpu:1"]),
        ("sim:1,cpu:0", ["sim:1", "cpu:0"]),
        (" sim:1 , cpu:0 ,", ["sim:1", "cpu:0"]),
        ("sim:*", ["sim:0", "sim:1"]),
        ("cpu:[12]", ["cpu:1", "cpu:2"]),
        ("cpu:?", ["cpu:0", "cpu:1", "cpu:2"]),
        ("cpu:2,cpu:*", ["cpu:2", "cpu:0", "cpu:1"]),
        ("cpu:1,cpu:1", ["cpu:1"]),
        ("*", _names(ALL)),
        ("board[0]", ["board[0]"]),
        ("xilinx_u200_xdma_201830_2", ["xilinx_u200_xdma_201830_2"]),
        ("IBM,oc-snap", ["IBM,oc-snap"]),
        ("cpu:0,IBM,oc-snap,sim:0", ["cpu:0", "IBM,oc-snap", "sim:0"]),
        ("IBM, oc-snap", ["IBM,oc-snap"]),
        ("IBM*", ["IBM,oc-snap"]),
        ("IBM,oc-*,sim:0", ["IBM,oc-snap", "sim:0"]),
        ("sim:*,IBM*", ["sim:0", "sim:1", "IBM,oc-snap"]),
    ],
)
def test_what_device_selects(text: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _select(text, monkeypatch) == names


def test_without_the_variable_everything_is_visible() -> None:
    assert device.visible(ALL) == ALL


@pytest.mark.parametrize("text", ["", ",", " , ,"])
def test_an_empty_device_variable_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", text)
    with pytest.raises(DeviceNotFoundError, match=r"DEVICE=.* names no device"):
        device.visible(ALL)


@pytest.mark.parametrize("text", ["sim:7", "sim", "gpu:*", "cpu:0,sim:9", "SIM:0", "IBM", "oc-snap"])
def test_a_name_that_matches_nothing_lists_what_exists(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", text)
    with pytest.raises(DeviceNotFoundError) as caught:
        device.visible(ALL)
    assert f"DEVICE={text}" in str(caught.value)
    assert all(item.name in str(caught.value) for item in ALL)


def test_no_devices_at_all() -> None:
    assert device.name_list([]) == "none"
    with pytest.raises(DeviceNotFoundError, match="there are: none"):
        device.match([], ["sim:0"], where="asked for")


def test_default_is_hardware_else_cpu_never_simulated() -> None:
    assert device.default(ALL) == [BOARD, CAPI, BRACKETS]
    assert device.default([*SIMS, *CORES]) == CORES
    assert device.default(SIMS) == []


def test_default_takes_what_device_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", "sim:*")
    assert device.default(device.visible(ALL)) == SIMS


def test_a_sequence_of_names_is_not_split() -> None:
    assert device.parse_names(["IBM,oc-snap", " cpu:0 "], where="here") == ("IBM,oc-snap", "cpu:0")
    with pytest.raises(DeviceNotFoundError, match="here names no device"):
        device.parse_names([], where="here")


@given(st.lists(st.sampled_from([item for item in ALL if item is not BRACKETS]), min_size=1))
def test_any_list_of_names_selects_those_in_order(chosen: list[Device]) -> None:
    text = ",".join(_names(chosen))
    found = device.match(ALL, device.parse_names(text, where="list"), where="list")
    assert found == list(dict.fromkeys(chosen))


def test_names_that_match_nothing_can_be_passed_over() -> None:
    devices = [Device("cpu:0", Kind.CPU), Device("IBM,oc-snap", Kind.HARDWARE)]
    names = ["nothing", "IBM", "oc-snap", "cpu:*"]
    found = device.match(devices, names, where="a test", strict=False)
    assert [item.name for item in found] == ["IBM,oc-snap", "cpu:0"]
    with pytest.raises(DeviceNotFoundError, match="nothing"):
        device.match(devices, names, where="a test")
