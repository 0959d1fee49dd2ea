"""Pictures: prepared as BNN-PYNQ's own Python did; bad ones are named or passed over."""

from __future__ import annotations

import io
import logging
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from accel_drivers.bnn import Network, _images, _pictures, network
from accel_sdk import DataError
from accel_sdk.errors import UnsupportedError
from bnn_shared import shared

CNV, LFC = network("cnvW1A1"), network("lfcW1A1")
Array = NDArray[np.uint8]


def _encoded(picture: Image.Image, kind: str = "PNG") -> memoryview:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getbuffer()


def _prepared(picture: Image.Image, of: Network, *, invert: bool = False, kind: str = "PNG") -> Array:
    return _pictures.prepared(_encoded(picture, kind), of, invert=invert, name="it")


def _chunks(data: object, of: Network) -> list[_images.Images]:
    return list(_images.split(data, of, [1.0]))


@pytest.mark.parametrize("name", ["deer.jpg", "6.png", "stop.jpg"])
def test_the_published_records_byte_for_byte(name: str) -> None:
    record = shared("images", f"{name.partition('.')[0]}.record").read_bytes()
    (chunk,) = _chunks(shared("images", name), CNV)
    loaded = _images.load(chunk, CNV, invert=False, skip_bad=False)
    assert bytes(loaded.as_records(CNV))[1:] == record[1:]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "TGA", "WEBP", "JPEG"])
def test_formats(kind: str) -> None:
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[:16], colours[16:, :16] = (255, 0, 0), (0, 0, 255)
    found = _prepared(Image.fromarray(colours), CNV, kind=kind).astype(int)
    assert found.shape == (32, 32, 3)
    worst = np.abs(found - colours).max(axis=2)
    assert np.median(worst) <= (4 if kind in ("WEBP", "JPEG") else 0)


def test_a_picture_of_the_right_size_is_taken_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(_prepared(Image.fromarray(pixels), CNV), pixels)
    np.testing.assert_array_equal(_prepared(Image.fromarray(pixels), CNV, invert=True), 255 - pixels)
    grey = pixels[:28, :28, 0].copy()
    np.testing.assert_array_equal(_prepared(Image.fromarray(grey), LFC), grey)
    np.testing.assert_array_equal(_prepared(Image.fromarray(grey), LFC, invert=True), 255 - grey)


@pytest.mark.parametrize(("width", "height"), [(10, 20), (31, 32), (1, 1), (7, 7), (32, 5)])
def test_a_small_picture_is_put_in_the_middle_of_white(width: int, height: int) -> None:
    pixels = np.full((height, width, 3), 7, np.uint8)
    found = _prepared(Image.fromarray(pixels), CNV)
    expected = np.full((32, 32, 3), 255, np.uint8)
    left, top = (32 - width) // 2, (32 - height) // 2
    expected[top : top + height, left : left + width] = 7
    np.testing.assert_array_equal(found, expected)


def test_a_large_picture_keeps_its_proportions() -> None:
    found = _prepared(Image.new("RGB", (640, 320), (9, 9, 9)), CNV)
    ink = (found == 9).all(axis=2)
    assert ink[8:24].all()
    assert not ink[:8].any()
    assert not ink[24:].any()


def test_alpha_is_dropped_for_a_cnv_as_published() -> None:
    picture = Image.new("RGBA", (32, 32), (10, 20, 30, 0))
    np.testing.assert_array_equal(_prepared(picture, CNV), np.full((32, 32, 3), [10, 20, 30], np.uint8))


def test_ink_for_an_lfc() -> None:
    """Dark ink on light paper, inverted, and bright ink on black give the same: the ground is 0."""
    dark = Image.new("L", (10, 20), 255)
    dark.putpixel((5, 10), 0)
    light = Image.new("L", (10, 20), 0)
    light.putpixel((5, 10), 255)
    found = _prepared(dark, LFC, invert=True)
    np.testing.assert_array_equal(found, _prepared(light, LFC))
    assert (found.shape, found.sum(), found[4 + 10, 9 + 5]) == ((28, 28), 255, 255)


