"""The calls into a library with the xfZlib ABI: pointers in, Python values out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from accel_sdk.driver import check_size
from accel_sdk.errors import AccelError, BitstreamError, KernelFaultError, LibraryLoadError
from accel_sdk.ffi import Library, open_library
from accel_sdk.memfile import MemoryFile

_ABI = "gzip.abi.h"
_OPTIONAL_ABI = "gzip_ext.abi.h"
_DESTRUCTORS = ("xfZlib_destructor_wrapper", "DeleteInstanceOfClass")  # whichever the library has
_FAILED = 2**64 - 1  # "-1" in the vendor's 64-bit result
_BOTH, _DYNAMIC, _FULL = 0, 0, 2  # cd_flow and d_type values, vitis-gzip constructor
MAX_EXPANSION = 10
"""``max_cr``: what decompresses to more than this many times its size must not go to the device."""

_FRAMING_BYTES = 64 * 1024  # header with the longest path, trailer, padding: more is no honest answer


class XfZlib:
    """One object of the library, programmed for one board. Not for several threads at once.

    Parameters
    ----------
    library
        Path of a library with the ABI.
    xclbin
        Path of the bitstream; ``""`` for a simulated board.
    index
        Of the board, among those of the platform.
    device
        Name for error texts.

    Raises
    ------
    LibraryLoadError
        If the library cannot be used.
    BitstreamError
        If set-up failed.
    """

    def __init__(self, library: Path, xclbin: str, index: int, device: str) -> None:
        self._device = device
        self._library = open_library(library, [_ABI], [_OPTIONAL_ABI])
        self._lib = self._library.lib
        self._destroy = _destructor(self._library)
        path = os.fsencode(xclbin)
        self._object = self._lib.xfZlib_constructor_wrapper(
            self._text(path), MAX_EXPANSION, _BOTH, index, 0, _FULL
        )
        self._scratch: tuple[MemoryFile, MemoryFile] | None = None
        problem = self._last_error() if self._object else "no object"
        if problem:
            self.close()
            raise BitstreamError(
                f"set-up failed: {problem}",
                device=device,
                library=str(library),
                call="xfZlib_constructor_wrapper",
                hint="check ACCEL_GZIP_XCLBIN and that the board is free",
            )

    def close(self) -> None:
        """Release the object and the scratch files."""
        if self._object:
            self._destroy(self._object)
            self._object = self._library.ffi.NULL
        for file in self._scratch or ():
            file.close()
        self._scratch = None

    def device_s(self) -> float | None:
        """Return modelled seconds so far, if the library models time."""
        if not self._library.has("accel_gzip_device_seconds"):
            return None
        return float(self._lib.accel_gzip_device_seconds(self._object))

    def compress(self, data: memoryview) -> memoryview:
        """Compress, and return what the library wrote: header, payload, trailer and whatever follows.

        The result is valid until the next call. It is as the library left it: unverified, with no checksum
        to rely on.

        Raises
        ------
        KernelFaultError
            If the call fails or reports a size that cannot be.
        """
        if self._library.has("compress_buffer_wrapper"):
            return self._compress_buffer(data)
        return self._compress_file(data)

    def decompress(self, member: bytes) -> bytes:
        """Decompress one member with a plain header. Nothing is verified.

        Raises
        ------
        KernelFaultError
            If the call fails or reports a size that cannot be.
        """
        source, target = self._files()
        source.put(memoryview(member))
        ffi = self._library.ffi
        written = self._lib.decompress_file_wrapper(
            self._object, self._text(source.path), self._text(target.path), len(member), ffi.cast("int", 0)
        )
        call = "decompress_file_wrapper"
        if written in (0, _FAILED):
            raise self._fault(call, written)
        self._check(written, target.nbytes, call)
        return target.take(written)

    def _compress_buffer(self, data: memoryview) -> memoryview:
        ffi = self._library.ffi
        size = ffi.new("uint64_t *")
        result = self._lib.compress_buffer_wrapper(
            self._object, ffi.from_buffer("uint8_t[]", data), data.nbytes, size
        )
        call = "compress_buffer_wrapper"
        if not result:
            raise self._fault(call, None)
        # The library allocated the buffer and alone knows how large it is; twice the input is what its
        # kernels can write at most (vendor's output buffer).
        self._check(size[0], 2 * data.nbytes + _FRAMING_BYTES, call)
        return memoryview(ffi.buffer(result, size[0])).cast("B").toreadonly()

    def _compress_file(self, data: memoryview) -> memoryview:
        source, target = self._files()
        source.put(data)
        payload = self._lib.compress_file_wrapper(
            self._object, self._text(source.path), self._text(target.path), data.nbytes
        )
        call = "compress_file_wrapper"
        if payload in (0, _FAILED):
            raise self._fault(call, payload)
        self._check(payload, target.nbytes, call)
        return memoryview(target.take(target.nbytes))

    def _files(self) -> tuple[MemoryFile, MemoryFile]:
        """Return the files for the file calls, the second one empty."""
        if self._scratch is None:
            self._scratch = MemoryFile("accel-gzip-in"), MemoryFile("accel-gzip-out")
        self._scratch[1].put(memoryview(b""))
        return self._scratch

    def _text(self, text: bytes) -> Any:
        return self._library.ffi.new("char[]", text)

    def _last_error(self) -> str:
        if not self._library.has("accel_gzip_last_error"):
            return ""
        text = self._lib.accel_gzip_last_error(self._object)
        return cast(bytes, self._library.ffi.string(text)).decode(errors="replace") if text else ""

    def _check(self, reported: int, capacity: int, call: str) -> None:
        check_size(
            int(reported),
            capacity,
            call=call,
            library=str(self._library.path),
            device=self._device,
        )

    def _fault(self, call: str, status: int | None) -> AccelError:
        return KernelFaultError(
            self._last_error() or "the library says no more",
            device=self._device,
            library=str(self._library.path),
            call=call,
            status=-1 if status == _FAILED else status,
            symbol="NULL" if status is None else None,
        )


def _destructor(library: Library) -> Any:
    for name in _DESTRUCTORS:
        if library.has(name):
            return getattr(library.lib, name)
    raise LibraryLoadError(
        f"{library.path} lacks {_DESTRUCTORS[0]}",
        library=str(library.path),
        symbol=_DESTRUCTORS[0],
        hint="it is not a library of this kind, or one that cannot be used without a leak",
    )
