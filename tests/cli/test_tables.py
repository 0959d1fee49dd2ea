"""Kernels whose results are tables: several inputs, formats, summaries, views, and their benchmark."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Done = subprocess.CompletedProcess[bytes]
Accel = Callable[..., Done]

PATIENCE_S = 30.0
WORDS = [f"word{number}" for number in range(25)]


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the environment in which the third party's kernels are installed."""
    site = tmp_path / "site"
    about = site / "accel_words-1.0.dist-info"
    about.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("_word_kernels.py"), site)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: accel-words\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[accel_sdk.drivers]\nwords.board = _word_kernels:WordDriver\n"
        "[accel_sdk.kernels]\nwords = _word_kernels:Words\nword-stream = _word_kernels:Stream\n"
        "needy = _word_kernels:Needy\n"
    )

    def make(**variables: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(site), **variables}

    return make


@pytest.fixture
def folder(folder: Path) -> Path:
    """Return the folder that commands run in, with the inputs of these tests."""
    (folder / "text").write_text(" ".join(WORDS))
    (folder / "more").write_text("a bc def")
    (folder / "empty").touch()
    return folder


def _good(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return done


def _rows(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode())))


# --- a table on standard output -------------------------------------------------------------------


def test_the_first_rows_are_shown_and_the_summary_behind_them(accel: Accel) -> None:
    done = _good(accel("run", "words", "text"))
    head, *rows = done.stdout.decode().splitlines()
    assert head.split() == ["word", "size"]
    assert [row.split() for row in rows[:20]] == [[word, str(len(word))] for word in WORDS[:20]]
    assert rows[20] == "... and 5 more rows; -o out.parquet or out.csv or out.arrow keeps them all"
    assert rows[21:] == ["words: 25", "short: 0"]
    assert b"word-board" in done.stderr, "the report goes to standard error"


def test_a_short_table_is_shown_whole(accel: Accel) -> None:
    done = _good(accel("run", "words", "more", "-q"))
    assert [line.split() for line in done.stdout.decode().splitlines()] == [
        ["word", "size"],
        ["a", "1"],
        ["bc", "2"],
        ["def", "3"],
        ["words:", "3"],
        ["short:", "0"],
    ]
    assert done.stderr == b""


def test_one_row_too_many(folder: Path, accel: Accel) -> None:
    (folder / "text").write_text(" ".join(WORDS[:21]))
    assert b"... and 1 more row; -o" in _good(accel("run", "words", "text")).stdout
    assert b"... and 1 more row\n" in _good(accel("run", "needy", "text", "--most", "9")).stdout


def test_an_empty_table(accel: Accel) -> None:
    head, *rows = _good(accel("run", "words", "empty")).stdout.decode().splitlines()
    assert head.split() == ["word", "size"]
    assert rows == ["words: 0", "short: 0"]


# --- JSON -----------------------------------------------------------------------------------------


def test_rows_as_json(accel: Accel) -> None:
    done = _good(accel("run", "words", "more", "--json", "--least", "2"))
    document = json.loads(done.stdout)
    assert list(document) == ["output", "report", "summary", "result"]
    assert document["output"] is None
    assert document["summary"] == {"words": 2, "short": 1}
    assert document["result"] == [{"word": "bc", "size": 2}, {"word": "def", "size": 3}]
    assert (document["report"]["unit"], document["report"]["amount"]) == ("word", 3)
    assert done.stderr == b""


def test_with_an_output_the_rows_are_not_in_the_json(folder: Path, accel: Accel) -> None:
    done = _good(accel("run", "words", "more", "--json", "-o", "out.csv", "--echo", "echo.txt"))
    document = json.loads(done.stdout)
    assert list(document) == ["output", "report", "views", "summary"]
    assert document["output"] == "out.csv"
    assert document["views"] == {"echo": "echo.txt"}
    assert document["summary"] == {"words": 3, "short": 0}
    assert len(_rows((folder / "out.csv").read_bytes())) == 4


