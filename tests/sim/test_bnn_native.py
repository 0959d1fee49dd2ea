"""The native bnn code's own tests, in C++, under the address, undefined-behaviour and thread sanitizers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Compile = Callable[..., Path]

_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_ADDRESS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    # The address sanitizer finds what these would; with them the unrolled kernels take long to compile.
    "-fno-sanitize=null,object-size,vptr,pointer-overflow",
)
_THREAD = ("-fsanitize=thread",)
_NETWORKS = ["cnvW1A1", "cnvW1A2", "cnvW2A2", "lfcW1A1", "lfcW1A2"]  # in the order of the library's table
_PER_NETWORK = "native/bnn/pynq.cpp"  # compiled for each network; the rest of the engine once


def _objects(
    folder: Path, compile_cpp: Compile, flags: tuple[str, ...], jobs: dict[str, list[str]]
) -> list[str]:
    """Compile sources side by side; `jobs` has an object's name for each list of arguments."""

    def build(job: tuple[str, list[str]]) -> str:
        name, arguments = job
        options = ["-c", "-O1", "-g1", *_WARNINGS, *flags, "-Inative/include", "-Inative/bnn"]
        return str(compile_cpp(folder / f"{name}.o", *options, *arguments))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(build, jobs.items()))


def _engine() -> dict[str, list[str]]:
    sources = [*ROOT.glob("native/bnn/*.cpp"), *ROOT.glob("sims/bnn/*.cpp")]
    found = {path.stem: [str(path)] for path in sources if path != ROOT / _PER_NETWORK}
    return dict(sorted(found.items(), key=lambda item: "isa_" not in item[0]))  # the longest first


def _run(program: Path, folder: Path, *arguments: str) -> None:
    folder.mkdir()
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}
    done = subprocess.run(
        [program, folder, *arguments], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout + done.stderr == "", "libraries print nothing"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, compile_cpp: Compile) -> list[str]:
    """Return the engine's objects, made for the address and undefined-behaviour sanitizers."""
    return _objects(tmp_path_factory.mktemp("engine"), compile_cpp, _ADDRESS, _engine())


def test_engine_under_sanitizers(engine: list[str], tmp_path: Path, compile_cpp: Compile) -> None:
    test = _objects(tmp_path, compile_cpp, _ADDRESS, {"test": ["tests/native/bnn/test_bnn.cpp"]})
    program = compile_cpp(tmp_path / "test_bnn", *_ADDRESS, *engine, *test, "-pthread")
    _run(program, tmp_path / "work")


def test_pynq_libraries_under_sanitizers(engine: list[str], tmp_path: Path, compile_cpp: Compile) -> None:
    jobs = {"test": ["tests/native/bnn/test_pynq.cpp"]}
    for network in ("cnvW2A2", "lfcW1A1"):
        jobs[network] = [f'-DACCEL_BNN_NETWORK="{network}"', _PER_NETWORK]
    test, *entries = _objects(tmp_path, compile_cpp, _ADDRESS, jobs)
    for entry in entries:
        network = Path(entry).stem
        program = compile_cpp(tmp_path / f"test_{network}", *_ADDRESS, *engine, test, entry, "-pthread")
        _run(program, tmp_path / f"work-{network}", str(_NETWORKS.index(network)))


def test_threads_under_sanitizer(tmp_path: Path, compile_cpp: Compile) -> None:
    if not _has_thread_sanitizer(tmp_path, compile_cpp):
        pytest.skip("the thread sanitizer does not run on this kernel")
    jobs = {**_engine(), "test": ["tests/native/bnn/test_bnn.cpp"]}
    objects = _objects(tmp_path, compile_cpp, _THREAD, jobs)
    program = compile_cpp(tmp_path / "test_bnn", *_THREAD, *objects, "-pthread")
    _run(program, tmp_path / "work", "threads")


def _has_thread_sanitizer(folder: Path, compile_cpp: Compile) -> bool:
    source = folder / "probe.cpp"
    source.write_text("int main() { return 0; }\n")
    try:
        program = compile_cpp(folder / "probe", *_THREAD, str(source))
    except AssertionError:
        return False
    return subprocess.run([program], capture_output=True).returncode == 0
