"""The ABI headers are C as well as C++: programs in both include them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_INCLUDE = Path(__file__).parents[2] / "native" / "include"
_HEADERS = sorted(
    path.name.replace(".abi.h", ".h") for path in _INCLUDE.glob("*.abi.h") if "_ext" not in path.name
)


@pytest.mark.parametrize("header", _HEADERS)
def test_header_is_c(header: str, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc, clang) on this machine")
    source = tmp_path / "program.c"
    source.write_text(f'#include "{header}"\nint main(void) {{ return 0; }}\n')
    flags = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run([compiler, *flags, f"-I{_INCLUDE}", str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