def test_a_kernel_without_a_summary_has_none_in_json(accel: Accel) -> None:
    document = json.loads(_good(accel("run", "word-stream", "more", "--json")).stdout)
    assert list(document) == ["output", "report", "result"]
    assert [row["word"] for row in document["result"]] == ["a", "bc", "def"]


# --- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["words", "word-stream"], ids=["in memory", "streamed"])
def test_each_format(kernel: str, folder: Path, accel: Accel) -> None:
    for name in ("out.parquet", "out.csv", "out.arrow", "upper.CSV"):
        done = _good(accel("run", kernel, "text", "-o", name))
        assert done.stdout == (b"words: 25\nshort: 0\n" if kernel == "words" else b"")
    expected = [{"word": word, "size": len(word)} for word in WORDS]
    assert pq.read_table(folder / "out.parquet").to_pylist() == expected
    assert pa.ipc.open_file((folder / "out.arrow").read_bytes()).read_all().to_pylist() == expected
    assert _rows((folder / "out.csv").read_bytes()) == [["word", "size"], *([w, str(len(w))] for w in WORDS)]
    assert (folder / "upper.CSV").read_bytes() == (folder / "out.csv").read_bytes()
    assert not list(folder.glob(".*")), "no temporary file is left"


@pytest.mark.parametrize("kernel", ["words", "word-stream"], ids=["in memory", "streamed"])
@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_standard_output_gets_csv_and_nothing_else(kernel: str, out: str, accel: Accel) -> None:
    done = _good(accel("run", kernel, "more", "-o", out, "-q"))
    assert _rows(done.stdout) == [["word", "size"], ["a", "1"], ["bc", "2"], ["def", "3"]]
    assert done.stderr == (b"words: 3\nshort: 0\n" if kernel == "words" else b"")


def test_a_terminal_may_get_csv(
    command: str, folder: Path, environment: Callable[..., dict[str, str]]
) -> None:
    ours, theirs = pty.openpty()
    try:
        arguments = [command, "run", "words", "more", "-o", "-", "-q"]
        done = subprocess.run(
            arguments,
            cwd=folder,
            env=environment(),
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        assert os.read(ours, 1000).split()[:2] == [b'"word","size"', b'"a",1']
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_shows_progress_and_gets_no_binary_data(
    command: str, folder: Path, environment: Callable[..., dict[str, str]]
) -> None:
    ours, theirs = pty.openpty()
    try:
        for arguments, text in (
            (["words", "more", "text", "-o", "out.csv"], b"/28"),
            (["gzip", "more", "-o", "-"], b"not writing binary data to a terminal"),
        ):
            subprocess.run(
                [command, "run", *arguments],
                cwd=folder,
                env=environment(),
                stdout=theirs,
                stderr=theirs,
                timeout=PATIENCE_S,
            )
            assert text in os.read(ours, 10_000)  # of 28 words, which the kernel counted
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("kernel", ["words", "word-stream"], ids=["in memory", "streamed"])
@pytest.mark.parametrize(("out", "text"), [("out.xlsx", "'.xlsx'"), ("out", "out has no suffix")])
def test_a_suffix_of_no_format_is_found_before_anything_runs(
    kernel: str, out: str, text: str, fails: Callable[..., str]
) -> None:
    said = fails("run", kernel, "text", "-o", out, env={"NOTHING_OPENS": "1"})
    assert all(word in said for word in (text, ".parquet", ".csv", ".arrow"))


def test_a_pipe_needs_no_suffix(folder: Path, accel: Accel) -> None:
    os.mkfifo(folder / "fifo")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((folder / "fifo").read_bytes()), daemon=True)
    reader.start()
    _good(accel("run", "words", "more", "-o", "fifo"))
    reader.join(PATIENCE_S)
    assert len(_rows(found[0])) == 4


