"""The public face: what is exported, and what importing it costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import accel_drivers.gzip
import accel_sdk
import accel_sdk.testing

PACKAGES = [accel_sdk, accel_drivers.gzip, accel_sdk.testing]


def _file(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_all_is_sorted_and_true(package: ModuleType) -> None:
    names: list[str] = package.__all__
    assert names == sorted(set(names))
    assert all(getattr(package, name).__doc__ for name in names)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_faces_only_re_export(package: ModuleType) -> None:
    tree = ast.parse(_file(package).read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(package.__all__)
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign}, "nothing is defined in a face"


def test_what_the_design_promises_is_there() -> None:
    promised = (
        "open devices Runner RunnerOptions Kernel Work Device Driver Accelerator Stats Report AccelError"
    )
    assert set(promised.split()) <= set(accel_sdk.__all__)
    assert {"Gzip", "Gunzip"} <= set(accel_drivers.gzip.__all__)


def test_every_public_error_is_exported() -> None:
    errors = importlib.import_module("accel_sdk.errors")
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.AccelError)
    }
    assert found <= set(accel_sdk.__all__)


@pytest.mark.parametrize("package", ["accel_sdk", "accel_drivers"])
def test_packages_are_typed(package: str) -> None:
    assert (_file(importlib.import_module(package)).parent / "py.typed").exists()


def _loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_and_listing_stay_light() -> None:
    """Dask takes half a second to import, drivers bring their libraries: neither is needed to look around."""
    heavy = {"dask", "distributed", "cffi", "pyarrow", "pytest", "hypothesis", "rich", "accel_sdk.testing"}
    assert not heavy & _loaded_after("import accel_sdk, accel_sdk.tables")
    assert not {*heavy, "isal"} & _loaded_after("import accel_sdk; accel_sdk.devices()")


def test_the_sdk_imports_no_driver() -> None:
    assert not [name for name in _loaded_after("import accel_sdk") if name.startswith("accel_drivers")]
