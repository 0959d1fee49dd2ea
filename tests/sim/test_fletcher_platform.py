"""The simulated platform library, call by call as Fletcher's runtime drives it: both models, where built."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

import fletcher_platform
from fletcher_platform import DONE, RESET, START, Platform, column

MODELS = fletcher_platform.models()


@pytest.fixture(params=MODELS)
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Platform:
    return fletcher_platform.load(tmp_path, request.param)


def test_runtime_sequence(platform: Platform) -> None:
    values = np.array([1, -3, 3, -7], dtype=np.int64)
    data = column(values)
    assert platform.lib.platformInit(None) == 0
    address, alloced = platform.prepare(data)
    assert (address, alloced) == (data.ctypes.data, 0)
    for index, value in ((4, 0), (5, 4), (6, address & 0xFFFFFFFF), (7, address >> 32)):
        platform.write(index, value)
    platform.write(0, START)
    platform.write(0, 0)
    assert platform.wait() == 5
    assert (platform.read(2), platform.read(3)) == (0xFFFFFFFA, 0xFFFFFFFF)
    assert platform.lib.platformTerminate(None) == 0


def test_second_platform_data(platform: Platform) -> None:
    assert platform.run(column(np.arange(10, 90, 10))) == (5, 360)


@pytest.mark.parametrize("skew", [8, 16, 48])
def test_misaligned_buffers_are_copied(platform: Platform, skew: int) -> None:
    data = column(np.arange(1000), skew)
    address, alloced = platform.prepare(data)
    assert alloced == 1
    assert address % 4096 == 0
    assert platform.run_at(address, 0, 1000) == (5, 499500)
    data[:] = 0  # the copy is the device's own
    assert platform.run_at(address, 0, 1000) == (5, 499500)
    assert platform.lib.platformDeviceFree(ctypes.c_uint64(address)) == 0
    assert platform.run_at(address, 0, 1000)[0] == 13


def test_null_with_size_0(platform: Platform) -> None:
    address, alloced = ctypes.c_uint64(77), ctypes.c_int(0)
    prepare = platform.lib.platformPrepareHostBuffer
    assert prepare(None, ctypes.byref(address), ctypes.c_int64(0), ctypes.byref(alloced)) == 0
    assert (address.value, alloced.value) == (0, 0)
    assert platform.lib.platformCacheHostBuffer(None, ctypes.byref(address), ctypes.c_int64(0)) == 0
    assert address.value == 0
    assert platform.lib.platformDeviceFree(ctypes.c_uint64(0)) == 0
    assert prepare(None, ctypes.byref(address), ctypes.c_int64(8), ctypes.byref(alloced)) == 1
    assert prepare(None, ctypes.byref(address), ctypes.c_int64(-1), ctypes.byref(alloced)) == 1
    assert "negative" in platform.last_error


def test_cached_buffer_and_free_after_terminate(platform: Platform) -> None:
    data = column(np.full(9, 2**62))
    address = platform.cache(data)
    assert address % 4096 == 0
    assert address != data.ctypes.data
    status, result = platform.run_at(address, 0, 9)
    assert (status, result) == (5, 9 * 2**62 % 2**64)
    assert platform.lib.platformTerminate(None) == 0
    assert platform.lib.platformDeviceFree(ctypes.c_uint64(address)) == 0
    assert platform.lib.platformDeviceFree(ctypes.c_uint64(address)) == 0


def test_terminate_without_init_and_init_twice(platform: Platform) -> None:
    assert platform.lib.platformTerminate(None) == 0
    assert platform.lib.platformTerminate(None) == 0
    assert platform.lib.platformInit(None) == 0
    assert platform.lib.platformInit(None) == 0
    assert platform.run(column(np.arange(5))) == (5, 10)


def test_name(platform: Platform) -> None:
    text = ctypes.create_string_buffer(64)
    assert platform.lib.platformGetName(text, ctypes.c_size_t(64)) == 0
    assert text.value == b"sim"
    small = ctypes.create_string_buffer(b"??????", 7)
    assert platform.lib.platformGetName(small, ctypes.c_size_t(3)) == 0
    assert small.raw == b"si\0???\0"
    assert platform.lib.platformGetName(None, ctypes.c_size_t(0)) == 1


def test_device_memory(platform: Platform) -> None:
    address = ctypes.c_uint64()
    assert platform.lib.platformDeviceMalloc(ctypes.byref(address), ctypes.c_int64(100)) == 0
    sent, got = np.arange(100, dtype=np.uint8), np.zeros(100, dtype=np.uint8)
    size, source = ctypes.c_int64(100), ctypes.c_void_p(sent.ctypes.data)
    target = ctypes.c_void_p(got.ctypes.data)
    assert platform.lib.platformCopyHostToDevice(source, address, size) == 0
    assert platform.lib.platformCopyDeviceToHost(address, target, size) == 0
    np.testing.assert_array_equal(got, sent)
    beyond = ctypes.c_uint64(address.value + 64)
    assert platform.lib.platformCopyHostToDevice(source, beyond, size) == 1
    assert platform.lib.platformCopyDeviceToHost(beyond, target, size) == 1
    assert platform.set("device_memory_bytes", 1 << 20) == 0
    assert platform.lib.platformDeviceMalloc(ctypes.byref(address), ctypes.c_int64(1 << 20)) == 3
    assert platform.lib.platformDeviceMalloc(ctypes.byref(address), ctypes.c_int64(-5)) == 1


def test_reads_outside_memory_end_the_run(platform: Platform) -> None:
    status, _ = platform.run_at(1 << 40, 0, 1000)
    assert status == 13
    assert "0x10000000000" in platform.last_error
    data = column(np.arange(8))  # one bus word
    address, _ = platform.prepare(data)
    assert platform.run_at(address, 0, 9)[0] == 13
    assert hex(address + 64) in platform.last_error
    assert platform.run_at(address, 0, 8) == (5, 28)


def test_host_memory_that_is_gone_is_an_error(platform: Platform) -> None:
    data = fletcher_platform.mapped_pages(64)
    address = platform.lend(data.address, data.size)
    assert platform.run_at(address, 0, 1000) == (5, 0)
    data.unmap()
    assert platform.run_at(address, 0, 1000)[0] == 13


def test_unknown_registers_and_settings(platform: Platform) -> None:
    value = ctypes.c_uint32()
    assert platform.lib.platformReadMMIO(ctypes.c_uint64(8), ctypes.byref(value)) == 1
    assert platform.lib.platformWriteMMIO(ctypes.c_uint64(2**40), ctypes.c_uint32(1)) == 1
    assert "register" in platform.last_error
    assert platform.set("no_such_setting", 1) == -1
    assert platform.set("clock_hz", 0) == -1


def test_ranges_outlive_reset_and_init(platform: Platform) -> None:
    for index in range(4, 8):
        platform.write(index, 100 + index)
    platform.write(0, RESET)
    assert platform.lib.platformInit(None) == 0
    assert [platform.read(index) for index in range(4, 8)] == [104, 105, 106, 107]


def test_init_ends_a_run(platform: Platform) -> None:
    data = column(np.ones(100_000, dtype=np.int64))
    platform.set("poll_cycles", 10)
    address, _ = platform.prepare(data)
    platform.start(address, 0, 100_000)
    assert platform.read(1) == 2
    assert platform.lib.platformInit(None) == 0
    assert platform.read(1) == 1
    platform.set("poll_cycles", 0)
    assert platform.run_at(address, 5, 10) == (5, 5)


def test_cycles_and_seconds(platform: Platform) -> None:
    data = column(np.ones(1_000_000, dtype=np.int64))
    assert platform.run(data) == (5, 1_000_000)
    cycles = platform.lib.accel_fletcher_cycles()
    assert cycles == pytest.approx(125_000, rel=0.1)  # 8 rows a cycle
    assert platform.lib.accel_fletcher_device_seconds() == pytest.approx(cycles / 250e6)
    platform.set("link_bytes_per_s", 4_000_000_000)
    assert platform.run(data)[0] == 5
    assert platform.lib.accel_fletcher_cycles() - cycles == pytest.approx(500_000, rel=0.1)


def test_copies_of_the_library_are_independent(tmp_path: Path) -> None:
    first = fletcher_platform.load(tmp_path / "a", "functional")
    second = fletcher_platform.load(tmp_path / "b", "functional")
    first.write(4, 11)
    second.write(4, 22)
    assert (first.read(4), second.read(4)) == (11, 22)
    assert first.run(column(np.arange(3))) == (5, 3)
    assert second.read(1) & DONE == 0
