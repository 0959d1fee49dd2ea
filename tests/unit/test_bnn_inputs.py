"""What users give as images: every form is read right, by reference, and cut without losing anything.

Files are written here byte by byte, from the format descriptions.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_drivers.bnn import Network, _images, _inputs, network
from accel_drivers.bnn._images import NO_LABEL, Images
from accel_sdk import DataError
from accel_sdk.data import FileBlob, MemoryBlob
from accel_sdk.errors import CorruptStreamError, ShapeError

CNV, LFC = network("cnvW1A1"), network("lfcW1A1")
Array = NDArray[np.uint8]


def _colour(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def _grey(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def _records(images: Array, labels: Any = None) -> bytes:
    """Write CIFAR-10 binary records, plane after plane."""
    pieces = []
    for number, image in enumerate(images):
        pieces.append(bytes([0 if labels is None else labels[number]]))
        pieces += [image[:, :, channel].tobytes() for channel in range(3)]
    return b"".join(pieces)


def _idx3(images: Array, *, magic: int = 0x803, count: int | None = None, size: Any = (28, 28)) -> bytes:
    header = [magic, len(images) if count is None else count, *size]
    return b"".join(number.to_bytes(4, "big") for number in header) + images.tobytes()


def _idx1(labels: Any, *, magic: int = 0x801, count: int | None = None) -> bytes:
    header = [magic, len(labels) if count is None else count]
    return b"".join(number.to_bytes(4, "big") for number in header) + bytes(labels)


def _read(data: object, of: Network, shares: Any = (1.0,)) -> tuple[Array, Array | None]:
    """Return the pixels and labels of everything that an input is cut into."""
    pixels, labels = [np.empty((0, *of.shape), np.uint8)], []
    for chunk in _images.split(data, of, list(shares)):
        chunk = pickle.loads(pickle.dumps(chunk, protocol=5))
        loaded = _images.load(chunk, of, invert=False, skip_bad=False)
        assert loaded.count == chunk.count
        pixels.append(loaded.as_array(of))
        labels.append(loaded.labels)
    known = [found for found in labels if found is not None]
    return np.concatenate(pixels), np.concatenate(known) if len(known) == len(labels) else None


def _check(data: object, of: Network, images: Array, labels: Any = None, shares: Any = (1.0,)) -> None:
    found, found_labels = _read(data, of, shares)
    np.testing.assert_array_equal(found, images)
    if labels is None:
        assert found_labels is None
    else:
        assert found_labels is not None
        assert found_labels.tolist() == list(labels)


_SHARES = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=5)
_COUNTS = st.one_of(st.integers(0, 3), st.sampled_from([63, 64, 65, 367, 368, 369, 1472, 1473, 3001]))


# --- arrays ---------------------------------------------------------------------------------------


@given(_COUNTS, _SHARES, st.integers(0, 99))
def test_arrays_of_colour_images(count: int, shares: list[float], seed: int) -> None:
    images = _colour(count, seed)
    _check(images, CNV, images, shares=shares)


@settings(max_examples=30)
@given(st.one_of(_COUNTS, st.just(45_000)), _SHARES)
def test_arrays_of_grey_images(count: int, shares: list[float]) -> None:
    images = _grey(count)
    _check(images, LFC, images, shares=shares)


def test_one_image() -> None:
    _check(_colour(1)[0], CNV, _colour(1))
    _check(_grey(1)[0], LFC, _grey(1))


def test_arrays_are_viewed_not_copied() -> None:
    images = _colour(500)
    for chunk in _images.split(images, CNV, [1.0]):
        (blob,) = chunk.blobs
        assert isinstance(blob, MemoryBlob)
        assert np.shares_memory(np.frombuffer(blob.data, np.uint8), images)


@pytest.mark.parametrize(
    "images",
    [
        _colour(200)[::-1],
        _colour(200)[::3],
        _colour(200).transpose(0, 2, 1, 3),
        np.asfortranarray(_colour(100)),
        np.broadcast_to(_colour(1), (70, 32, 32, 3)),
        _colour(80).view(),
    ],
)
def test_arrays_in_any_order_of_memory(images: Array) -> None:
    images.flags.writeable = False
    _check(images, CNV, np.ascontiguousarray(images))


def test_arrays_of_records() -> None:
    images, labels = _colour(9), np.arange(9, dtype=np.uint8)
    records = np.frombuffer(_records(images, labels), np.uint8)
    _check(records.reshape(9, 3073), CNV, images, labels)
    _check(records, CNV, images, labels)
    padded = np.zeros((9, 4000), np.uint8)
    padded[:, :3073] = records.reshape(9, 3073)
    _check(padded[:, :3073], CNV, images, labels)


@pytest.mark.parametrize(
    ("of", "array", "message"),
    [
        (CNV, np.zeros((2, 32, 32, 3)), "uint8, 0 to 255, not float64; cnvW1A1 takes arrays of shape"),
        (CNV, np.zeros((2, 32, 32, 3), np.int8), "not int8"),
        (CNV, np.zeros((2, 32, 32, 3), bool), "not bool"),
        (CNV, np.zeros((2, 32, 32, 3), object), "not object"),
        (
            CNV,
            np.zeros((2, 3, 32, 32), np.uint8),
            r"shape \(2, 3, 32, 32\); .* \(N, 32, 32, 3\) or \(32, 32, 3\)",
        ),
        (CNV, np.zeros((2, 32, 32), np.uint8), "shape"),
        (CNV, np.zeros((2, 28, 28), np.uint8), "shape"),
        (CNV, np.zeros((2, 32, 32, 4), np.uint8), "shape"),
        (CNV, np.zeros((1, 2, 32, 32, 3), np.uint8), "shape"),
        (CNV, np.zeros((2, 3072), np.uint8), r"shape \(2, 3072\); .* \(N, 3073\) for records"),
        (CNV, np.zeros((), np.uint8), "shape"),
        (LFC, np.zeros((2, 28, 28), np.float32), r"not float32; lfcW1A1 takes arrays of shape \(N, 28, 28\)"),
        (LFC, np.zeros((2, 32, 32, 3), np.uint8), r"\(N, 28, 28\) or \(28, 28\)$"),
        (LFC, np.zeros((2, 784), np.uint8), "shape"),
        (LFC, np.zeros((2, 3073), np.uint8), "shape"),
        (LFC, np.zeros((28, 28, 1), np.uint8), "shape"),
    ],
)
def test_arrays_that_are_no_images(of: Network, array: Array, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        list(_images.split(array, of, [1.0]))


@pytest.mark.parametrize("data", ["images.bin", 5, 2.5, None, object(), {"a": 1}, [3], [b"", "x"]])
def test_what_is_no_input_at_all(data: object) -> None:
    for of in (CNV, LFC):
        with pytest.raises(DataError):
            list(_images.split(data, of, [1.0]))


# --- records --------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(_COUNTS, _SHARES)
def test_records_in_memory_and_in_files(scratch: Path, count: int, shares: list[float]) -> None:
    images = _colour(count, 7)
    labels = np.random.default_rng(count).integers(0, 256, count, np.uint8)
    content = _records(images, labels)
    expected = labels if count else None
    for form in (content, bytearray(content), memoryview(content)):
        _check(form, CNV, images, expected, shares)
    for name in ("images.bin", "images.record", "images.records", "images.BIN", "images", "images.dat"):
        (scratch / name).write_bytes(content)
        _check(scratch / name, CNV, images, expected, shares)
    _check(io.BytesIO(content), CNV, images, expected, shares)


def test_files_travel_by_reference(tmp_path: Path) -> None:
    (tmp_path / "images.bin").write_bytes(_records(_colour(1000)))
    chunks = list(_images.split(tmp_path / "images.bin", CNV, [1.0, 2.0]))
    assert len(chunks) > 2
    assert all(isinstance(blob, FileBlob) for chunk in chunks for blob in chunk.blobs)
    assert len(pickle.dumps(chunks[0])) < 1000
    assert sum(chunk.nbytes for chunk in chunks) == 1000 * 3073


@pytest.mark.parametrize("over", [1, 3072])
@pytest.mark.parametrize("whole", [0, 1, 2000])
def test_a_truncated_record_is_named(whole: int, over: int, tmp_path: Path) -> None:
    content = bytes(whole * 3073 + over)
    (tmp_path / "images.bin").write_bytes(content)
    where = f"record {whole}, from byte {whole * 3073} on, has {over} of 3073 bytes"
    for data, label in [
        (content, "the input"),
        (tmp_path / "images.bin", str(tmp_path / "images.bin")),
        (io.BytesIO(content), "the input stream"),
    ]:
        with pytest.raises(CorruptStreamError, match=re.escape(f"{label} is truncated: {where}")) as caught:
            list(_images.split(data, CNV, [1.0]))
        assert caught.value.offset_bytes == whole * 3073


def test_gzipped_records(tmp_path: Path) -> None:
    images, labels = _colour(3000), [5] * 3000
    content = _records(images, labels)
    (tmp_path / "images.bin.gz").write_bytes(gzip.compress(content, 1))
    _check(tmp_path / "images.bin.gz", CNV, images, labels)
    (tmp_path / "images.bin.gz").write_bytes(gzip.compress(content[:-1], 1))
    with pytest.raises(CorruptStreamError, match="record 2999, from byte 9215927 on"):
        list(_images.split(tmp_path / "images.bin.gz", CNV, [1.0]))


def test_neither_records_nor_a_picture(tmp_path: Path) -> None:
    (tmp_path / "images.dat").write_bytes(bytes(5000))
    with pytest.raises(CorruptStreamError, match="is no picture, and its 5000 bytes are no whole number of"):
        list(_images.split(tmp_path / "images.dat", CNV, [1.0]))
    (tmp_path / "digits").write_bytes(_idx3(_grey(2)))
    with pytest.raises(CorruptStreamError, match="idx3 files are for the LFC networks"):
        list(_images.split(tmp_path / "digits", CNV, [1.0]))


def test_lists_of_files_and_arrays(tmp_path: Path) -> None:
    parts = [_colour(count, count) for count in (5, 0, 100, 1)]
    files = []
    for number, part in enumerate(parts):
        files.append(tmp_path / f"{number}.record")
        files[-1].write_bytes(_records(part, [number] * len(part)))
    labels = [0] * 5 + [2] * 100 + [3]
    _check(files, CNV, np.concatenate(parts), labels)
    _check(tuple(files), CNV, np.concatenate(parts), labels, shares=[1.0] * 4)
    chunks = list(_images.split(files, CNV, [1.0]))
    assert len(chunks) == 1, "small files share a chunk"
    _check([parts[0], files[2], parts[3][0]], CNV, np.concatenate([parts[0], parts[2], parts[3]]))
    _check([], CNV, parts[1])
    _check([parts[1], [[parts[1]], files[1]]], CNV, parts[1])


@given(
    st.lists(st.tuples(st.sampled_from(["array", "records", "stream"]), st.integers(0, 700)), max_size=5),
    _SHARES,
)
def test_lists_of_anything(kinds: list[tuple[str, int]], shares: list[float]) -> None:
    images = [_colour(count, number) for number, (_, count) in enumerate(kinds)]
    make: dict[str, Callable[[Array], object]] = {
        "array": lambda part: part,
        "records": _records,
        "stream": lambda part: io.BytesIO(_records(part)),
    }
    data = [make[kind](part) for (kind, _), part in zip(kinds, images, strict=True)]
    found, _ = _read(data, CNV, shares)
    np.testing.assert_array_equal(found, np.concatenate([_colour(0), *images]))


def test_a_folder_of_record_files_in_order(tmp_path: Path) -> None:
    images = _colour(30)
    for number in range(3):
        part = _records(images[number * 10 : number * 10 + 10], [number] * 10)
        (tmp_path / f"data_batch_{number}.bin").write_bytes(part)
    (tmp_path / "batches.meta.txt").write_text("airplane\n")
    (tmp_path / ".hidden.bin").write_bytes(b"x")
    (tmp_path / "sub.bin").mkdir()
    _check(tmp_path, CNV, images, [0] * 10 + [1] * 10 + [2] * 10)
    with pytest.raises(DataError, match="holds no picture"):
        list(_images.split(tmp_path, LFC, [1.0]))


@pytest.mark.parametrize("of", [CNV, LFC])
def test_an_empty_folder(of: Network, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path} holds no picture"):
        list(_images.split(tmp_path, of, [1.0]))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nowhere\.bin: No such file"):
        list(_images.split([_colour(1), tmp_path / "nowhere.bin"], CNV, [1.0]))


def test_bad_files_are_found_before_the_first_chunk(tmp_path: Path) -> None:
    (tmp_path / "short.bin").write_bytes(b"x")
    with pytest.raises(CorruptStreamError):
        next(iter(_images.split([_colour(5), tmp_path / "short.bin"], CNV, [1.0])))


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "images.bin").write_bytes(_records(_colour(3)))
    (chunk,) = _images.split(tmp_path / "images.bin", CNV, [1.0])
    (tmp_path / "images.bin").write_bytes(_records(_colour(2)))
    with pytest.raises(DataError, match="changed while it was being read"):
        _images.load(chunk, CNV, invert=False, skip_bad=False)


def _through_a_pipe(path: Path, content: bytes) -> threading.Thread:
    def feed() -> None:
        with path.open("wb") as pipe:
            pipe.write(content)

    os.mkfifo(path)
    thread = threading.Thread(target=feed)
    thread.start()
    return thread


@pytest.mark.parametrize("of", [CNV, LFC])
def test_named_pipes(of: Network, tmp_path: Path) -> None:
    images = _colour(2000) if of is CNV else _grey(25_000)
    content = _records(images) if of is CNV else gzip.compress(_idx3(images), 1)
    feeder = _through_a_pipe(tmp_path / "pipe", content)
    found, _ = _read(tmp_path / "pipe", of)
    feeder.join()
    np.testing.assert_array_equal(found, images)
    assert _inputs.count(tmp_path / "pipe", of) is None, "and it is not opened for that"


def test_a_stream_may_give_little_at_a_time() -> None:
    class Slow(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            super().__init__()
            self.content = content

        def read(self, size: int = -1) -> bytes:
            piece, self.content = self.content[: min(size, 777)], self.content[min(size, 777) :]
            return piece

    _check(Slow(_records(_colour(5), [1] * 5)), CNV, _colour(5), [1] * 5)
    _check(Slow(_idx3(_grey(5))), LFC, _grey(5))
    _check(Slow(gzip.compress(_idx3(_grey(5)))), LFC, _grey(5))
    with pytest.raises(DataError, match="text mode"):
        list(_images.split(io.StringIO("text"), CNV, [1.0]))


# --- idx3 -----------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.one_of(_COUNTS, st.sampled_from([19_968, 19_969])), _SHARES)
def test_idx3_in_every_form(scratch: Path, count: int, shares: list[float]) -> None:
    images = _grey(count, 3)
    content = _idx3(images)
    zipped = gzip.compress(content, 0)
    for name, form in (("digits", content), ("digits.gz", zipped), ("digits.idx3-ubyte", content)):
        (scratch / name).write_bytes(form)
        _check(scratch / name, LFC, images, shares=shares)
    for form in (content, zipped):
        _check(form, LFC, images, shares=shares)
        _check(io.BytesIO(form), LFC, images, shares=shares)


_IDX = _idx3(_grey(3))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            _idx3(_grey(3), magic=0x801),
            CorruptStreamError,
            "no idx3 file: it begins with 0x00000801, not 0x00000803",
        ),
        (_idx3(_grey(3), magic=0x802), CorruptStreamError, "0x00000802"),
        (_idx3(_grey(3), magic=0x03080000), CorruptStreamError, "0x03080000"),
        (_idx3(_grey(3), size=(28, 29)), ShapeError, "images of 28 x 29 pixels, not 28 x 28"),
        (_idx3(_grey(3), size=(32, 32)), ShapeError, "images of 32 x 32 pixels"),
        (_idx3(_grey(3), size=(0, 0)), ShapeError, "images of 0 x 0 pixels"),
        (_IDX[:-1], CorruptStreamError, f"in image 2 of 3|{16 + 3 * 784 - 1}"),
        (_IDX[:16], CorruptStreamError, "in image 0 of 3"),
        (_idx3(_grey(3), count=2**32 - 1), CorruptStreamError, "in image 3 of 4294967295"),
        (_IDX + b"x", CorruptStreamError, "behind its 3 images, from byte 2368 on"),
        (_IDX[:15], CorruptStreamError, "ends at byte 15, within the idx3 header of 16 bytes"),
        (_IDX[:3], CorruptStreamError, "ends at byte 3, within the idx3 header"),
        (b"", CorruptStreamError, "ends at byte 0, within the idx3 header"),
        (bytes(3073), CorruptStreamError, "begins with 0x00000000"),
        (gzip.compress(gzip.compress(_IDX, mtime=0), mtime=0), CorruptStreamError, "begins with 0x1f8b"),
    ],
)
def test_idx3_files_that_are_wrong(
    content: bytes, error: type[DataError], message: str, tmp_path: Path
) -> None:
    (tmp_path / "digits-idx3-ubyte").write_bytes(content)
    (tmp_path / "digits-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    forms: list[object] = [content, tmp_path / "digits-idx3-ubyte", io.BytesIO(content)]
    forms += [gzip.compress(content), tmp_path / "digits-idx3-ubyte.gz", io.BytesIO(gzip.compress(content))]
    for form in forms:
        with pytest.raises(error, match=message):
            list(_images.split(form, LFC, [1.0]))


@pytest.mark.parametrize("place", [2, 12, -9, -3])
def test_damaged_gzip(place: int, tmp_path: Path) -> None:
    packed = gzip.compress(_idx3(np.zeros((50, 28, 28), np.uint8)))
    damaged = bytearray(packed)
    damaged[place] ^= 0xFF
    (tmp_path / "digits.gz").write_bytes(damaged)
    (tmp_path / "cut.gz").write_bytes(packed[:place])
    for name in ("digits.gz", "cut.gz"):
        for form in (tmp_path / name, (tmp_path / name).read_bytes(), (tmp_path / name).open("rb")):
            with pytest.raises(DataError) as caught:
                list(_images.split(form, LFC, [1.0]))
            assert "\n" not in str(caught.value)
            if isinstance(form, io.IOBase):
                form.close()


@given(st.binary(max_size=40), st.integers(0, 3), st.data())
def test_any_bytes_are_images_or_an_error(prefix: bytes, keep: int, data: st.DataObject) -> None:
    content = _IDX[: 4 * keep] + prefix + data.draw(st.sampled_from([b"", _IDX[16:]]))
    for form in (content, gzip.compress(content, 0)):
        try:
            found, _ = _read(form, LFC)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert content == _idx3(found)


@given(st.binary(max_size=10), st.integers(0, 2), st.integers(-2, 2))
def test_any_bytes_are_records_or_an_error(prefix: bytes, count: int, more: int) -> None:
    content = (prefix + bytes(3073 * 3))[: max(0, count * 3073 + more)]
    if len(content) % 3073:
        with pytest.raises(DataError):
            list(_images.split(content, CNV, [1.0]))
    else:
        assert len(_read(content, CNV)[0]) == len(content) // 3073


# --- labels beside idx3 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images_name", "labels_name"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
    ],
)
def test_labels_as_mnist_names_them(images_name: str, labels_name: str, tmp_path: Path) -> None:
    images, labels = _grey(21_000), np.random.default_rng(0).integers(0, 10, 21_000).tolist()
    for name, content in ((images_name, _idx3(images)), (labels_name, _idx1(labels))):
        (tmp_path / name).write_bytes(gzip.compress(content, 0) if name.endswith(".gz") else content)
    _check(tmp_path / images_name, LFC, images, labels, shares=[1.0, 3.0])
    mixed, mixed_labels = _read([_grey(2), tmp_path / images_name], LFC)
    assert len(mixed) == 21_002
    if not images_name.endswith(".gz"):
        assert mixed_labels is not None
        assert mixed_labels.tolist() == [NO_LABEL, NO_LABEL, *labels]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_idx1([1, 2]), "holds 2 labels for 3 images"),
        (_idx1([1, 2, 3, 4]), "holds 4 labels for 3 images"),
        (_idx1([1, 2], count=3), "is truncated at byte 10"),
        (_idx1([1, 2, 3, 4], count=3), "goes on behind its 3 labels at byte 11"),
        (_idx1([1, 2, 3], magic=0x803), "no idx1 file of labels: it begins with 0x00000803, not 0x00000801"),
        (b"", "no idx1 file of labels"),
        (_idx1([])[:6], "no idx1 file of labels"),
        (gzip.compress(_idx1([1, 2, 3]), mtime=0)[:-4], "truncated"),
    ],
)
def test_labels_that_are_wrong(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_IDX)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(_images.split(tmp_path / "train-images-idx3-ubyte", LFC, [1.0]))
    assert "train-labels-idx1-ubyte" in str(caught.value)


def test_no_labels_beside(tmp_path: Path) -> None:
    (tmp_path / "3.image-idx3-ubyte").write_bytes(_IDX)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(_IDX)
    for name in ("3.image-idx3-ubyte", "train-images-idx3-ubyte"):
        _check(tmp_path / name, LFC, _grey(3))


# --- counting -------------------------------------------------------------------------------------


def test_amounts_known_beforehand(tmp_path: Path) -> None:
    (tmp_path / "images.bin").write_bytes(bytes(5 * 3073))
    (tmp_path / "digits.gz").write_bytes(gzip.compress(_idx3(_grey(7))))
    known: list[tuple[object, Network, int]] = [
        (_colour(3), CNV, 3),
        (_colour(3)[0], CNV, 1),
        (bytes(3073 * 4), CNV, 4),
        (tmp_path / "images.bin", CNV, 5),
        ([tmp_path / "images.bin", _colour(2)], CNV, 7),
        (tmp_path / "digits.gz", LFC, 7),
        ([], CNV, 0),
    ]
    for data, of, expected in known:
        assert _inputs.count(data, of) == expected
    stream = io.BytesIO(bytes(3073))
    unknown: list[object] = [stream, [stream], tmp_path / "nowhere", "text", b"x", tmp_path]
    for data in unknown[:5]:
        assert _inputs.count(data, CNV) is None
    assert stream.tell() == 0, "nothing is used up"


def test_chunks_are_whole_grains_of_a_bounded_size() -> None:
    for of, images, most in ((CNV, _colour(6000), 1500), (LFC, _grey(60_000), 20_000)):
        counts = [chunk.count for chunk in _images.split(images, of, [1.0, 1.0])]
        assert sum(counts) == len(images)
        assert max(counts) <= most
        assert all(count % 64 == 0 for count in counts[:-1])
        assert len(counts) >= 4


def test_the_least_there_is_to_split() -> None:
    forms: list[object] = [[], np.empty((0, 32, 32, 3), np.uint8), b"", io.BytesIO()]
    for nothing in forms:
        (chunk,) = _images.split(nothing, CNV, [1.0, 2.0])
        assert (chunk.count, chunk.nbytes) == (0, 0)


@pytest.mark.parametrize("shares", [[], [0.0], [-1.0, 2.0]])
def test_impossible_shares(shares: list[float]) -> None:
    with pytest.raises(DataError, match="shares"):
        list(_images.split(_colour(3), CNV, shares))


def test_records_from_pixels() -> None:
    images = _colour(4)
    (chunk,) = _images.split(images, CNV, [1.0])
    loaded = _images.load(chunk, CNV, invert=False, skip_bad=False)
    assert bytes(loaded.as_records(CNV)) == _records(images)
    (chunk,) = _images.split(_records(images, [9, 8, 7, 6]), CNV, [1.0])
    loaded = _images.load(chunk, CNV, invert=False, skip_bad=False)
    assert bytes(loaded.as_records(CNV)) == _records(images, [9, 8, 7, 6])


def test_a_chunk_with_other_blobs() -> None:
    (chunk,) = _images.split(_records(_colour(2), [1, 2]), CNV, [1.0])
    assert isinstance(chunk, Images)
    copied = chunk.with_blobs(tuple(MemoryBlob(memoryview(bytes(blob.view()))) for blob in chunk.blobs))
    loaded = _images.load(copied, CNV, invert=False, skip_bad=False)
    np.testing.assert_array_equal(loaded.as_array(CNV), _colour(2))
