"""Bytes on their way to a device: nothing lost, nothing copied without need, every failure named."""

from __future__ import annotations

import array
import copy
import io
import mmap
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sdk import data
from accel_sdk.data import Blob, Carrier, FileBlob, MemoryBlob
from accel_sdk.errors import DataError

SHARES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8)
EXTREME_SHARES = st.lists(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False), min_size=1, max_size=4
)
CUTS = {"grain": 7, "least": 14, "most": 70}


class _OddReads(io.RawIOBase):
    """A stream that hands out less than one asks for, as a pipe may."""

    def __init__(self, content: bytes, sizes: Iterable[int]) -> None:
        super().__init__()
        self._file = io.BytesIO(content)
        self._sizes = iter(sizes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(memoryview(buffer)[: next(self._sizes, 1)])


@contextmanager
def _feeding(content: bytes, target: int | Path, step: int) -> Iterator[None]:
    """Write into a pipe from a thread, in pieces of an odd size."""

    def feed() -> None:
        with open(target, "wb", buffering=0) as file:
            for start in range(0, len(content), step):
                file.write(content[start : start + step])

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)
        assert not thread.is_alive()


def _joined(source: object, shares: list[float] | None = None, **cuts: int) -> bytes:
    """Cut a source, check that the pieces follow each other, and return them joined."""
    pieces: list[bytes] = []
    position = 0
    for blob in data.byte_chunks(source, shares or [1.0], **{**CUTS, **cuts}):
        assert blob.offset == position
        view = blob.view()
        assert view.readonly
        assert view.nbytes == blob.nbytes == data.sizeof(blob)
        pieces.append(bytes(view))
        position += view.nbytes
    assert pieces, "at least one chunk, also of nothing"
    assert all(pieces) or len(pieces) == 1, "an empty chunk is only for empty input"
    return b"".join(pieces)


# --- sizes ----------------------------------------------------------------------------------------


@given(st.integers(0, 20_000), SHARES, st.integers(1, 300), st.integers(1, 3000), st.integers(0, 3000))
def test_sizes_keep_the_rules(total: int, shares: list[float], grain: int, least: int, more: int) -> None:
    most = least + more
    sizes = list(data.chunk_sizes(total, shares, grain=grain, least=least, most=most))
    assert sum(sizes) == total
    assert all(size > 0 for size in sizes)
    assert all(size % grain == 0 for size in sizes[:-1])
    if -(-least // grain) * grain <= most:  # else no multiple of the grain is within the bounds
        assert all(least <= size <= most for size in sizes[:-1])
        assert not sizes or sizes[-1] <= most
    assert all(left >= right for left, right in pairwise(sizes))


@given(st.integers(0, 5000), EXTREME_SHARES)
def test_sizes_add_up_for_any_positive_shares(total: int, shares: list[float]) -> None:
    assert sum(data.chunk_sizes(total, shares, grain=3, least=6, most=600)) == total


@given(st.integers(1000, 10**6), SHARES, st.integers(-20, 20))
def test_only_the_ratios_of_shares_matter(total: int, shares: list[float], power: int) -> None:
    scaled = [share * 2.0**power for share in shares]  # exact in floating point
    cuts = {"grain": 16, "least": 512, "most": 1 << 18}
    assert list(data.chunk_sizes(total, shares, **cuts)) == list(data.chunk_sizes(total, scaled, **cuts))


def test_sizes_shrink_towards_the_end() -> None:
    sizes = list(data.chunk_sizes(1000, [1, 1], grain=10, least=20, most=200))
    assert sizes[0] == 200
    assert sizes[-1] <= 20


@pytest.mark.parametrize("bad", [[], [0.0], [1.0, 0.0], [-1.0], [float("inf")], [float("nan")], [1.0, -2.0]])
def test_shares_that_are_none(bad: list[float]) -> None:
    with pytest.raises(DataError, match="shares must be positive"):
        list(data.chunk_sizes(10, bad, grain=1, least=1, most=10))


# --- sources --------------------------------------------------------------------------------------


@given(st.binary(max_size=2000), SHARES, st.integers(1, 50))
def test_memory_of_any_kind(content: bytes, shares: list[float], grain: int) -> None:
    kinds: list[object] = [content, bytearray(content), memoryview(content), io.BytesIO(content)]
    kinds += [array.array("B", content), np.frombuffer(content, np.uint8), MemoryBlob(memoryview(content))]
    for kind in kinds:
        assert _joined(kind, shares, grain=grain) == content


@given(st.data())
def test_arrays_that_are_not_contiguous(draws: st.DataObject) -> None:
    shape = draws.draw(st.tuples(*[st.integers(0, 9)] * 3))
    dtype = draws.draw(st.sampled_from(["u1", "<i4", ">i4", "f2", "c16", "?", "S3", "i4,f8"]))
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    content = draws.draw(st.binary(min_size=count, max_size=count))
    whole: NDArray[Any] = np.frombuffer(content, np.uint8).view(dtype).reshape(shape)
    steps = draws.draw(st.tuples(*[st.sampled_from([1, 2, -1, -3])] * 3))
    strided = whole[tuple(slice(None, None, step) for step in steps)]
    for values in (strided, strided.T, np.asfortranarray(strided)):
        assert _joined(values) == values.tobytes()


def test_a_scalar_array_is_its_bytes() -> None:
    assert _joined(np.array(258, "<u2")) == b"\x02\x01"


@given(st.binary(max_size=1000), st.lists(st.integers(1, 13), max_size=60))
def test_streams_that_read_odd_sizes(content: bytes, sizes: list[int]) -> None:
    assert _joined(_OddReads(content, sizes)) == content


@given(content=st.binary(max_size=3000), shares=SHARES)
def test_files_go_by_reference(content: bytes, shares: list[float], scratch: Path) -> None:
    path = scratch / "input"
    path.write_bytes(content)
    assert _joined(path, shares) == content
    chunks = list(data.byte_chunks(path, shares, **CUTS))
    by_reference = [isinstance(chunk, FileBlob) and chunk.path == str(path) for chunk in chunks]
    assert all(by_reference) or not content, "but for an empty file: the size of /proc's files is a lie"
    with path.open("rb") as file:
        assert _joined(file, shares) == content
        assert not file.closed, "the file is the caller's"


@pytest.mark.parametrize("size", [0, 1, 69, 70, 71, 200_000])
def test_pipes(size: int, tmp_path: Path) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    reader, writer = os.pipe()
    with _feeding(content, writer, 997), open(reader, "rb", buffering=0) as pipe:
        assert _joined(pipe, most=7000) == content
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with _feeding(content, fifo, 997):
        assert _joined(fifo, most=7000) == content


def test_a_path_that_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input").write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    (chunk,) = data.byte_chunks(Path("input"), [1.0], **CUTS)
    monkeypatch.chdir("/")
    assert bytes(chunk.view()) == b"abc"


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="no /proc/version on this system")
def test_files_whose_size_is_a_lie() -> None:
    """Files of the kernel say that they are empty, and are not."""
    assert _joined(Path("/proc/version")) == Path("/proc/version").read_bytes()


