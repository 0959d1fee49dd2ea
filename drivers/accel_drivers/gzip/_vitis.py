"""gzip on a Vitis board, real or simulated, through the xfZlib ABI."""

from __future__ import annotations

from accel_drivers.gzip import _members, _repair
from accel_drivers.gzip._abi import MAX_EXPANSION, XfZlib
from accel_drivers.gzip._isal import compress_member, decompress, decompress_member
from accel_drivers.gzip._kernel import Chunk, Gunzip, Gzip
from accel_sdk.data import Blob, as_blob, bytes_result
from accel_sdk.device import Device
from accel_sdk.driver import Accelerator
from accel_sdk.errors import CorruptStreamError, KernelFaultError

_BLOCK_BYTES = 1 << 20  # BLOCK_SIZE_IN_KB of the vendor's 2020 kernels
_MIN_BLOCK_BYTES = 1024  # MIN_BLOCK_SIZE of its later ones; below 64 bytes the 2020 kernels run away
_MOST_CALL_BYTES = 1 << 30  # the kernels' offsets are 32 bits
_PLAIN_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"  # the kernel reads no flags but FNAME


class VitisCompressor(Accelerator[Chunk, bytes]):
    """`Gzip` on a board. What its kernels cannot take, a rest under 1 KiB, is compressed in software."""

    def __init__(self, kernel: Gzip, device: Device, card: XfZlib) -> None:
        super().__init__(kernel, device)
        self._gzip = kernel
        self._card = card
        self._scratch = bytearray()

    def _run(self, chunk: Chunk) -> bytes:
        data = as_blob(chunk).view(self._scratch)
        rest = data.nbytes % _BLOCK_BYTES
        cut = data.nbytes - (rest if rest < _MIN_BLOCK_BYTES else 0)
        starts = range(0, cut, _MOST_CALL_BYTES)
        parts: list[bytes | memoryview] = []
        for start in starts:
            parts += self._on_card(data[start : min(start + _MOST_CALL_BYTES, cut)])
        if cut < data.nbytes or not data.nbytes:
            parts += compress_member(data[cut:], self._gzip.level)
        return bytes_result(chunk, parts)

    def _on_card(self, data: memoryview) -> list[bytes]:
        container = self._card.compress(data)
        try:
            # Copied, because the library writes its buffer again at the next call.
            return [bytes(part) for part in _repair.members(container, data, self._gzip.chunk_bytes)]
        except CorruptStreamError as error:
            raise KernelFaultError(
                f"the board's output is wrong: {error.message}", device=self.device.name
            ) from error

    def _close(self) -> None:
        self._card.close()

    def _device_s(self) -> float | None:
        return self._card.device_s()


class VitisDecompressor(Accelerator[Chunk, bytes]):
    """`Gunzip` on a board.

    The kernel decodes one member, does not say where it ended and verifies nothing. So members whose length
    is known go to the board and are verified here; any other gzip file is decoded in software.
    """

    def __init__(self, kernel: Gunzip, device: Device, card: XfZlib) -> None:
        super().__init__(kernel, device)
        self._card = card

    def _run(self, chunk: Chunk) -> bytes:
        blob = as_blob(chunk)
        parts: list[bytes] = []
        end = 0
        for extent in _members.extents(blob):
            if not extent.ours:
                break
            parts.append(self._member(blob.part(extent.start, extent.nbytes)))
            end = extent.start + extent.nbytes
        if end < blob.nbytes or not blob.nbytes:
            parts += self._rest(blob, end)
        return bytes_result(chunk, parts)

    def _rest(self, blob: Blob, start: int) -> list[bytes]:
        return decompress(blob.part(start, blob.nbytes - start), device=self.device.name)

    def _member(self, blob: Blob) -> bytes:
        member = blob.view()
        crc, isize = _members.read_trailer(member)
        if not 0 < isize <= MAX_EXPANSION * (member.nbytes - _members.OVERHEAD_BYTES):
            return decompress_member(member, offset=blob.offset, device=self.device.name)
        plain = _PLAIN_HEADER + bytes(member[_members.HEADER_BYTES :])
        try:
            result = self._card.decompress(plain)
            problem = _difference(result, crc, isize)
        except KernelFaultError as error:
            result, problem = b"", str(error)
        if problem:
            # Is it the data or the board? Software decides: it raises if the member is damaged.
            decompress_member(member, offset=blob.offset, device=self.device.name)
            raise KernelFaultError(
                f"the board decoded the good member at byte {blob.offset} wrongly: {problem}",
                device=self.device.name,
            )
        return result

    def _close(self) -> None:
        self._card.close()

    def _device_s(self) -> float | None:
        return self._card.device_s()


def _difference(result: bytes, crc: int, isize: int) -> str:
    from isal import isal_zlib

    if len(result) != isize:
        return f"{len(result)} bytes, not {isize}"
    return "" if isal_zlib.crc32(result) == crc else "CRC-32 differs"
