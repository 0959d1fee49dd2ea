"""Outputs: a name shows, or changes, only when its content is complete."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sdk.data import open_input
from accel_sdk.errors import ClusterError, DataError, OutputError
from accel_sdk.output import open_output, refuse_same_file, writing_to


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """Set a umask that no test relies on by accident."""
    old = os.umask(0o027)
    yield
    os.umask(old)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_name_shows_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with open_output(path) as file:
        assert file.write(b"abc") == 3
        assert not path.exists()
        assert len(list(tmp_path.iterdir())) == 1, "written in the same folder, so that renaming is atomic"
        file.write(b"def")
    assert path.read_bytes() == b"abcdef"
    assert list(tmp_path.iterdir()) == [path]


@given(parts=st.lists(st.binary(max_size=50)))
def test_every_kind_of_bytes_is_written_whole(parts: list[bytes], scratch: Path) -> None:
    path = scratch / "out"
    with open_output(path) as file:
        for number, part in enumerate(parts):
            file.write((part, bytearray(part), memoryview(part))[number % 3])
    assert path.read_bytes() == b"".join(parts)


@pytest.mark.parametrize("in_place", [False, True])
def test_many_pieces_are_written_whole(in_place: bool, tmp_path: Path) -> None:
    """More pieces, and more bytes, than one call of the system takes."""
    path = tmp_path / "out"
    pieces = [bytes([n % 256]) * (n % 300) for n in range(3000)]
    found: list[bytes] = []
    if in_place:
        os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    if in_place:
        reader.start()
    with open_output(path) as file:
        file.writelines(pieces)
    if in_place:
        reader.join(10)
    else:
        found.append(path.read_bytes())
    assert found == [b"".join(pieces)]


def test_views_of_other_items_are_written_as_bytes(tmp_path: Path) -> None:
    with open_output(tmp_path / "out") as file:
        assert file.write(memoryview(b"01234567").cast("I")) == 8
    assert (tmp_path / "out").read_bytes() == b"01234567"


def test_a_file_format_may_seek(tmp_path: Path) -> None:
    with open_output(tmp_path / "out") as file:
        assert file.writable()
        assert file.seekable()
        file.write(b"....tail")
        assert file.tell() == 8
        file.seek(0)
        file.write(b"head")
        file.flush()
        assert os.fstat(file.fileno()).st_size == 8
    assert (tmp_path / "out").read_bytes() == b"headtail"


@pytest.mark.parametrize("failure", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, ClusterError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_nothing_is_left_of_a_failure(
    failure: type[BaseException], old: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    if old is not None:
        path.write_bytes(old)

    def write() -> None:
        with open_output(path) as file:
            file.write(b"partial")
            raise failure("x")

    with pytest.raises(failure):
        write()
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == (
        {} if old is None else {"out": old}
    )


@pytest.mark.usefixtures("usual_umask")
def test_a_new_file_respects_the_umask(tmp_path: Path) -> None:
    with open_output(tmp_path / "out"):
        pass
    assert _mode(tmp_path / "out") == 0o640
    assert os.umask(0o027) == 0o027, "the umask is as it was"


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("mode", [0o600, 0o755, 0o666])
def test_a_replaced_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch()
    path.chmod(mode)
    with open_output(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), _mode(path)) == (b"new", mode)


@pytest.mark.parametrize("relative", [False, True])
def test_a_symbolic_link_stays_one(relative: bool, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target = folder / "target"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(Path("elsewhere/target") if relative else target)
    with open_output(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert list(folder.iterdir()) == [target]


def test_a_dangling_link_gets_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with open_output(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "𝄞" * 63], ids=["ascii", "two bytes", "four bytes"])
def test_a_name_as_long_as_names_may_be(name: str, tmp_path: Path) -> None:
    with open_output(tmp_path / name) as file:
        file.write(b"abc")
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_a_relative_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_output(Path("out")) as file:
        file.write(b"abc")
    assert (tmp_path / "out").read_bytes() == b"abc"


# --- in place -------------------------------------------------------------------------------------


def test_a_fifo_is_written_in_place(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()
    content = bytes(range(256)) * 1000  # more than a pipe holds
    with open_output(fifo) as file:
        file.write(content)
    reader.join(10)
    assert found == [content]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert list(tmp_path.iterdir()) == [fifo]


def test_a_pipe_by_its_descriptor_is_written_in_place() -> None:
    """What a shell's ``>(command)`` and /dev/stdout are: their real path is the name of no file."""
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe:
        try:
            with open_output(Path(f"/dev/fd/{writer}")) as file:
                file.write(b"abc")
        finally:
            os.close(writer)
        assert pipe.read() == b"abc"


def test_the_null_device_stays_one() -> None:
    with open_output(Path("/dev/null")) as file:
        file.write(b"abc")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


# --- what cannot be written -----------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_no_space_left() -> None:
    with pytest.raises(OutputError, match=r"cannot write /dev/full: No space left"):  # noqa: SIM117
        with open_output(Path("/dev/full")) as file:
            file.write(b"abc")


def test_no_space_left_for_a_regular_file(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    import resource
    import signal

    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_action = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old_limits[1]))
        with pytest.raises(OutputError, match="File too large"), open_output(tmp_path / "out") as file:
            file.write(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
        signal.signal(signal.SIGXFSZ, old_action)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "directory"),
        ("missing/out", "No such file"),
        ("file/out", "Not a directory"),
        ("loop", "symbolic links"),
        ("x" * 256, "too long"),
    ],
    ids=["directory", "missing folder", "file as folder", "endless link", "long name"],
)
def test_names_that_cannot_be_written(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=reason) as caught, open_output(tmp_path / name):
        pytest.fail("opened")
    assert str(tmp_path / name) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_write_protection_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(OutputError, match="write-protected"), open_output(path):
        pytest.fail("opened")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="Permission denied"), open_output(tmp_path / "new"):
            pytest.fail("opened")
    finally:
        tmp_path.chmod(0o755)


# --- the input as output --------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"abc")
    (tmp_path / "symbolic").symlink_to(path)
    os.link(path, tmp_path / "hard")
    return path


@pytest.mark.parametrize("out", ["source", "symbolic", "hard"])
def test_the_input_is_no_output(out: str, source: Path) -> None:
    with pytest.raises(DataError, match="is the input file"):
        refuse_same_file(source, source.parent / out)
    with source.open("rb") as file, pytest.raises(DataError, match="is the input file"):
        refuse_same_file(file, source.parent / out)
    with pytest.raises(DataError, match="is the input file"):
        refuse_same_file(open_input(source), source.parent / out)
    assert source.read_bytes() == b"abc"


def test_other_outputs_are_fine(source: Path) -> None:
    other = source.parent / "other"
    other.write_bytes(b"abc")
    for out in (other, source.parent / "missing", Path("/dev/null")):
        for data in (source, b"abc", io.BytesIO(b"abc"), None):
            refuse_same_file(data, out)
    refuse_same_file(source.parent / "missing", source)
    refuse_same_file(Path("/dev/null"), Path("/dev/null"))


def test_none_of_several_inputs_is_the_output(source: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(DataError, match="is the input file"):
        refuse_same_file([tmp_path / "other", tmp_path / "missing", source], source)
    refuse_same_file([tmp_path / "other", b"bytes"], source)


def test_of_several_outputs_the_one_that_failed_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    def write() -> None:
        with open_output(first), open_output(second) as file:
            file.write(b"good")
            with writing_to(first):
                raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"cannot write .*first: No space"):
        write()
    assert not list(tmp_path.iterdir())
