"""Native libraries: which file is opened, and what is said when it cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from accel_sdk import ffi
from accel_sdk.errors import LibraryLoadError

ABI = "int tiny_add(int left, int right);\nint tiny_neg(int value);\n"
EXTENSION = "int tiny_more(void);\n"
SOURCE = 'extern "C" int tiny_add(int left, int right) { return left + right; }\n'
COMPLETE = SOURCE + 'extern "C" int tiny_neg(int value) { return -value; }\n'


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory, compile_cpp: Callable[..., Path]) -> Path:
    """Return a folder with two small libraries, one of which lacks a function, and their headers."""
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "tiny.abi.h").write_text(ABI)
    (folder / "tiny_ext.abi.h").write_text(EXTENSION)
    for name, text in {"complete": COMPLETE, "partial": SOURCE}.items():
        (folder / f"{name}.cpp").write_text(text)
        compile_cpp(folder / f"lib{name}.so", "-shared", "-fPIC", str(folder / f"{name}.cpp"))
    return folder


@pytest.fixture
def headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands for the installed one."""
    (tmp_path / "tiny.abi.h").write_text(ABI)
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Return three files that could be libraries."""
    found = {name: tmp_path / f"{name}.so" for name in ("option", "variable", "builtin")}
    for path in found.values():
        path.touch()
    return found


def test_option_goes_before_variable_before_built_in(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", str(tmp_path))
    assert ffi.find_library("builtin.so", variable="TINY_LIBRARY") == files["builtin"]
    monkeypatch.setenv("TINY_LIBRARY", "")
    assert ffi.find_library("builtin.so", variable="TINY_LIBRARY") == files["builtin"]
    monkeypatch.setenv("TINY_LIBRARY", str(files["variable"]))
    assert ffi.find_library("builtin.so", variable="TINY_LIBRARY") == files["variable"]
    chosen = ffi.find_library("builtin.so", option=files["option"], variable="TINY_LIBRARY")
    assert chosen == files["option"]


def test_the_path_is_absolute(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files["option"].parent)
    assert ffi.find_library(None, option="option.so") == files["option"]


def test_a_named_library_that_is_missing_is_not_replaced_by_another(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", str(tmp_path))
    monkeypatch.setenv("TINY_LIBRARY", str(tmp_path / "missing.so"))
    with pytest.raises(LibraryLoadError, match=r"missing\.so does not exist \(from TINY_LIBRARY\)") as caught:
        ffi.find_library("builtin.so", variable="TINY_LIBRARY")
    assert caught.value.library == str(tmp_path / "missing.so")
    with pytest.raises(LibraryLoadError, match=r"other\.so does not exist \(from the library option\)"):
        ffi.find_library("builtin.so", option=tmp_path / "other.so", variable="TINY_LIBRARY")
    with pytest.raises(LibraryLoadError, match="from the installed package"):
        ffi.find_library("absent.so")


def test_a_directory_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryLoadError, match="is a directory"):
        ffi.find_library(None, option=tmp_path)


def test_nothing_named_and_nothing_built_in() -> None:
    with pytest.raises(LibraryLoadError, match="set TINY_LIBRARY"):
        ffi.find_library(None, variable="TINY_LIBRARY")


def test_where_installed_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCEL_SDK_LIB_DIR", raising=False)
    assert ffi.native_file("gzip.abi.h").is_file()
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", str(tmp_path))
    assert ffi.native_file("gzip.abi.h") == tmp_path / "gzip.abi.h"
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", "")
    assert ffi.native_file("gzip.abi.h").is_file()


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCEL_SDK_LIB_DIR", raising=False)
    monkeypatch.setattr(ffi, "_DISTRIBUTION", "accel-sdk-that-nobody-has")
    with pytest.raises(LibraryLoadError, match="pip install"):
        ffi.native_file("gzip.abi.h")


def test_a_library_with_all_its_functions(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", str(libraries))
    library = ffi.open_library(libraries / "libcomplete.so", ["tiny.abi.h"], ["tiny_ext.abi.h"])
    assert library.lib.tiny_add(2, 3) == 5
    assert library.symbols == {"tiny_add", "tiny_neg"}
    assert library.has("tiny_add")
    assert not library.has("tiny_more"), "optional functions may be missing"
    assert library.path == libraries / "libcomplete.so"


def test_missing_functions_are_named(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_SDK_LIB_DIR", str(libraries))
    path = libraries / "libpartial.so"
    with pytest.raises(LibraryLoadError, match=r"lacks tiny_more, tiny_neg") as caught:
        ffi.open_library(path, ["tiny.abi.h", "tiny_ext.abi.h"])
    error = caught.value
    assert (error.symbol, error.library) == ("tiny_more", str(path))
    assert str(path) in str(error)
    assert "tiny.abi.h, tiny_ext.abi.h" in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"not a library\n", b"\x7fELF" + bytes(60)], ids=["empty", "text", "header only"]
)
def test_a_file_that_is_no_library(content: bytes, headers: Path) -> None:
    path = headers / "libfalse.so"
    path.write_bytes(content)
    with pytest.raises(LibraryLoadError) as caught:
        ffi.open_library(path, ["tiny.abi.h"])
    text = str(caught.value)
    assert text.startswith(f"cannot load {path}: ")
    assert text.count(str(path)) == 1, "the path once, not once for each layer below"
    assert "find_library" not in text, "what cffi also tried is no news to the user"
    assert caught.value.library == str(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_library_that_may_not_be_read(headers: Path) -> None:
    path = headers / "libsecret.so"
    path.touch(mode=0)
    with pytest.raises(LibraryLoadError, match="Permission denied"):
        ffi.open_library(path, ["tiny.abi.h"])


def test_a_header_that_is_missing(headers: Path) -> None:
    with pytest.raises(LibraryLoadError, match=r"other\.abi\.h: No such file"):
        ffi.open_library(headers / "any.so", ["other.abi.h"])