@pytest.mark.parametrize("name", ["missing/out.csv", "text/out.csv"])
def test_an_output_that_cannot_be_made_is_found_before_anything_runs(
    name: str, fails: Callable[..., str]
) -> None:
    assert name in fails("run", "words", "text", "-o", name, env={"NOTHING_OPENS": "1"})


def test_the_inputs_as_output(folder: Path, fails: Callable[..., str]) -> None:
    (folder / "text.csv").write_text("x")
    assert "is the input file" in fails("run", "words", "more", "text.csv", "-o", "text.csv")
    assert "is the input file" in fails("run", "word-stream", "more", "text.csv", "-o", "text.csv")
    assert "is the input file" in fails("run", "words", "more", "text", "--echo", "text")


# --- inputs ---------------------------------------------------------------------------------------


def test_several_inputs(accel: Accel) -> None:
    document = json.loads(_good(accel("run", "words", "more", "text", "more", "--json")).stdout)
    assert [row["word"] for row in document["result"]] == ["a", "bc", "def", *WORDS, "a", "bc", "def"]


def test_standard_input(accel: Accel) -> None:
    done = _good(accel("run", "words", "-", "-o", "-", "-q", feed=b"one two"))
    assert _rows(done.stdout)[1:] == [["one", "3"], ["two", "3"]]


def test_bad_usage(folder: Path, misused: Callable[..., str]) -> None:
    os.mkfifo(folder / "fifo")
    for arguments, text in (
        (["words"], "INPUT..."),
        (["words", "text", "-"], "the only INPUT"),
        (["words", "text", "--echo", "x.csv", "-o", "./x.csv"], "same name"),
        (["words", "text", "--echo", "x", "--count-only", "x"], "same name"),
        (["words", "text", "--case", "lower"], "'keep', 'upper'"),
        (["words", "text", "--no-backwards"], "--no-backwards"),
        (["words", "text", "-o", "-", "--json"], "--json"),
        (["word-stream", "text", "--echo", "x"], "--echo"),
        (["gzip", "text", "more", "-o", "x"], "more"),
    ):
        assert text in misused("run", *arguments), arguments


# --- options --------------------------------------------------------------------------------------


def test_help(accel: Accel) -> None:
    text = _good(accel("run", "words", "--help")).stdout.decode()
    assert "INPUT..." in text
    assert "[keep|upper]" in text
    assert "--echo PATH" in text
    assert "Write the text behind its count." in text
    assert ".parquet, .csv, .arrow" in text
    assert "--sizes / --no-sizes" in text
    assert "--backwards" in text
    assert "--no-backwards" not in text, "what is off by default needs no option to be off"


def test_flags(accel: Accel) -> None:
    options = ["--backwards", "--case", "upper", "--no-sizes", "--least", "2"]
    document = json.loads(_good(accel("run", "words", "more", "--json", *options)).stdout)
    assert document["result"] == [{"word": "CB"}, {"word": "FED"}]


# --- views ----------------------------------------------------------------------------------------


def test_views_with_and_without_an_output(folder: Path, accel: Accel) -> None:
    done = _good(accel("run", "words", "more", "--echo", "echo.txt", "--count-only", "count"))
    assert (folder / "echo.txt").read_bytes() == b"3 words\na bc def"
    assert (folder / "count").read_bytes() == b"3 words\n"
    assert b"def" in done.stdout, "the table is shown all the same"
    _good(accel("run", "words", "more", "text", "-o", "out.csv", "--echo", "echo.txt"))
    assert (folder / "echo.txt").read_bytes().startswith(b"28 words\na bc def word0")
    assert len(_rows((folder / "out.csv").read_bytes())) == 29


def test_a_view_of_standard_input(folder: Path, accel: Accel) -> None:
    _good(accel("run", "words", "-", "--echo", "echo.txt", feed=b"one two"))
    assert (folder / "echo.txt").read_bytes() == b"2 words\none two"


