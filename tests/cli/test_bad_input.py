"""Every mistake ends in one line that says what is wrong, exit status 1 (usage: 2), and leaves nothing."""

from __future__ import annotations

import gzip
import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[bytes]
Fails = Callable[..., str]

GOOD = gzip.compress(b"good content " * 100)
PATIENCE_S = 30.0


def _flipped(stream: bytes, position: int) -> bytes:
    wrong = bytearray(stream)
    wrong[position] ^= 0x55
    return bytes(wrong)


@pytest.fixture(scope="module")
def packed(command: str) -> bytes:
    """Return a file of ours, made once."""
    done = subprocess.run(
        [command, "run", "gzip", "-", "-o", "-", "-q"],
        input=b"good content " * 1000,
        capture_output=True,
        check=True,
    )
    return done.stdout


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"), [("missing", "No such file"), (".", "is a directory"), ("input/x", "Not a directory")]
)
def test_input_that_cannot_be_read(name: str, text: str, fails: Fails) -> None:
    assert text in fails("run", "gzip", name, "-o", "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_input_without_permission(folder: Path, fails: Fails) -> None:
    (folder / "input").chmod(0)
    assert "Permission denied" in fails("run", "gzip", "input", "-o", "out")


def test_a_name_that_is_no_text(fails: Fails) -> None:
    assert "cannot read" in fails("run", "gzip", os.fsdecode(b"\xff\n\xfe"), "-o", "out")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b"plain text", "not the start of a gzip file"),
        (GOOD[:-9], "truncated"),
        (GOOD[:5], "truncated"),
        (GOOD + b"garbage", "trailing garbage"),
        (_flipped(GOOD, -6), "damaged"),
        (_flipped(GOOD, -2), "damaged"),
        (_flipped(GOOD, 20), "damaged"),
    ],
    ids=["empty", "text", "truncated", "cut header", "garbage behind", "CRC-32", "ISIZE", "payload"],
)
def test_gunzip_of_what_is_no_good_gzip(content: bytes, text: str, folder: Path, fails: Fails) -> None:
    (folder / "bad.gz").write_bytes(content)
    assert text in fails("run", "gunzip", "bad.gz", "-o", "out")


@pytest.mark.parametrize("device", ["cpu:0", "sim:0"])
@pytest.mark.parametrize(("position", "text"), [(-6, "checksum"), (-12, "gzip member at byte")])
def test_gunzip_of_a_damaged_file_of_ours(
    device: str, position: int, text: str, packed: bytes, folder: Path, fails: Fails
) -> None:
    (folder / "packed.gz").write_bytes(_flipped(packed, position))
    assert text in fails("run", "gunzip", "packed.gz", "-o", "out", "--device", device)


@pytest.mark.parametrize("length", [2**40, 2**64 - 1])
def test_gunzip_of_an_absurd_length(length: int, fails: Fails) -> None:
    head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H2sHQ", 12, b"AX", 8, length)
    assert "gzip member at byte 0" in fails("run", "gunzip", "-", "-o", "out", feed=head + b"x" * 100)


def test_standard_input_that_is_closed(
    command: str, folder: Path, environment: Callable[..., dict[str, str]]
) -> None:
    line = 'exec "$0" run gzip - -o out <&-'
    done = subprocess.run(
        ["/bin/sh", "-c", line, command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"accel: error: ")
    assert b"unexpected" not in done.stderr
    assert not (folder / "out").exists()


# --- output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".", "is a directory"),
        ("missing/out", "No such file"),
        ("input/out", "Not a directory"),
        ("", "directory"),
    ],
)
def test_output_that_cannot_be_written(name: str, text: str, fails: Fails) -> None:
    assert text in fails("run", "gzip", "input", "-o", name)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_no_space_left(fails: Fails) -> None:
    assert "/dev/full: No space left" in fails("run", "gzip", "input", "-o", "/dev/full")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize(
    "arguments", [["run", "gzip", "input", "-o", "-"], ["devices"], ["devices", "--json"]]
)
def test_no_space_left_on_standard_output(
    arguments: list[str], command: str, folder: Path, environment: Callable[..., dict[str, str]]
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [command, *arguments],
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"accel: error: ")
    assert done.stderr.count(b"\n") == 1, done.stderr
    assert b"No space left" in done.stderr
    assert b"unexpected" not in done.stderr


