"""A contact sheet: the classified images in a grid, each with its class below."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from accel_drivers.bnn import _images, _pictures, _results
from accel_drivers.bnn._kernel import Bnn
from accel_drivers.bnn._networks import Network, network
from accel_sdk.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

MOST_IMAGES = 400
_MOST_COLUMNS = 20
_TILE = 96  # pixels along a side of an image on the sheet, about
_GAP = 8
_LINE = 18
_FONT_SIZE = 13
_BACKGROUND, _TEXT, _RIGHT, _WRONG, _EMPTY = "#ffffff", "#202020", "#1a7f37", "#c62828", "#d8d8d8"


@dataclass(frozen=True)
class Tile:
    """One image of the sheet.

    Parameters
    ----------
    pixels
        ``None`` for a picture that could not be read.
    text
        Its class.
    right
        Whether the class is the labelled one; ``None`` without a label.
    """

    pixels: NDArray[np.uint8] | None
    text: str
    right: bool | None = None


def write(kernel: Bnn, data: object, result: pa.Table, file: BinaryIO, suffix: str) -> None:
    """Draw the first 400 images of an input with their classes.

    Parameters
    ----------
    kernel, data, result
        What was run, on what, with what result.
    file, suffix
        The picture, and the suffix that says its format; PNG without.

    Raises
    ------
    DataError
        If Pillow writes no such format, or the input cannot be read a second time.
    UnsupportedError
        If Pillow is not installed.
    """
    _pictures.check_installed()
    format_name = picture_format(suffix)
    tiles = list(_tiles(kernel, data, result.slice(0, MOST_IMAGES)))
    if len(tiles) < min(MOST_IMAGES, result.num_rows):
        raise DataError("a sheet needs its input twice", hint="give a file in place of a pipe")
    left_out = result.num_rows - len(tiles)
    draw(tiles, left_out).save(file, format=format_name)


def picture_format(suffix: str) -> str:
    """Return Pillow's name of the format that a suffix means.

    Raises
    ------
    DataError
        If Pillow cannot write it.
    """
    from PIL import Image

    name = Image.registered_extensions().get(suffix or ".png")
    if name is None or name not in Image.SAVE:
        raise DataError(f"no picture can be written as '{suffix}'", hint="name a .png or .jpg file")
    return name


def draw(tiles: list[Tile], left_out: int = 0) -> Picture:
    """Return the sheet.

    Parameters
    ----------
    left_out
        How many images are not on it; a line says so.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = min(_MOST_COLUMNS, max(1, round(len(tiles) ** 0.5 * 1.25)))
    rows = -(-len(tiles) // columns)
    width = max(_GAP + columns * (_TILE + _GAP), 3 * _TILE if left_out or not tiles else 0)
    notes = [f"{left_out:,} more images are not shown"] if left_out else []
    notes += [] if tiles else ["no images"]
    height = _GAP + rows * (_TILE + _LINE + _GAP) + len(notes) * (_LINE + _GAP)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        corner = _GAP + column * (_TILE + _GAP), _GAP + row * (_TILE + _LINE + _GAP)
        _place(sheet, pen, font, tile, corner)
    for number, note in enumerate(reversed(notes)):
        pen.text((_GAP, height - (number + 1) * (_LINE + _GAP)), note, fill=_TEXT, font=font)
    return sheet


def _place(
    sheet: Picture,
    pen: ImageDraw,
    font: FreeTypeFont | BitmapFont,
    tile: Tile,
    corner: tuple[int, int],
) -> None:
    left, top = corner
    image = _enlarged(tile.pixels)
    aside = (_TILE - image.width) // 2  # those of LFC networks are smaller
    frame = {True: _RIGHT, False: _WRONG, None: _BACKGROUND}[tile.right]
    box = (left + aside - 2, top - 2, left + aside + image.width + 1, top + image.height + 1)
    pen.rectangle(box, fill=frame)
    sheet.paste(image, (left + aside, top))
    text = _fitting(tile.text, pen, font)
    middle = left + (_TILE - pen.textlength(text, font=font)) / 2
    colour = _TEXT if tile.right is None else frame
    pen.text((middle, top + image.height + 2), text, fill=colour, font=font)


def _enlarged(pixels: NDArray[np.uint8] | None) -> Picture:
    """Return an image with every pixel as a square; a grey one for none."""
    from PIL import Image

    if pixels is None:
        return Image.new("RGB", (_TILE, _TILE), _EMPTY)
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    factor = _TILE // max(picture.size)
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)


def _fitting(text: str, pen: ImageDraw, font: FreeTypeFont | BitmapFont) -> str:
    """Return a text cut so that it fits below an image."""
    if pen.textlength(text, font=font) <= _TILE:
        return text
    while text and pen.textlength(f"{text}…", font=font) > _TILE:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _tiles(kernel: Bnn, data: object, result: pa.Table) -> Iterator[Tile]:
    of = network(kernel.network)
    images = _all_images(kernel, data, of)
    rows = zip(result["class_index"].to_pylist(), result["class_name"].to_pylist(), strict=True)
    judged = _results.summary(result).accuracy is not None  # else some labels are no classes
    for (index, name), (pixels, label) in zip(rows, images, strict=False):
        if pixels is None:
            yield Tile(None, "unreadable")
        else:
            known = judged and label is not None and label != _images.NO_LABEL
            yield Tile(pixels, name or f"({index})", index == label if known else None)


def _all_images(
    kernel: Bnn, data: object, of: Network
) -> Iterator[tuple[NDArray[np.uint8] | None, int | None]]:
    """Yield pixels and label of each image; none for a picture that cannot be read."""
    for chunk in kernel.split(data, [1.0]):
        loaded = _images.load(chunk, of, invert=kernel.invert, skip_bad=kernel.skip_bad)
        labels = itertools.repeat(None) if loaded.labels is None else loaded.labels
        good = zip(loaded.as_array(of), labels, strict=False)
        for place in range(chunk.count):
            if place in loaded.bad:
                yield None, None
            else:
                pixels, label = next(good)
                yield pixels, None if label is None else int(label)
