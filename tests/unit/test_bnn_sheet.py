"""The contact sheet: every image is there, in its place, framed and named by its class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from accel_drivers.bnn import Bnn, NativeDriver, _results
from accel_drivers.bnn._sheet import MOST_IMAGES, Tile, draw
from accel_sdk import DataError
from accel_sdk.errors import UnsupportedError
from accel_sdk.registry import Registry

Array = NDArray[np.uint8]
_GREEN, _RED = (0x1A, 0x7F, 0x37), (0xC6, 0x28, 0x28)


def _pixels(picture: Image.Image) -> Array:
    return np.asarray(picture.convert("RGB"))


def _find(sheet: Array, colour: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    """Return left, top, width and height of what has a colour."""
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    if not len(rows):
        return None
    left, top = columns.min(), rows.min()
    return int(left), int(top), int(columns.max() - left + 1), int(rows.max() - top + 1)


def test_images_are_enlarged_pixel_by_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    sheet = _pixels(draw([Tile(image, "x")]))
    expected = image.repeat(3, axis=0).repeat(3, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(sheet, expected.shape)[:, :, 0]
    assert (windows == expected).all(axis=(2, 3, 4)).sum() == 1


def test_grey_images_are_whole_pixels_too() -> None:
    image = np.full((28, 28), 77, np.uint8)
    found = _find(_pixels(draw([Tile(image, "")])), (77, 77, 77))
    assert found is not None
    assert found[2:] == (84, 84)


def test_order_is_by_rows() -> None:
    colours = [(number + 1, 200, 100) for number in range(30)]
    tiles = [Tile(np.full((32, 32, 3), colour, np.uint8), "x") for colour in colours]
    sheet = _pixels(draw(tiles))
    places = [_find(sheet, colour) for colour in colours]
    corners = [(place[1], place[0]) for place in places if place]
    assert len(corners) == 30
    assert corners == sorted(corners)
    assert len({left for _, left in corners}) > 3, "several columns"


def test_right_is_green_and_wrong_is_red() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    assert _find(_pixels(draw([Tile(grey, "x", True)])), _GREEN)
    assert not _find(_pixels(draw([Tile(grey, "x", True)])), _RED)
    assert _find(_pixels(draw([Tile(grey, "x", False)])), _RED)
    plain = _pixels(draw([Tile(grey, "x")]))
    assert not _find(plain, _RED)
    assert not _find(plain, _GREEN)


def _text_width(text: str) -> int:
    sheet = _pixels(draw([Tile(np.full((32, 32, 3), 255, np.uint8), text)]))
    columns = np.nonzero((sheet < 128).any(axis=(0, 2)))[0]
    return int(columns.max() - columns.min() + 1) if len(columns) else 0


def test_long_names_are_cut_to_fit() -> None:
    assert 0 < _text_width("Cat") < _text_width("Automobile")
    for text in ("Automobile " * 20, "i" * 500, "W" * 50):
        assert 60 < _text_width(text) <= 96
    assert _text_width("") == 0


def test_names_in_any_script() -> None:
    assert all(_text_width(text) for text in ("Straße", "猫", "🐈", "a\tb"))


def _sheet(kernel: Bnn, data: object, result: pa.Table, suffix: str = ".png") -> Image.Image:
    file = io.BytesIO()
    kernel.view("sheet", data, result, file, suffix)
    return Image.open(file)


def _run(kernel: Bnn, data: object) -> pa.Table:
    with Registry([NativeDriver()]).open(kernel, "cpu:0") as accelerator:
        table: pa.Table = accelerator.run(data)
        return table


_CNV, _LFC = Bnn("cnvW1A1", "random"), Bnn("lfcW1A1", "random")


def test_of_records_with_labels() -> None:
    records = np.full((3, 3073), 90, np.uint8)
    result = _run(_CNV, records)
    index = result["class_index"][0].as_py()
    records[:, 0] = [index, index, (index + 1) % 10]
    result = _run(_CNV, records)
    sheet = _pixels(_sheet(_CNV, records, result))
    assert _find(sheet, _GREEN)
    assert _find(sheet, _RED)
    records[:, 0] = 255
    unlabelled = _pixels(_sheet(_CNV, records, result))
    assert not _find(unlabelled, _RED)
    assert not _find(unlabelled, _GREEN)


def test_a_bad_picture_has_its_place(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), (1, 2, 3)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("bad")
    Image.new("RGB", (32, 32), (4, 5, 6)).save(tmp_path / "c.png")
    kernel = Bnn("cnvW1A1", "random", skip_bad=True)
    sheet = _pixels(_sheet(kernel, tmp_path, _run(kernel, tmp_path)))
    assert _find(sheet, (1, 2, 3))
    assert _find(sheet, (4, 5, 6))
    assert _find(sheet, (0xD8, 0xD8, 0xD8))


@pytest.mark.parametrize("count", [0, 1, 2, MOST_IMAGES, MOST_IMAGES + 1, 3000])
def test_many_images(count: int) -> None:
    images = np.full((count, 28, 28), 200, np.uint8)
    result = _results.table(np.zeros(count, np.int32), ["zero"])
    shown = _sheet(_LFC, images, result)
    assert shown.format == "PNG"
    ink = (_pixels(shown) == 200).all(axis=2).sum()
    assert ink // (84 * 84) == min(count, MOST_IMAGES)
    assert max(shown.size) <= 3000


def test_what_is_left_out_is_said() -> None:
    tile = Tile(np.full((32, 32, 3), 255, np.uint8), "")
    without, one = (_pixels(draw([tile], left_out)) for left_out in (0, 1))
    assert not (without < 128).any()
    assert (one < 128).any()
    assert (_pixels(draw([])) < 128).any(), "no images is said, too"


@pytest.mark.parametrize(("suffix", "kind"), [("", "PNG"), (".png", "PNG"), (".jpg", "JPEG"), (".pdf", None)])
def test_formats(suffix: str, kind: str | None) -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    file = io.BytesIO()
    _LFC.view("sheet", images, _run(_LFC, images), file, suffix)
    assert len(file.getvalue()) > 100
    if kind:
        assert Image.open(file).format == kind


@pytest.mark.parametrize("suffix", [".txt", ".mp4", "."])
def test_no_such_format(suffix: str) -> None:
    with pytest.raises(DataError, match=rf"no picture can be written as '\{suffix}'"):
        _sheet(_LFC, np.zeros((1, 28, 28), np.uint8), _results.table(np.zeros(1, np.int32), ["a"]), suffix)


def test_a_pipe_cannot_be_read_twice() -> None:
    stream = io.BytesIO(bytes(3073))
    result = _run(_CNV, stream)
    with pytest.raises(DataError, match="a sheet needs its input twice; give a file"):
        _sheet(_CNV, stream, result)


def test_there_is_one_view() -> None:
    _CNV.check_view("sheet", ".png")
    with pytest.raises(UnsupportedError, match="no view 'film'"):
        _CNV.check_view("film", ".png")
    with pytest.raises(UnsupportedError, match="no view 'film'"):
        _CNV.view("film", [], _results.table(np.zeros(0, np.int32), ["a"]), io.BytesIO(), "")
