"""The error tree: its shape, its texts, and that nothing is lost between processes."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

from accel_sdk import errors
from accel_sdk.errors import AccelError

# Parent, and the builtin that a plain `except` of users catches: STYLE.md, section 6, and the module's text.
TREE: dict[str, tuple[str, type[Exception]]] = {
    "DriverError": ("AccelError", Exception),
    "DriverNotFoundError": ("DriverError", LookupError),
    "DriverLoadError": ("DriverError", ImportError),
    "LibraryLoadError": ("DriverError", OSError),
    "DeviceError": ("AccelError", Exception),
    "DeviceNotFoundError": ("DeviceError", LookupError),
    "NoDeviceLeftError": ("DeviceError", Exception),
    "DeviceBusyError": ("DeviceError", Exception),
    "DeviceLostError": ("DeviceError", ConnectionError),
    "DeviceMemoryError": ("DeviceError", MemoryError),
    "BitstreamError": ("AccelError", Exception),
    "KernelError": ("AccelError", Exception),
    "KernelNotFoundError": ("KernelError", LookupError),
    "KernelTimeoutError": ("KernelError", TimeoutError),
    "KernelFaultError": ("KernelError", Exception),
    "DataError": ("AccelError", ValueError),
    "ShapeError": ("DataError", ValueError),
    "CorruptStreamError": ("DataError", ValueError),
    "OutputError": ("AccelError", OSError),
    "ClusterError": ("AccelError", ConnectionError),
    "ClosedError": ("AccelError", ValueError),
    "UnsupportedError": ("AccelError", NotImplementedError),
}

OWN_FIELDS: dict[str, dict[str, Any]] = {
    "NoDeviceLeftError": {"errors": {"sim:0": "lost", "sim:1": "busy"}},
    "DeviceMemoryError": {"nbytes_asked": 1 << 40, "nbytes_free": 12, "bank": "HBM[3]"},
    "CorruptStreamError": {"offset_bytes": 4711},
}

COMMON_FIELDS: dict[str, Any] = {
    "driver": "gzip.vitis",
    "device": "sim:0",
    "library": "/opt/libz.so",
    "call": "compress_file_wrapper",
    "status": -6,
    "symbol": "ETIMEDOUT",
    "hint": "try again",
}


class _ThirdPartyError(errors.KernelFaultError):
    """Has a constructor of its own, as a driver's errors may."""

    def __init__(self, register: int) -> None:
        super().__init__(f"status register {register:#x}")
        self.register = register


def _walk(cls: type[AccelError]) -> Iterator[type[AccelError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _walk(child)


def _tree() -> dict[str, type[AccelError]]:
    return {cls.__name__: cls for cls in _walk(AccelError) if cls.__module__ == errors.__name__}


def _make(name: str) -> AccelError:
    error = _tree()[name]("it failed with 12 of 13", **OWN_FIELDS.get(name, {}))
    for field, value in COMMON_FIELDS.items():
        setattr(error, field, value)
    return error


def test_the_tree_has_exactly_the_documented_classes() -> None:
    assert set(_tree()) == {"AccelError", *TREE}


def test_the_docstring_draws_the_tree() -> None:
    drawn = re.findall(r"[├└]─ (\w+?)(?:\((\w+)\))?(?:\s|$)", errors.__doc__ or "")
    builtin = {name: found.__name__ for name, (_, found) in TREE.items() if found is not Exception}
    # A class whose parent already is that builtin need not repeat it.
    assert {name: base for name, base in drawn if base} == {
        name: base for name, base in builtin.items() if builtin.get(TREE[name][0]) != base
    }
    assert {name for name, _ in drawn} == set(TREE)


@pytest.mark.parametrize("name", TREE)
def test_place_in_the_tree(name: str) -> None:
    parent, builtin = TREE[name]
    cls = _tree()[name]
    assert cls.__bases__[0].__name__ == parent
    assert issubclass(cls, builtin)
    assert cls.__doc__


@pytest.mark.parametrize("name", ["AccelError", *TREE])
def test_pickling_keeps_everything(name: str) -> None:
    error = _make(name)
    error.__cause__ = ValueError("not part of it")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)
        for field, value in {**COMMON_FIELDS, **OWN_FIELDS.get(name, {})}.items():
            assert getattr(again, field) == value


@pytest.mark.parametrize("name", ["AccelError", *TREE])
def test_pickling_keeps_the_arguments(name: str) -> None:
    error = _make(name)
    assert pickle.loads(pickle.dumps(error)).args == error.args == ("it failed with 12 of 13",)


@pytest.mark.parametrize("name", ["AccelError", *TREE])
def test_pickling_twice_and_copying(name: str) -> None:
    error = _make(name)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    for other in (again, copy.copy(error), copy.deepcopy(error)):
        assert (type(other), vars(other), str(other)) == (type(error), vars(error), str(error))


def test_pickling_runs_no_constructor() -> None:
    again = pickle.loads(pickle.dumps(_ThirdPartyError(0x1F)))
    assert type(again) is _ThirdPartyError
    assert again.register == 0x1F
    assert str(again) == "status register 0x1f"


def test_a_portable_error_leaves_its_cause_behind() -> None:
    class _Local(Exception):
        """Cannot be pickled: nobody can import it."""

    try:
        try:
            raise _Local
        except _Local as cause:
            raise errors.KernelFaultError("broken", status=3) from cause
    except errors.KernelFaultError as caught:
        stripped = errors.portable(caught)
    assert (stripped.__cause__, stripped.__context__, stripped.__traceback__) == (None, None, None)
    assert pickle.loads(pickle.dumps(stripped)).status == 3


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "no luck"),
        ({"device": "sim:0"}, "sim:0: no luck"),
        ({"hint": "go home"}, "no luck; go home"),
        ({"call": "open_card"}, "open_card: no luck"),
        ({"call": "open_card", "status": 0}, "open_card returned 0: no luck"),
        ({"call": "open_card", "symbol": "NULL"}, "open_card returned NULL: no luck"),
        ({"call": "f", "status": -6, "symbol": "ETIMEDOUT"}, "f returned ETIMEDOUT (-6): no luck"),
        (
            {**COMMON_FIELDS, "call": "f"},
            "sim:0: f returned ETIMEDOUT (-6) in /opt/libz.so: no luck; try again",
        ),
    ],
)
def test_text_of_an_error(fields: dict[str, Any], text: str) -> None:
    assert str(AccelError("no luck", **fields)) == text


def test_a_device_is_named_once() -> None:
    assert str(AccelError("sim:0: no luck", device="sim:0")) == "sim:0: no luck"
    assert str(AccelError("sim:01 is another", device="sim:0")) == "sim:0: sim:01 is another"


def test_optional_fields_are_there_from_the_start() -> None:
    error = AccelError("no luck")
    assert all(getattr(error, field) is None for field in COMMON_FIELDS)
    assert errors.CorruptStreamError("x").offset_bytes is None
    assert errors.DeviceMemoryError("x", nbytes_asked=2, nbytes_free=1).bank == ""
