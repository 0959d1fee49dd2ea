"""The simulated Fletcher platform library through ctypes: each test gets a copy of its own."""

from __future__ import annotations

import ctypes
import mmap
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel_sdk.ffi import native_file

START, STOP, RESET = 1, 2, 4
IDLE, BUSY, DONE, ERROR = 1, 2, 4, 8
_POLLS = 200_000  # no run of a test takes as many


@dataclass(frozen=True)
class Platform:
    """A loaded library, with the calls that tests make all the time."""

    lib: ctypes.CDLL

    def write(self, index: int, value: int) -> None:
        assert self.lib.platformWriteMMIO(ctypes.c_uint64(index), ctypes.c_uint32(value)) == 0

    def read(self, index: int) -> int:
        value = ctypes.c_uint32()
        assert self.lib.platformReadMMIO(ctypes.c_uint64(index), ctypes.byref(value)) == 0
        return value.value

    def prepare(self, data: NDArray[np.int64]) -> tuple[int, int]:
        """Return the device address and whether it was allocated."""
        address, alloced = ctypes.c_uint64(), ctypes.c_int()
        status = self.lib.platformPrepareHostBuffer(
            ctypes.c_void_p(data.ctypes.data),
            ctypes.byref(address),
            ctypes.c_int64(data.nbytes),
            ctypes.byref(alloced),
        )
        assert status == 0, self.last_error
        return address.value, alloced.value

    def lend(self, address: int, size: int) -> int:
        found, alloced = ctypes.c_uint64(), ctypes.c_int()
        prepare = self.lib.platformPrepareHostBuffer
        pointers = ctypes.byref(found), ctypes.c_int64(size), ctypes.byref(alloced)
        assert prepare(ctypes.c_void_p(address), *pointers) == 0
        return found.value

    def cache(self, data: NDArray[np.int64]) -> int:
        address = ctypes.c_uint64()
        pointer, size = ctypes.c_void_p(data.ctypes.data), ctypes.c_int64(data.nbytes)
        assert self.lib.platformCacheHostBuffer(pointer, ctypes.byref(address), size) == 0
        return address.value

    def start(self, address: int, first: int, last: int) -> None:
        for index, value in ((4, first), (5, last), (6, address & 0xFFFFFFFF), (7, address >> 32)):
            self.write(index, value)
        self.write(0, START)
        self.write(0, 0)

    def wait(self) -> int:
        for _ in range(_POLLS):
            status = self.read(1)
            if status & DONE:
                return status
        raise AssertionError(f"the kernel is not done; status {status}")

    @property
    def result(self) -> int:
        """The result registers, unsigned."""
        return self.read(2) | self.read(3) << 32

    def run_at(self, address: int, first: int, last: int) -> tuple[int, int]:
        """Return status and result of a run, after which the kernel is reset."""
        self.start(address, first, last)
        found = self.wait(), self.result
        self.write(0, RESET)
        self.write(0, 0)
        assert self.read(1) == IDLE
        return found

    def run(self, data: NDArray[np.int64], first: int = 0, last: int | None = None) -> tuple[int, int]:
        address, alloced = self.prepare(data)
        found = self.run_at(address, first, len(data) if last is None else last)
        if alloced:
            assert self.lib.platformDeviceFree(ctypes.c_uint64(address)) == 0
        return found

    def set(self, name: str, value: int) -> int:
        return int(self.lib.accel_fletcher_sim_set(name.encode(), ctypes.c_uint64(value)))

    @property
    def last_error(self) -> str:
        text: bytes = self.lib.accel_fletcher_last_error()
        return text.decode()


@dataclass
class Pages:
    """Anonymous memory that can be given back at a known moment."""

    memory: mmap.mmap
    address: int
    size: int

    def unmap(self) -> None:
        self.memory.close()


def mapped_pages(count: int) -> Pages:
    size = count * mmap.PAGESIZE
    memory = mmap.mmap(-1, size)
    view = ctypes.c_char.from_buffer(memory)
    address = ctypes.addressof(view)
    del view  # an open view forbids closing
    return Pages(memory, address, size)


def load(folder: Path, model: str) -> Platform:
    """Load a copy of the library, which has state of its own, with the model named."""
    folder.mkdir(exist_ok=True)
    copy = folder / "libfletcher_sim.so"
    shutil.copyfile(native_file("libfletcher_sim.so"), copy)
    lib = ctypes.CDLL(str(copy))
    for name in ("model", "last_error"):
        getattr(lib, f"accel_fletcher_{name}").restype = ctypes.c_char_p
    lib.accel_fletcher_cycles.restype = ctypes.c_uint64
    lib.accel_fletcher_device_seconds.restype = ctypes.c_double
    lib.accel_fletcher_sim_set.restype = ctypes.c_int32
    platform = Platform(lib)
    assert platform.set("functional", model == "functional") == 0
    assert lib.accel_fletcher_model() == model.encode()
    return platform


@cache
def models() -> tuple[str, ...]:
    """Return the models that the installed library can be set to."""
    try:
        lib = ctypes.CDLL(str(native_file("libfletcher_sim.so")))
    except OSError:
        return ("functional",)
    rtl = lib.accel_fletcher_sim_set(b"functional", ctypes.c_uint64(0)) == 0
    return ("functional", "rtl") if rtl else ("functional",)


def column(values: NDArray[np.int64], skew: int = 0) -> NDArray[np.int64]:
    """Return a copy that begins `skew` bytes behind a multiple of 4096; zeros follow it."""
    room = np.zeros(8 * len(values) + 2 * 4096, dtype=np.uint8)
    begin = -room.ctypes.data % 4096 + skew
    found = room[begin : begin + 8 * len(values)].view(np.int64)
    found[:] = values
    return found