@pytest.mark.parametrize("out", ["input", "symbolic", "hard"])
def test_the_input_as_output(out: str, folder: Path, fails: Fails) -> None:
    (folder / "symbolic").symlink_to("input")
    os.link(folder / "input", folder / "hard")
    assert "is the input file" in fails("run", "gzip", "input", "-o", out)


def test_the_redirected_input_as_output(
    command: str, folder: Path, environment: Callable[..., dict[str, str]]
) -> None:
    before = (folder / "input").read_bytes()
    with (folder / "input").open("rb") as source:
        done = subprocess.run(
            [command, "run", "gzip", "-", "-o", "input"],
            cwd=folder,
            env=environment(),
            stdin=source,
            capture_output=True,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 1
    assert b"is the input file" in done.stderr
    assert (folder / "input").read_bytes() == before


# --- devices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nope", "sim:99", "gpu:*"])
def test_an_unknown_device_lists_what_exists(name: str, fails: Fails) -> None:
    text = fails("run", "gzip", "input", "-o", "out", "--device", name)
    assert all(word in text for word in (name, "cpu:0", "sim:0", "sim:1"))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DEVICE": ""}, ["DEVICE=''"]),
        ({"DEVICE": " , "}, ["DEVICE="]),
        ({"DEVICE": "nope"}, ["DEVICE=nope", "cpu:0", "sim:0"]),
        ({"ACCEL_SIM_DEVICES": "many"}, ["ACCEL_SIM_DEVICES='many'"]),
    ],
    ids=str,
)
def test_variables_that_name_no_device(variables: dict[str, str], words: list[str], fails: Fails) -> None:
    for arguments in (["devices"], ["run", "gzip", "input", "-o", "out"]):
        text = fails(*arguments, env=variables)
        assert all(word in text for word in words)


def test_an_empty_device_option(fails: Fails) -> None:
    assert "names no device" in fails("run", "gzip", "input", "-o", "out", "--device", "")


def test_device_restricts_what_can_be_named(fails: Fails) -> None:
    text = fails("run", "gzip", "input", "-o", "out", "-d", "sim:0", env={"DEVICE": "cpu:0"})
    assert "restricts" in text


# --- libraries ------------------------------------------------------------------------------------


def test_a_library_that_does_not_exist(fails: Fails) -> None:
    text = fails(
        "run", "gzip", "input", "-o", "out", "-d", "sim:0", env={"ACCEL_GZIP_LIBRARY": "/missing/libz.so"}
    )
    assert all(word in text for word in ("sim:0", "/missing/libz.so", "ACCEL_GZIP_LIBRARY"))


def test_a_library_that_is_a_text_file(folder: Path, fails: Fails) -> None:
    library = str(folder / "input")
    text = fails("run", "gzip", "input", "-o", "out", "-d", "sim:0", env={"ACCEL_GZIP_LIBRARY": library})
    assert f"cannot load {library}" in text


def test_a_library_that_lacks_every_function(
    tmp_path: Path, compile_cpp: Callable[..., Path], fails: Fails
) -> None:
    source = tmp_path / "empty.cpp"
    source.write_text('extern "C" int unrelated() { return 7; }\n')
    library = compile_cpp(tmp_path / "libempty.so", "-shared", "-fPIC", str(source))
    variables = {"ACCEL_GZIP_LIBRARY": str(library)}
    text = fails("run", "gzip", "input", "-o", "out", "-d", "sim:0", env=variables)
    assert f"{library} lacks" in text
    assert "xfZlib_constructor_wrapper" in text