def test_a_view_of_what_can_be_read_once(folder: Path, accel: Accel) -> None:
    os.mkfifo(folder / "fifo")
    done = accel("run", "words", "fifo", "--echo", "echo.txt", env={"NOTHING_OPENS": "1"})
    assert done.returncode == 1
    assert done.stderr == (
        b"accel: error: fifo can be read only once, and --echo reads it again; give a file\n"
    )


def test_a_view_that_cannot_be_made_is_found_before_anything_runs(fails: Callable[..., str]) -> None:
    variables = {"NO_VIEWS": "1", "NOTHING_OPENS": "1"}
    assert "needs a library; install it" in fails("run", "words", "text", "--echo", "x", env=variables)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_view_on_a_full_disk_leaves_nothing(fails: Callable[..., str]) -> None:
    arguments = ["run", "words", "text", "-o", "out.csv", "--count-only", "count"]
    assert "/dev/full: No space left" in fails(*arguments, "--echo", "/dev/full")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_table_on_a_full_disk(fails: Callable[..., str]) -> None:
    assert "/dev/full: No space left" in fails("run", "words", "text", "-o", "/dev/full", "--echo", "echo")
    assert "/dev/full: No space left" in fails("run", "word-stream", "text", "-o", "/dev/full")


def test_a_view_that_fails_leaves_nothing(folder: Path, fails: Callable[..., str]) -> None:
    (folder / "out.csv").write_text("old")
    assert ".bad" in fails("run", "words", "text", "-o", "out.csv", "--echo", "x.bad")
    assert "missing/echo" in fails("run", "words", "text", "-o", "out.csv", "--echo", "missing/echo")


# --- bench ----------------------------------------------------------------------------------------


def test_bench_takes_the_kernels_options_and_shows_its_examples_values(accel: Accel) -> None:
    text = _good(accel("bench", "words", "--help")).stdout.decode()
    assert "List the words of texts, and sum up." in text
    assert "letters in a word" in text
    assert "[default: 2]" in text, "the example's, not the field's"
    assert "--backwards / --no-backwards" in text, "the example has it on, so it can be switched off"
    assert all(word in text for word in ("--size", "--repeat", "--plot", "--device", "--json"))
    names = _good(accel("bench", "--help")).stdout.decode()
    assert all(word in names for word in ("gzip", "gunzip", "words", "needy"))


def test_bench_of_the_example_and_of_the_users_own(accel: Accel) -> None:
    for options in ([], ["--least", "3", "--case", "upper", "--no-backwards"]):
        done = _good(accel("bench", "words", "--size", "1", "--repeat", "1", "--json", *options))
        document = json.loads(done.stdout)
        assert list(document) == ["word-board"]
        assert document["word-board"]["amount"] == 100


def test_bench_with_bad_parameters(fails: Callable[..., str]) -> None:
    assert fails("bench", "words", "--least", "0") == "accel: error: least must be positive, not 0\n"


def test_bench_without_an_example_says_what_to_give(accel: Accel, fails: Callable[..., str]) -> None:
    assert fails("bench", "needy") == "accel: error: kernel needy brings no example; give most\n"
    help_text = _good(accel("bench", "needy", "--help")).stdout.decode()
    assert "Input, in MB." in help_text
    assert help_text.count("--size ") == 1
    done = _good(accel("bench", "needy", "--most", "3", "--size", "1", "--repeat", "1", "--json"))
    assert json.loads(done.stdout)["word-board"]["amount"] == 100


def test_bench_of_gzip_takes_its_level(accel: Accel, fails: Callable[..., str]) -> None:
    options = ["--size", "1", "--repeat", "1", "--device", "cpu:0", "--json"]
    fast, small = (
        json.loads(_good(accel("bench", "gzip", "--level", level, *options)).stdout)["cpu:0"]["nbytes_out"]
        for level in ("0", "3")
    )
    assert small < fast
    assert "level must be" in fails("bench", "gzip", "--level", "9", *options)