@pytest.mark.parametrize("invert", [False, True])
def test_what_is_transparent_has_no_ink(invert: bool) -> None:
    picture = Image.new("RGBA", (28, 28), (128, 128, 128, 0))
    picture.putpixel((3, 4), (0, 0, 0, 255) if invert else (255, 255, 255, 255))
    found = _prepared(picture, LFC, invert=invert)
    assert (found[4, 3], found.sum()) == (255, 255)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"]
)
@pytest.mark.parametrize("of", [CNV, LFC])
def test_every_mode_of_pillow(mode: str, of: Network) -> None:
    ramp = np.linspace(0, 255, 100).astype(np.uint8).repeat(100).reshape(100, 100)
    if mode == "I;16":
        picture = Image.fromarray(ramp.astype(np.uint16) << 8)
    elif mode == "I":
        picture = Image.fromarray(ramp.astype(np.int32) << 8)
    else:
        picture = Image.fromarray(ramp).convert(mode if mode != "HSV" else "RGB").convert(mode)
    make = _pictures._coloured if of is CNV else _pictures._grey
    found = make(picture, (of.width, of.height), False).astype(int)
    lines = found.reshape(of.height, -1)
    assert (lines.shape[0], found.dtype.kind) == (of.height, "i")
    assert lines[2].mean() < 60, "dark above"
    assert lines[-3].mean() > 195, "bright below"


def test_a_picture_of_16_bits_is_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.full((28, 28), 0x40FF, np.uint16)).save(tmp_path / "deep.png")
    (chunk,) = _chunks(tmp_path / "deep.png", LFC)
    found = _images.load(chunk, LFC, invert=False, skip_bad=False).as_array(LFC)
    assert np.unique(found).tolist() == [0x40]


# --- which files are pictures ---------------------------------------------------------------------


def _picture(path: Path, level: int, kind: str | None = None) -> Path:
    Image.new("RGB", (40, 40), (level, level, level)).save(path, kind)
    return path


def _levels(data: object, of: Network) -> list[int]:
    found: list[int] = []
    for chunk in _chunks(data, of):
        loaded = _images.load(chunk, of, invert=False, skip_bad=False)
        found += [int(image.flat[0]) for image in loaded.as_array(of)]
    return found


@pytest.mark.parametrize("of", [CNV, LFC])
def test_a_folder_of_pictures_in_order_of_names(of: Network, tmp_path: Path) -> None:
    for level, name in enumerate(["a.png", "b.BMP", "c.gif", "d.ppm", "e"]):
        _picture(tmp_path / name, level, "PNG" if name == "e" else None)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "readme").write_text("not a picture either")
    (tmp_path / "b.record").write_bytes(bytes(3073))
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    _picture(tmp_path / "sub" / "z.png", 99)
    assert _levels(tmp_path, of) == [0, 1, 2, 3, 4]
    assert _levels([tmp_path / "sub", tmp_path / "c.gif"], of) == [99, 2]


def test_pictures_without_a_name_for_it(tmp_path: Path) -> None:
    for kind in ("PNG", "GIF", "JPEG", "TIFF", "WEBP"):
        file = _picture(tmp_path / "picture", 0, kind)
        assert _levels(file, CNV) == [0]
        assert _levels(file, LFC) == [0]


def test_chunks_of_many_pictures(tmp_path: Path) -> None:
    for level in range(200):
        _picture(tmp_path / f"{level:03}.bmp", level)
    assert _levels(tmp_path, CNV) == list(range(200))
    counts = [chunk.count for chunk in _images.split(tmp_path, CNV, [1.0, 1.0])]
    assert sum(counts) == 200
    assert max(counts) <= 64
    assert len(counts) >= 4, "several devices decode"


def test_a_mix_of_records_and_pictures(tmp_path: Path) -> None:
    picture = _picture(tmp_path / "x.png", 77)
    records = np.full((2, 3073), 5, np.uint8)
    assert _levels([records, picture, picture, records[:1]], CNV) == [5, 5, 77, 77, 5]


# --- pictures that cannot be read -----------------------------------------------------------------