def test_a_bitstream_that_does_not_exist(fails: Fails) -> None:
    variables = {"ACCEL_GZIP_XCLBIN": "/missing/a.xclbin"}
    text = fails("run", "gzip", "input", "-o", "out", "-d", "sim:0", env=variables)
    assert "/missing/a.xclbin" in text


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--chunk-bytes", "0"], "chunk_bytes"),
        (["--chunk-bytes", "-5"], "chunk_bytes"),
        (["--level", "9"], "level must be"),
        (["--retries", "-1"], "retries"),
        (["--timeout", "0"], "timeout"),
        (["--timeout", "nan"], "timeout"),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, list) else "",
)
def test_parameters_out_of_range(arguments: list[str], text: str, fails: Fails) -> None:
    assert text in fails("run", "gzip", "input", "-o", "out", *arguments)


@pytest.mark.parametrize(
    "arguments", [["run", "nope", "input", "-o", "out"], ["bench", "nope"], ["devices", "--kernel", "nope"]]
)
def test_an_unknown_kernel_lists_what_exists(arguments: list[str], fails: Fails) -> None:
    text = fails(*arguments)
    assert all(word in text for word in ("'nope'", "gzip", "gunzip"))


def test_a_scheduler_that_nobody_runs(fails: Fails) -> None:
    text = fails("run", "gzip", "input", "-o", "out", "--scheduler", "tcp://127.0.0.1:1")
    assert "tcp://127.0.0.1:1" in text


def test_a_scheduler_that_is_no_address(fails: Fails) -> None:
    started = time.monotonic()
    assert "xyz" in fails("run", "gzip", "input", "-o", "out", "--scheduler", "xyz://nowhere")
    assert time.monotonic() - started < 8, "there is nobody to wait for"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nope"], "nope"),
        (["run", "gzip"], "INPUT"),
        (["run", "gzip", "input"], "--out"),
        (["run", "gzip", "input", "other", "-o", "out"], "other"),
        (["run", "gzip", "input", "-o", "out", "--nope"], "--nope"),
        (["run", "gzip", "input", "-o", "out", "--level", "high"], "high"),
        (["run", "gunzip", "input", "-o", "out", "--level", "1"], "--level"),
        (["run", "gzip", "input", "-o", "-", "--json"], "--json"),
        (["bench", "gzip", "--size", "0"], "--size"),
        (["devices", "--device", "cpu:0"], "--device"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage(arguments: list[str], text: str, misused: Callable[..., str]) -> None:
    assert text in misused(*arguments)


def test_the_traceback_is_there_for_those_who_ask(accel: Callable[..., Done]) -> None:
    done = accel("run", "gzip", "missing", "-o", "out", env={"ACCEL_DEBUG": "1"})
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"accel: error: ")


# --- signals --------------------------------------------------------------------------------------


@pytest.fixture
def unfinished(command: str, folder: Path, environment: Callable[..., dict[str, str]]) -> Any:
    """Yield a run whose input never ends, as soon as it has begun to write."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [command, "run", "gzip", "-", "-o", "out"],
        cwd=folder,
        env=environment(),
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(reader)
    try:
        os.write(writer, b"abc" * 1000)
        deadline = time.monotonic() + PATIENCE_S
        while not list(folder.glob(".out*.part")) and time.monotonic() < deadline:
            assert process.poll() is None
            os.sched_yield()
        yield process
    finally:
        os.close(writer)
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_soon_and_leaves_nothing(
    number: signal.Signals, status: int, unfinished: subprocess.Popen[bytes], folder: Path
) -> None:
    started = time.monotonic()
    unfinished.send_signal(number)
    _, text = unfinished.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - started < 2
    assert unfinished.returncode == status
    # A line feed of its own takes the terminal's cursor behind the echoed ^C.
    assert len(text.split(b"\n")) <= 3
    assert text.strip().startswith(b"accel: ")
    assert [path.name for path in folder.iterdir()] == ["input"]
