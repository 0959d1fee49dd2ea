"""Fletcher's register map, and a run over it: what every kernel of the family does on a device."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

from accel_sdk.errors import AccelError, DataError, KernelFaultError

if TYPE_CHECKING:
    from accel_drivers.fletcher._abi import Library

_log = logging.getLogger(__name__)

MOST_ROWS = (1 << 31) - 1
"""Rows in one run: the range registers have 32 bits, and Fletcher's runtime compares them as signed."""

PATIENCE_S = 60.0
"""Longest wait for one run where nobody sets a limit, seconds."""

_LOW_HALF = 0xFFFF_FFFF


class Register(IntEnum):
    """Registers of every design, counted in 32-bit words (fletchgen's register map)."""

    CONTROL = 0
    STATUS = 1
    RETURN_LOW = 2
    RETURN_HIGH = 3
    FIRST = 4


class Control(IntFlag):
    """What is written to the control register."""

    START = 1
    STOP = 2
    RESET = 4


class Status(IntFlag):
    """Bits of the status register; several may be set at once."""

    IDLE = 1
    BUSY = 2
    DONE = 4
    FAILED = 8  # of this project's simulated design; no other is known to use the bit


@contextmanager
def prepared(library: Library, spans: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Within the block, have host memory visible to the device; yield the device addresses.

    Parameters
    ----------
    spans
        Address and bytes of each buffer; (0, 0) for one that is absent.
    """
    addresses: list[int] = []
    owned: list[int] = []
    try:
        for address, nbytes in spans:
            seen, allocated = library.prepare(address, nbytes)
            addresses.append(seen)
            if allocated:
                owned.append(seen)
        yield addresses
    finally:
        for address in owned:
            free(library, address)


def run(
    library: Library,
    ranges: Sequence[tuple[int, int]],
    addresses: Sequence[int],
    arguments: Sequence[int] = (),
    *,
    timeout_s: float | None,
) -> int:
    """Run the design once; return the result registers as an unsigned 64-bit number.

    Parameters
    ----------
    ranges
        First row and the one after the last, of each record batch.
    addresses
        Of the buffers, in register order.
    arguments
        32-bit words for the registers behind them.

    Raises
    ------
    DataError
        If a range or an argument does not fit into its registers.
    KernelTimeoutError, KernelFaultError
        If the device does not finish, or finishes with an error.
    """
    words = [word for pair in ranges for word in pair]
    if not all(0 <= word <= MOST_ROWS for word in words):
        raise DataError(f"a range of rows is beyond {MOST_ROWS}", hint="cut the batch into smaller ones")
    for address in addresses:
        words += (address & _LOW_HALF, address >> 32)
    if not all(0 <= word <= _LOW_HALF for word in arguments):
        raise DataError(
            "arguments are unsigned 32-bit words", hint="pass a longer one as two, low half first"
        )
    pulse(library, Control.RESET)  # done is sticky: without this a second start gives the first result
    for register, word in enumerate([*words, *arguments], Register.FIRST):
        library.write(register, word)
    pulse(library, Control.START)
    status = library.wait(Register.STATUS, Status.DONE, Status.DONE, timeout_s=timeout_s)
    if status & Status.FAILED:
        raise KernelFaultError(
            f"the run ended with an error (status register {status:#x}): "
            f"{library.last_error() or 'the library says no more'}",
            library=str(library.path),
        )
    return result(library)


def pulse(library: Library, bits: int) -> None:
    """Write to the control register as Fletcher's runtime does: the bits, then 0."""
    library.write(Register.CONTROL, bits)
    library.write(Register.CONTROL, 0)


def result(library: Library) -> int:
    """Return the result registers as an unsigned 64-bit number."""
    return library.read(Register.RETURN_LOW) | library.read(Register.RETURN_HIGH) << 32


def free(library: Library, address: int) -> None:
    """Free device memory; a failure is logged."""
    try:
        library.free(address)
    except AccelError as error:  # the result is there; what failed in the block, if anything, says more
        _log.warning("device memory is lost: %s", error)
