"""What the commands do when all is well."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[bytes]
Accel = Callable[..., Done]

PATIENCE_S = 30.0


def _good(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return done


# --- about ----------------------------------------------------------------------------------------


def test_version(accel: Accel) -> None:
    words = _good(accel("--version")).stdout.split()
    assert words[0] == b"accel-sdk"
    assert words[1][:1].isdigit()


def test_help_names_commands_and_options(accel: Accel) -> None:
    text = _good(accel("--help")).stdout.decode()
    assert all(word in text for word in ("devices", "run", "bench", "demo", "DEVICE", "--version"))
    text = _good(accel("run", "--help")).stdout.decode()
    assert all(word in text for word in ("gzip", "gunzip"))
    text = _good(accel("run", "gzip", "--help")).stdout.decode()
    options = "INPUT --level --chunk-bytes --out --device --scheduler --timeout --retries --json --quiet"
    assert all(word in text for word in options.split())
    assert "[default: 1]" in text, "a kernel's options come from its fields, defaults with them"


# --- devices --------------------------------------------------------------------------------------


def test_devices_as_a_table(accel: Accel) -> None:
    head, *rows = _good(accel("devices")).stdout.decode().splitlines()
    assert head.split() == ["device", "kind", "platform", "kernels", "drivers"]
    found = {row.split()[0]: row.split()[1] for row in rows}
    assert found["cpu:0"] == "cpu"
    assert found["sim:0"] == found["sim:1"] == "simulated"


def test_devices_as_json(accel: Accel) -> None:
    document = json.loads(_good(accel("devices", "--json")).stdout)
    assert document["problems"] == {}
    by_name = {row["name"]: row for row in document["devices"]}
    assert len([name for name in by_name if name.startswith("cpu:")]) == len(os.sched_getaffinity(0))
    assert by_name["sim:0"]["kind"] == "simulated"
    assert {"gzip", "gunzip"} <= set(by_name["sim:0"]["kernels"])
    assert "gzip.vitis" in by_name["sim:0"]["drivers"]
    assert {"platform", "properties"} <= set(by_name["cpu:0"])


def test_devices_that_can_run_a_kernel(accel: Accel) -> None:
    document = json.loads(_good(accel("devices", "--json", "--kernel", "gzip")).stdout)
    assert document["devices"]
    assert all("gzip" in row["kernels"] for row in document["devices"])


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"DEVICE": "sim:1,cpu:0"}, ["sim:1", "cpu:0"]),
        ({"DEVICE": "sim:*", "ACCEL_SIM_DEVICES": "3"}, ["sim:0", "sim:1", "sim:2"]),
    ],
    ids=["names", "glob"],
)
def test_device_restricts_the_list(variables: dict[str, str], names: list[str], accel: Accel) -> None:
    document = json.loads(_good(accel("devices", "--json", env=variables)).stdout)
    assert [row["name"] for row in document["devices"]] == names


# --- run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--device", "sim:0"], b"simulated"),
        (["--device", "sim:*,cpu:0", "--level", "3", "--chunk-bytes", "100000"], b"simulated"),
        ([], b"cpu"),
    ],
    ids=["simulated", "mixed", "default"],
)
def test_gzip_of_a_file(options: list[str], kind: bytes, folder: Path, accel: Accel) -> None:
    content = random.Random(7).randbytes(500_000) + b"text " * 400_000
    (folder / "large").write_bytes(content)
    done = _good(accel("run", "gzip", "large", "-o", "large.gz", *options))
    assert gzip.decompress((folder / "large.gz").read_bytes()) == content
    assert done.stdout == b""
    assert kind in done.stderr, "a report states the kind of each device"
    assert sorted(path.name for path in folder.iterdir()) == ["input", "large", "large.gz"]
    again = _good(accel("run", "gunzip", "large.gz", "-o", "again", "-q", *options[:2]))
    assert again.stderr == b"", "quiet"
    assert (folder / "again").read_bytes() == content


def test_empty_input(folder: Path, accel: Accel) -> None:
    (folder / "empty").touch()
    _good(accel("run", "gzip", "empty", "-o", "empty.gz"))
    packed = (folder / "empty.gz").read_bytes()
    assert packed
    assert gzip.decompress(packed) == b""
    _good(accel("run", "gunzip", "empty.gz", "-o", "again"))
    assert (folder / "again").read_bytes() == b""


def test_standard_input_and_output(accel: Accel) -> None:
    content = b"piped " * 50_000
    packed = _good(accel("run", "gzip", "-", "-o", "-", feed=content))
    assert gzip.decompress(packed.stdout) == content
    assert b"MB/s" in packed.stderr, "the report goes to standard error"
    assert _good(accel("run", "gunzip", "-", "-o", "-", feed=packed.stdout)).stdout == content


def test_an_old_output_is_replaced(folder: Path, accel: Accel) -> None:
    (folder / "out").write_bytes(b"old")
    (folder / "out").chmod(0o600)
    _good(accel("run", "gzip", "input", "-o", "out"))
    assert gzip.decompress((folder / "out").read_bytes()) == (folder / "input").read_bytes()
    assert (folder / "out").stat().st_mode & 0o777 == 0o600


def test_a_fifo_is_written_in_place(folder: Path, accel: Accel) -> None:
    os.mkfifo(folder / "fifo")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((folder / "fifo").read_bytes()), daemon=True)
    reader.start()
    _good(accel("run", "gzip", "input", "-o", "fifo"))
    reader.join(PATIENCE_S)
    assert gzip.decompress(found[0]) == (folder / "input").read_bytes()
    assert (folder / "fifo").is_fifo()


def test_standard_output_by_its_name_in_dev(folder: Path, accel: Accel) -> None:
    done = _good(accel("run", "gzip", "input", "-o", "/dev/stdout"))
    assert gzip.decompress(done.stdout) == (folder / "input").read_bytes()


@pytest.mark.parametrize("tool", ["gzip", "pigz"])
def test_other_tools_read_what_we_write(tool: str, folder: Path, accel: Accel) -> None:
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed")
    _good(accel("run", "gzip", "input", "-o", "packed.gz", "--chunk-bytes", "3000", "-d", "sim:0,cpu:0"))
    subprocess.run([program, "-t", "packed.gz"], cwd=folder, check=True, timeout=PATIENCE_S)
    unpacked = subprocess.run([program, "-dc", "packed.gz"], cwd=folder, capture_output=True, check=True)
    assert unpacked.stdout == (folder / "input").read_bytes()


@pytest.mark.parametrize("device", ["cpu:*", "sim:0"])
def test_we_read_what_python_writes(device: str, folder: Path, accel: Accel) -> None:
    with gzip.open(folder / "python.gz", "wb") as file:
        file.write(b"from Python " * 1000)
    _good(accel("run", "gunzip", "python.gz", "-o", "out", "-d", device))
    assert (folder / "out").read_bytes() == b"from Python " * 1000


@pytest.mark.parametrize("tool", ["gzip", "pigz"])
def test_we_read_what_other_tools_write(tool: str, folder: Path, accel: Accel) -> None:
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed")
    packed = subprocess.run([program, "-c", "input", "input"], cwd=folder, capture_output=True, check=True)
    (folder / "members.gz").write_bytes(packed.stdout + bytes(512))
    _good(accel("run", "gunzip", "members.gz", "-o", "out"))
    assert (folder / "out").read_bytes() == (folder / "input").read_bytes() * 2


def test_padding_behind_our_own_members(folder: Path, accel: Accel) -> None:
    _good(accel("run", "gzip", "input", "-o", "packed.gz"))
    with (folder / "packed.gz").open("ab") as file:
        file.write(bytes(512))
    _good(accel("run", "gunzip", "packed.gz", "-o", "out"))
    assert (folder / "out").read_bytes() == (folder / "input").read_bytes()


def test_a_report_as_json(folder: Path, accel: Accel) -> None:
    done = _good(accel("run", "gzip", "input", "-o", "out", "-d", "sim:0,cpu:0", "--json"))
    document = json.loads(done.stdout)
    report = document["report"]
    assert done.stderr == b""
    assert document["output"] == "out"
    assert (report["kernel"], report["unit"], report["retries"]) == ("gzip", "B", 0)
    assert report["amount"] == report["nbytes_in"] == (folder / "input").stat().st_size
    assert report["nbytes_out"] == (folder / "out").stat().st_size
    assert report["wall_s"] > 0
    rows = {row["device"]: row for row in report["devices"]}
    assert {name: row["kind"] for name, row in rows.items()} == {"sim:0": "simulated", "cpu:0": "cpu"}
    assert sum(row["chunks"] for row in rows.values()) >= 1
    assert rows["cpu:0"]["device_s"] is None, "nothing is modelled on a CPU core"
    fields = {
        "failures",
        "nbytes_in",
        "nbytes_out",
        "busy_s",
        "device_s",
        "rate_per_s",
        "set_aside",
        "worker",
    }
    assert fields <= set(rows["sim:0"])


# --- readers that leave ---------------------------------------------------------------------------


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_it_quietly(
    unbuffered: str, command: str, folder: Path, environment: Callable[..., dict[str, str]]
) -> None:
    """As ``accel run gzip - -o - | head -c 10``."""
    (folder / "large").write_bytes(random.Random(1).randbytes(3_000_000))
    with (
        (folder / "large").open("rb") as source,
        subprocess.Popen(
            [command, "run", "gzip", "-", "-o", "-"],
            cwd=folder,
            env=environment(PYTHONUNBUFFERED=unbuffered),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)[:2] == b"\x1f\x8b"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) != 0, "most of the output is lost: that is no success"


@pytest.mark.parametrize("arguments", [["devices"], ["devices", "--json"], ["--help"]], ids=" ".join)
def test_a_reader_that_never_came(
    arguments: list[str], command: str, environment: Callable[..., dict[str, str]]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as end:
        done = subprocess.run(
            [command, *arguments], env=environment(), stdout=end, stderr=subprocess.PIPE, timeout=PATIENCE_S
        )
    assert done.stderr == b""


# --- bench ----------------------------------------------------------------------------------------


def test_bench(accel: Accel) -> None:
    options = ["--size", "1", "--repeat", "1", "--device", "cpu:0,sim:0"]
    document = json.loads(_good(accel("bench", "gzip", "--json", *options)).stdout)
    assert list(document) == ["cpu:0", "sim:0", "all together"]
    assert all(report["amount"] == 1_000_000 and report["rate_per_s"] > 0 for report in document.values())
    assert document["cpu:0"]["devices"][0]["kind"] == "cpu"
    table = _good(accel("bench", "gunzip", *options)).stdout.decode()
    assert all(word in table for word in ("cpu:0", "sim:0", "all together", "MB/s", "modelled"))
