"""python-isal's decoder, with the types that its stubs leave out."""

from __future__ import annotations

from typing import Protocol, cast

from isal import isal_zlib

RAW = -15
"""Window bits for deflate data without framing."""
GZIP = 31
"""Window bits for gzip framing, whose checksum and length are verified."""

IsalError = cast("type[Exception]", isal_zlib.error)
"""What python-isal raises on damaged data. It is not `zlib.error`."""
# It names a module that cannot be imported, so that it, and every error it caused, could not be pickled.
IsalError.__module__ = "isal.igzip_lib"


class Decoder(Protocol):
    """What `isal_zlib.decompressobj` returns; as zlib's."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int = 0, /) -> bytes: ...


def new_decoder(window_bits: int) -> Decoder:
    """Return a decoder for one stream."""
    return cast(Decoder, isal_zlib.decompressobj(window_bits))
