"""What travels when integers are summed: arrays to a device, and their sum back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

from accel_sdk.data import picklable

if TYPE_CHECKING:
    import pyarrow as pa

_PER_BYTE = 8  # rows whose validity stands in one byte
_MODULUS = 1 << 64


@dataclass(frozen=True)
class Rows:
    """A chunk: integer arrays, one after another.

    In one process they are views of the user's data. To another process their buffers travel out of band
    (pickle 5), and only those bytes that belong to the rows: Arrow itself sends the whole column for a slice.

    Parameters
    ----------
    arrays
        Arrow arrays of integers.
    """

    arrays: tuple[pa.Array, ...]

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(map(len, self.arrays))

    @property
    def nbytes(self) -> int:
        """Bytes of values and validity."""
        return sum(array.nbytes for array in self.arrays)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        return _rows, tuple(_parts(array, protocol) for array in self.arrays if len(array))


_Parts = tuple[str, int, int, "object | None", object]


def _parts(array: pa.Array, protocol: SupportsIndex) -> _Parts:
    """Return an array as type, length, offset into the first byte of validity, validity and values."""
    validity, values = array.buffers()
    width = array.type.bit_width // 8
    shift = array.offset % _PER_BYTE
    first = array.offset - shift
    count = shift + len(array)
    sent = values.slice(first * width, count * width)
    bits = None
    if validity is not None and array.null_count:
        bits = picklable(validity.slice(first // _PER_BYTE, -(-count // _PER_BYTE)), protocol)
    return str(array.type), len(array), shift, bits, picklable(sent, protocol)


def _rows(*parts: _Parts) -> Rows:
    import pyarrow as pa

    arrays = []
    for kind, length, shift, bits, values in parts:
        buffers = [None if bits is None else pa.py_buffer(bits), pa.py_buffer(values)]
        arrays.append(pa.Array.from_buffers(pa.type_for_alias(kind), length, buffers, offset=shift))
    return Rows(tuple(arrays))


class Total(int):
    """A sum as the hardware has it, a signed 64-bit number, and what was summed.

    Attributes
    ----------
    exact
        The sum without wrapping.
    rows, nulls
        How many rows were summed; how many of them were null, and so counted as 0.
    """

    exact: int
    rows: int
    nulls: int

    def __new__(cls, exact: int, rows: int, nulls: int) -> Total:
        made = super().__new__(cls, wrap(exact))
        made.exact, made.rows, made.nulls = exact, rows, nulls
        return made

    @property
    def wrapped(self) -> bool:
        """Whether the sum does not fit, so that the number is not the sum."""
        return self.exact != self

    def __reduce__(self) -> tuple[object, ...]:
        return Total, (self.exact, self.rows, self.nulls)


def wrap(number: int) -> int:
    """Return a number as 64 bits hold it, signed."""
    return (number + (_MODULUS >> 1)) % _MODULUS - (_MODULUS >> 1)


def nearest(wrapped: int, low: int) -> int:
    """Return the number from `low` to ``low + 2**64 - 1`` that wraps to `wrapped`."""
    return low + (wrapped - low) % _MODULUS


def slices(array: pa.Array, most: int) -> Iterator[pa.Array]:
    """Yield an array in pieces of at most so many rows; nothing for an empty one."""
    for start in range(0, len(array), most):
        yield array.slice(start, most)
