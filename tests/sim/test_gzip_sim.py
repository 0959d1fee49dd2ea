"""The simulated board behind its driver: quirks, repair, guard rails, modelled time. Checked with zlib."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accel_sdk as accel
from accel_drivers.gzip import Gunzip, Gzip
from accel_sdk.ffi import Library, native_file, open_library

_TEXT = b"".join(b"line %d of some text that repeats itself\n" % (i * i % 977) for i in range(60_000))
_EXT = ["gzip_ext.abi.h"]


@pytest.fixture(scope="module")
def library() -> Library:
    return open_library(native_file("libxfzlib_sim.so"), ["gzip.abi.h"], _EXT)


@pytest.mark.parametrize("quirks", ["0", "1", "2"])
@pytest.mark.parametrize("chunk_bytes", [1 << 20, 1 << 16, 3 << 20])
def test_output_is_good_whatever_the_librarys_quirks(
    monkeypatch: pytest.MonkeyPatch, quirks: str, chunk_bytes: int
) -> None:
    monkeypatch.setenv("ACCEL_GZIP_SIM_QUIRKS", quirks)
    with accel.open(Gzip(chunk_bytes=chunk_bytes), "sim:0") as board:
        packed = board.run(_TEXT)
    assert gzip.decompress(packed) == _TEXT
    with accel.open(Gunzip(), "cpu:0") as core:
        assert core.run(packed) == _TEXT


def test_the_vendors_quirks_are_really_there(library: Library) -> None:
    """Otherwise the repair would be tested against nothing."""
    ffi, lib = library.ffi, library.lib
    card = lib.xfZlib_constructor_wrapper(ffi.NULL, 10, 0, 0, 0, 2)
    size = ffi.new("uint64_t *")
    pointer = lib.compress_buffer_wrapper(card, _TEXT, len(_TEXT), size)
    raw = bytes(ffi.buffer(pointer, size[0]))
    lib.xfZlib_destructor_wrapper(card)
    assert raw[:4] == b"\x1f\x8b\x08\x08"
    assert raw[-5:] == bytes(5), "padding behind the trailer"
    assert raw[-13:-9] == bytes(4), "no CRC-32"
    assert raw[-9:-5] == len(_TEXT).to_bytes(4, "little")
    assert raw[-18:-13] == b"\x01\x00\x00\xff\xff"
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(raw)
    repaired = raw[:-13] + zlib.crc32(_TEXT).to_bytes(4, "little") + raw[-9:-5]
    assert gzip.decompress(repaired) == _TEXT


def test_a_block_below_64_bytes_never_reaches_the_board(library: Library) -> None:
    """The kernel would run away on it. The model fails, so that a missing guard would show."""
    ffi, lib = library.ffi, library.lib
    card = lib.xfZlib_constructor_wrapper(ffi.NULL, 10, 0, 0, 0, 2)
    assert lib.compress_buffer_wrapper(card, b"x" * 63, 63, ffi.new("uint64_t *")) == ffi.NULL
    lib.xfZlib_destructor_wrapper(card)
    with accel.open(Gzip(), "sim:0") as board:
        for size in (0, 1, 63, 64, 1023, 1024, (1 << 20) + 1, (1 << 20) + 1023, (1 << 20) + 1024):
            data = _TEXT[:size]
            assert gzip.decompress(board.run(data)) == data
        assert board.stats.failures == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 300_000), st.integers(1, 12))
def test_any_bytes_come_back(seed: int, size: int, symbols: int) -> None:
    source = random.Random(seed)
    data = bytes(source.choices(range(symbols * 20), k=size))
    with accel.open(Gzip(), "sim:0") as board:
        packed = board.run(data)
    assert gzip.decompress(packed) == data
    with accel.open(Gunzip(), "sim:1") as board:
        assert board.run(packed) == data


def test_members_are_as_long_as_asked_and_carry_their_length() -> None:
    with accel.open(Gzip(chunk_bytes=1 << 20), "sim:0") as board:
        packed = board.run(_TEXT)
    members, position = 0, 0
    while position < len(packed):
        length = int.from_bytes(packed[position + 16 : position + 24], "little")
        content = gzip.decompress(packed[position : position + length])
        assert len(content) == min(1 << 20, len(_TEXT) - members * (1 << 20))
        members, position = members + 1, position + length
    assert members == -(-len(_TEXT) // (1 << 20))


def test_modelled_time_follows_the_documents_formula() -> None:
    """8 engines of one byte a clock at 285 MHz, at 88 %, two stages that overlap from brick to brick."""
    brick_s = (4096 + (1 << 20)) / 285e6 / 0.88
    bricks = 16
    with accel.open(Gzip(), "sim:0") as board:
        board.run((_TEXT * (bricks * (8 << 20) // len(_TEXT) + 1))[: bricks * (8 << 20)])
        modelled = board.stats.device_s
    assert modelled is not None
    assert (bricks + 1) * brick_s < modelled < 1.1 * (bricks + 1) * brick_s
    assert bricks * (8 << 20) / modelled == pytest.approx(2e9, rel=0.15)


def test_a_small_file_uses_one_engine() -> None:
    with accel.open(Gzip(), "sim:0") as board:
        board.run(_TEXT[: 1 << 19])
        one_engine = board.stats.device_s or 0.0
    assert (1 << 19) / one_engine < 285e6, "one byte a clock at most"


def test_no_expansion_beyond_the_librarys_limit_reaches_the_board() -> None:
    """max_cr is 10: a member of zeros expands a thousandfold and is decoded in software."""
    zeros = bytes(5 << 20)
    with accel.open(Gzip(), "cpu:0") as core:
        packed = core.run(zeros)
    with accel.open(Gunzip(), "sim:0") as board:
        assert board.run(packed) == zeros
        assert board.stats.device_s == 0.0


def test_an_unreadable_bitstream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCEL_GZIP_XCLBIN", str(tmp_path / "missing.xclbin"))
    with pytest.raises(accel.BitstreamError, match=r"sim:0.*missing\.xclbin.*ACCEL_GZIP_XCLBIN"):
        accel.open(Gzip(), "sim:0")


def test_boards_are_listed_from_the_kernels_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accel_drivers.gzip import VitisDriver

    names = ["xilinx_u200_xdma_201830_2", "xilinx_u50_gen3x16_xdma_201920_3", "xilinx_u200_xdma_201830_2"]
    for slot, name in enumerate(names):
        rom = tmp_path / f"0000:{slot:02x}:00.1" / "rom.u.1"
        rom.mkdir(parents=True)
        (rom / "VBNV").write_text(f"{name}\n")
    monkeypatch.setattr(VitisDriver, "boards_folder", tmp_path)
    found = [d for d in accel.devices("gzip") if d.kind is accel.Kind.HARDWARE]
    assert [d.name for d in found] == [names[0], names[1], f"{names[0]}:1"]
    assert [d.properties["index"] for d in found] == ["0", "1", "2"]
    monkeypatch.setenv("ACCEL_GZIP_LIBRARY", str(native_file("libxfzlib_sim.so")))
    with pytest.raises(accel.BitstreamError, match="ACCEL_GZIP_XCLBIN"):
        accel.open(Gzip(), names[1])
    monkeypatch.delenv("ACCEL_GZIP_LIBRARY")
    with pytest.raises(accel.LibraryLoadError, match="ACCEL_GZIP_LIBRARY"):
        accel.open(Gzip(), names[1])