def _truncated(path: Path) -> None:
    whole = _encoded(Image.effect_noise((300, 300), 50))
    path.write_bytes(whole[: len(whole) // 2])


def _no_picture(path: Path) -> None:
    path.write_text("this is text")


def _empty(path: Path) -> None:
    path.touch()


def _damaged(path: Path) -> None:
    content = bytearray(_encoded(Image.effect_noise((100, 100), 50)))
    content[40:400] = bytes(360)
    path.write_bytes(content)


def _bomb(path: Path, side: int = 60_000) -> None:
    """Write a PNG that claims to be huge."""
    content = bytearray(_encoded(Image.new("1", (10, 10))))
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


def _small_bomb(path: Path) -> None:
    """Large enough for Pillow's warning, too small for its error."""
    _bomb(path, 10_000)


_BAD = [_truncated, _no_picture, _empty, _damaged, _bomb, _small_bomb]


@pytest.mark.parametrize("of", [CNV, LFC])
@pytest.mark.parametrize("spoil", _BAD)
def test_a_bad_picture_is_named(spoil: object, of: Network, tmp_path: Path) -> None:
    assert callable(spoil)
    spoil(tmp_path / "bad.png")
    (chunk,) = _chunks(tmp_path / "bad.png", of)
    with pytest.raises(DataError, match=rf"^cannot read picture {tmp_path / 'bad.png'}: ") as caught:
        _images.load(chunk, of, invert=False, skip_bad=False)
    text = str(caught.value)
    assert "\n" not in text
    assert "0x" not in text, "no address of an object"
    if spoil in (_bomb, _small_bomb):
        assert "pixels" in text


def test_bad_pictures_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, spoil in enumerate(_BAD):
        spoil(tmp_path / f"{number}-bad.png")
        _picture(tmp_path / f"{number}-good.png", number)
    levels: list[int] = []
    said: list[str] = []
    with caplog.at_level(logging.WARNING):
        for chunk in _chunks(tmp_path, CNV):
            loaded = _images.load(chunk, CNV, invert=False, skip_bad=True)
            assert loaded.count + len(loaded.bad) == chunk.count
            assert all(chunk.names[place] in text for place, text in loaded.bad.items())
            levels += [int(image.flat[0]) for image in loaded.as_array(CNV)]
            said += loaded.bad.values()
    assert levels == list(range(6))
    assert all(f"{number}-bad.png" in text for number, text in enumerate(said))
    assert len(said) == len(caplog.records) == 6


def test_a_picture_that_is_gone(tmp_path: Path) -> None:
    file = _picture(tmp_path / "a.png", 1)
    (chunk,) = _chunks([file, _picture(tmp_path / "b.png", 2)], CNV)
    file.unlink()
    with pytest.raises(DataError, match=r"a\.png: No such file"):
        _images.load(chunk, CNV, invert=False, skip_bad=False)
    loaded = _images.load(chunk, CNV, invert=False, skip_bad=True)
    assert (loaded.count, list(loaded.bad)) == (1, [0])


def test_bombs_are_found_in_many_threads_at_once(tmp_path: Path) -> None:
    _small_bomb(tmp_path / "bomb.png")
    content = memoryview((tmp_path / "bomb.png").read_bytes())

    def message(_: int) -> str:
        with pytest.raises(DataError) as caught:
            _pictures.prepared(content, CNV, invert=False, name="bomb")
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(message, range(100)))) == 1


# --- without Pillow -------------------------------------------------------------------------------


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "PIL" or name.startswith("PIL.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)


@pytest.mark.usefixtures("without_pillow")
@pytest.mark.parametrize("of", [CNV, LFC])
def test_pictures_need_pillow(of: Network, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "b.bmp").write_bytes(b"BM" + bytes(100))
    (tmp_path / "x.bin").write_bytes(bytes(3073))
    for data in (tmp_path / "a.png", tmp_path / "b.bmp", tmp_path):  # never taken for something else
        with pytest.raises(UnsupportedError, match=r"pip install 'accel-sdk\[images\]'$"):
            _chunks(data, of)


@pytest.mark.usefixtures("without_pillow")
def test_all_else_does_without_pillow(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(3073))
    assert _levels(tmp_path, CNV) == [0]
    assert _levels(np.zeros((28, 28), np.uint8), LFC) == [0]
