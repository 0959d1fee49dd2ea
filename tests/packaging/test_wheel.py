"""What an installation must bring, and must not need."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from accel_sdk.ffi import native_file

pytestmark = pytest.mark.packaging


_NATIVE = [
    *("libxfzlib_sim.so", "gzip.abi.h", "gzip_ext.abi.h"),
    *("libaccel_bnn.so", "bnn.abi.h", "bnn_pynq.abi.h", "bnn_ext.abi.h"),
    *(f"python_sw-{name}-pynqZ1-Z2.so" for name in ("cnvW1A1", "cnvW1A2", "cnvW2A2", "lfcW1A1", "lfcW1A2")),
]


@pytest.mark.parametrize("name", _NATIVE)
def test_native_files_are_installed(name: str) -> None:
    assert native_file(name).is_file()


@pytest.mark.parametrize("package", ["accel_sdk", "accel_drivers"])
def test_packages_are_typed(package: str) -> None:
    module = __import__(package)
    assert module.__path__
    assert any((__import__("pathlib").Path(path) / "py.typed").exists() for path in module.__path__)


def test_entry_points() -> None:
    found = {(entry.group, entry.name) for entry in metadata.distribution("accel-sdk").entry_points}
    assert ("accel_sdk.drivers", "gzip.isal") in found
    assert ("accel_sdk.drivers", "gzip.vitis") in found
    assert ("accel_sdk.drivers", "bnn.native") in found
    assert ("accel_sdk.drivers", "bnn.library") in found
    assert ("accel_sdk.kernels", "bnn") in found
    assert ("accel_sdk.kernels", "gzip") in found
    assert ("accel_sdk.kernels", "gunzip") in found
    assert ("pytest11", "accel_sdk") in found
    assert ("console_scripts", "accel") in found


@pytest.mark.parametrize(
    "module", ["dask", "distributed", "pyarrow", "numpy", "rich", "click", "cffi", "isal", "PIL"]
)
def test_importing_the_sdk_is_light(module: str) -> None:
    code = f"import accel_sdk, sys; sys.exit('{module}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_listing_devices_loads_no_native_code() -> None:
    loaded = "{'cffi', 'isal', 'dask', 'numpy', 'pyarrow'} & set(sys.modules)"
    code = f"import accel_sdk, sys; accel_sdk.devices(); sys.exit(bool({loaded}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_only_the_abi_is_exported() -> None:
    """The library's dynamic symbols are those of its headers: nothing else can clash with a host program."""
    from cffi import FFI

    ffi = FFI()
    for header in ("gzip.abi.h", "gzip_ext.abi.h"):
        ffi.cdef(native_file(header).read_text())
    declared = set(dir(ffi.dlopen(None)))
    exported = _dynamic_symbols()
    assert exported <= declared
    assert "xfZlib_constructor_wrapper" in exported


def _dynamic_symbols() -> set[str]:
    import shutil

    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm (binutils) is not on this machine")
    command = [nm, "-D", "--defined-only", str(native_file("libxfzlib_sim.so"))]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return {row[-1].split("@")[0] for row in rows if row[-2] == "T"}