def test_mapped_files(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"abc" * 100)
    with (tmp_path / "input").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
        assert _joined(m) == b"abc" * 100


def test_memory_is_viewed_not_copied() -> None:
    values = np.arange(1000, dtype=np.int32)
    for chunk in data.byte_chunks(values, [1.0, 2.0], **CUTS):
        assert np.shares_memory(np.frombuffer(chunk.view(), np.uint8), values)


def test_chunks_come_lazily() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1 << 20

    class _Endless(_OddReads):
        def readinto(self, buffer: Any) -> int:
            return len(buffer)

    chunks = data.byte_chunks(_Endless(b"", endless()), [1.0], **CUTS)
    assert [next(chunks).nbytes for _ in range(3)] == [70, 70, 70]


# --- bad input ------------------------------------------------------------------------------------


def _missing(folder: Path) -> object:
    return folder / "missing"


def _directory(folder: Path) -> object:
    return folder


def _text_file(folder: Path) -> object:
    (folder / "text").write_bytes(b"plain")
    return (folder / "text").open(encoding="utf-8")


def _binary_opened_as_text(folder: Path) -> object:
    (folder / "text").write_bytes(b"\xff\xfe\x80" * 30)
    return (folder / "text").open(encoding="utf-8")


def _write_only(folder: Path) -> object:
    return (folder / "out").open("wb")


def _closed(folder: Path) -> object:
    with (folder / "closed").open("wb+") as file:
        return file


BAD: dict[str, Callable[[Path], object]] = {
    "missing": _missing,
    "directory": _directory,
    "text file": _text_file,
    "binary opened as text": _binary_opened_as_text,
    "write-only": _write_only,
    "closed": _closed,
    "str": lambda _: "text",
    "StringIO": lambda _: io.StringIO("text"),
    "None": lambda _: None,
    "int": lambda _: 7,
    "list": lambda _: [1, 2, 3],
    "dates": lambda _: np.zeros(3, "datetime64[s]"),
    "objects": lambda _: np.array([object()], dtype=object),  # pointers are no content
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_input(what: str, tmp_path: Path) -> None:
    source = BAD[what](tmp_path)
    try:
        with pytest.raises(DataError) as caught:
            list(data.byte_chunks(source, [1.0], **CUTS))
        assert "\n" not in str(caught.value)
    finally:
        if isinstance(source, io.IOBase):
            source.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0)
    with pytest.raises(DataError, match="Permission denied"):
        list(data.byte_chunks(path, [1.0], **CUTS))


def test_a_stream_that_is_not_ready_is_not_at_its_end() -> None:
    """A non-blocking read answers None: what comes later must not be dropped silently."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(reader, "rb", buffering=0) as pipe, open(writer, "wb", buffering=0), pytest.raises(DataError):
        list(data.byte_chunks(pipe, [1.0], **CUTS))


# --- blobs ----------------------------------------------------------------------------------------


@given(content=st.binary(max_size=300), block=st.integers(1, 400), cut=st.data())
def test_blobs_read_the_same_every_way(content: bytes, block: int, cut: st.DataObject, scratch: Path) -> None:
    path = scratch / "blob"
    path.write_bytes(b"<<" + content + b">>")
    status = path.stat()
    start = cut.draw(st.integers(0, len(content)))
    length = cut.draw(st.integers(0, len(content) - start))
    in_file = FileBlob(str(path), 2, len(content), status.st_size, status.st_mtime_ns)
    blobs: list[Blob] = [in_file, MemoryBlob(memoryview(content), 2)]
    for blob in blobs:
        assert bytes(blob.view()) == content
        assert b"".join(bytes(b) for b in blob.blocks(block)) == content
        assert all(b.readonly and b.nbytes <= block for b in blob.blocks(block))
        part = blob.part(start, length)
        assert (bytes(part.view()), part.offset) == (content[start : start + length], 2 + start)
        beyond = blob.part(start, len(content) + 100)
        assert bytes(beyond.view()) == content[start:], "a part ends with its blob"
        assert bytes(pickle.loads(pickle.dumps(part, 5)).view()) == bytes(part.view())


def test_a_memory_blob_travels_out_of_band() -> None:
    buffers: list[pickle.PickleBuffer] = []
    blob = MemoryBlob(memoryview(bytes(1 << 20)), 7)
    text = pickle.dumps(blob, protocol=5, buffer_callback=buffers.append)
    assert len(text) < 1000
    again = pickle.loads(text, buffers=[bytes(buffer.raw()) for buffer in buffers])
    assert (again.offset, bytes(again.view())) == (7, bytes(1 << 20))


def test_a_memory_blob_pickles_and_copies_the_usual_way_too() -> None:
    blob = MemoryBlob(memoryview(b"abc"), 7)
    for again in (pickle.loads(pickle.dumps(blob)), copy.copy(blob), copy.deepcopy(blob)):
        assert (again.offset, bytes(again.view())) == (7, b"abc")


def test_a_blob_cannot_be_written_through() -> None:
    source = bytearray(b"abc")
    with pytest.raises(TypeError):
        MemoryBlob(memoryview(source)).view()[0] = 0


def test_a_file_that_changes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"abc" * 100)
    blob = data.open_input(path)
    assert isinstance(blob, FileBlob)
    path.write_bytes(b"abcd" * 100)
    with pytest.raises(DataError, match="changed"):
        blob.view()
    with pytest.raises(DataError, match="changed"):
        list(blob.blocks(10))
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        blob.view()


def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    status = path.stat()
    blob = FileBlob(str(path), 0, 10, status.st_size, status.st_mtime_ns)
    with pytest.raises(DataError, match="ends at byte 3, before byte 10"):
        blob.view()


@pytest.mark.parametrize(
    ("value", "nbytes"),
    [
        (b"abc", 3),
        (bytearray(5), 5),
        (memoryview(bytes(8)).cast("I"), 8),
        (np.zeros((2, 3), np.int16), 12),
        ([b"ab", (b"c", np.zeros(1))], 11),
        (MemoryBlob(memoryview(b"abcd")), 4),
        (7, 0),
        ("text", 0),
        (None, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bytes_that_a_value_holds(value: object, nbytes: int) -> None:
    assert data.sizeof(value) == nbytes


class _Pair(Carrier):
    """The least that a carrier must be."""

    def __init__(self, blobs: tuple[Blob, ...]) -> None:
        self._blobs = blobs

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return self._blobs

    def with_blobs(self, blobs: tuple[Blob, ...]) -> _Pair:
        return _Pair(blobs)


def test_a_carrier_is_as_large_as_its_blobs(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"0123456789")
    file = data.open_input(tmp_path / "in")
    assert isinstance(file, FileBlob)
    assert data.sizeof(_Pair((file, data.as_blob(b"abc"), file.part(2, 4)))) == 17
    assert data.sizeof(_Pair(())) == 0


# --- inputs ---------------------------------------------------------------------------------------


def test_the_size_of_an_input(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"0123456789")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    assert data.input_size(tmp_path / "in") == 10
    assert data.input_size(np.zeros(3, np.int32)) == 12
    unknown = [tmp_path, tmp_path / "missing", tmp_path / "empty", tmp_path / "fifo", io.BytesIO(b"x"), 7]
    assert [data.input_size(one) for one in unknown] == [None] * len(unknown)


def test_what_is_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "loop").symlink_to("loop")
    names = ["fifo", "link", "file", ".", "missing", "file/x", "loop", "x" * 300]
    assert [data.is_pipe(tmp_path / name) for name in names] == [True, True] + [False] * 6
    assert data.is_pipe(Path("/dev/null"))


@given(st.binary(max_size=300), st.integers(0, 300), st.lists(st.integers(1, 50), max_size=20))
def test_a_stream_is_whole_again_when_its_head_was_read(content: bytes, head: int, sizes: list[int]) -> None:
    stream = io.BytesIO(content)
    whole = data.rejoined(stream.read(head), stream)
    pieces = [whole.read(size) for size in sizes]
    assert b"".join(pieces) + whole.read() == content
    whole.close()
    assert not stream.closed
