"""Fletcher's Python interface, on this project's driver: change ``import pyfletcher`` to this module.

The names are those of pyfletcher, old (`UserCore`, up to 0.0.7) and new (`Kernel`). What differs: an error is
an exception, and never the end of the process; waiting has a limit and lets other threads run; slices of
record batches are read where they begin; types that Fletcher would drop without a word are refused; and each
`Platform` of a simulated device has a state of its own.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from accel_drivers.fletcher import _buffers, _platform, _registers
from accel_drivers.fletcher._abi import Library
from accel_sdk.device import Device, Kind
from accel_sdk.errors import DataError, LibraryLoadError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST = int(_registers.Register.FIRST)
_RETURN = int(_registers.Register.RETURN_LOW)
_LOW_HALF = 0xFFFF_FFFF
_READ_AS = {"uint": "<I", "int": "<i", "float": "<f"}
_READ_64_AS = {"uint": "<Q", "int": "<q", "double": "<d"}
_MODES: dict[str | bool, bool] = {"any": False, "cache": True, False: False, True: True}  # and as once was


class Platform:
    """A Fletcher platform.

    Parameters
    ----------
    name
        Which one: ``"aws"``, ``"oc-accel"``, ``"snap"``, ``"echo"``, or ``"sim"`` for a simulated one. By
        default the first of the boards whose library is found, else the simulated one: unlike elsewhere in
        this SDK it need not be named, because notebooks do not name it.
    quiet
        Of no effect here.

    Raises
    ------
    LibraryLoadError
        If there is no such platform.
    """

    def __init__(self, name: str = "", quiet: bool = True) -> None:
        device = _device(name)
        path = _platform.library_of(device)
        if device.kind is Kind.SIMULATED and device.name != _platform.ECHO:
            self._library = _platform.private_library(path, device.name)
            # Contexts may free their buffers after `terminate`; they hold this object.
            weakref.finalize(self, _platform.give_back, self._library).atexit = False
        else:
            self._library = Library(path, device=device.name, private=False)

    def name(self) -> str:
        """Return the platform's name."""
        return self._library.name()

    get_name = name

    def init(self) -> None:
        """Open the device."""
        self._library.init()

    def terminate(self) -> None:
        """Close the device."""
        self._library.terminate()

    def write_mmio(self, offset: int, value: int) -> None:
        """Write a 32-bit register; `offset` counts registers."""
        self._library.write(offset, value & _LOW_HALF)

    def read_mmio(self, offset: int, type: str = "uint") -> int | float:  # noqa: A002 - pyfletcher's name
        """Read a register as ``"uint"``, ``"int"`` or ``"float"``."""
        return _decoded(self._library.read(offset), type, _READ_AS)

    def read_mmio_64(self, offset: int, type: str = "uint") -> int | float:  # noqa: A002
        """Read two registers as ``"uint"``, ``"int"`` or ``"double"``; the upper one first, as ever."""
        high = self._library.read(offset + 1)
        return _decoded(self._library.read(offset) | high << 32, type, _READ_64_AS)

    def device_malloc(self, size: int) -> int:
        """Allocate device memory; return its address."""
        return self._library.malloc(size)

    def device_free(self, address: int) -> None:
        """Free device memory."""
        self._library.free(address)

    def copy_host_to_device(self, host_bytes: Any, device_destination: int, size: int) -> None:
        """Copy the first `size` bytes to the device."""
        self._library.to_device(_first(host_bytes, size), device_destination)

    def copy_device_to_host(self, device_source: int, size: int, buffer: Any = None) -> Any:
        """Copy bytes from the device to a new uint8 array, or into a mutable Arrow buffer."""
        target: Any = np.empty(size, np.uint8) if buffer is None else buffer
        view = memoryview(target).cast("B")
        if view.readonly:
            raise DataError("the buffer cannot be written")
        self._library.to_host(device_source, _first(view, size))
        return target


class Context:
    """Record batches on their way to a platform.

    Parameters
    ----------
    platform
        Need not be initialised yet.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._queue: list[tuple[pa.RecordBatch, bool]] = []
        self._buffers: list[pa.Buffer | None] = []  # keeps their memory, too
        self._addresses: list[int] = []
        self._owned: list[int] = []
        weakref.finalize(self, _free_all, platform, self._owned).atexit = False

    def queue_record_batch(
        self, batch: pa.RecordBatch, mem_type: str | bool = "any", cache: bool = False
    ) -> None:
        """Queue a batch. The hardware has their registers in this order.

        Parameters
        ----------
        batch
            Its schema says how many registers there are.
        mem_type
            ``"any"``, or ``"cache"`` to have it copied to the device; `cache` is the old name for that.
        """
        if mem_type not in _MODES:
            raise DataError(f"mem_type must be 'any' or 'cache', not {mem_type!r}")
        if not isinstance(batch, pa.RecordBatch):
            raise DataError(f"{type(batch).__name__} is no record batch")
        self._buffers += [_buffers.aligned(buffer) for buffer in _buffers.buffers(batch)]
        self._queue.append((batch, cache or _MODES[mem_type]))

    def queue_array(
        self, array: pa.Array, field: pa.Field | None = None, mode: str = "read", cache: bool = False
    ) -> None:
        """Queue a single array, as pyfletcher up to 0.0.7 did."""
        if mode not in ("read", "write"):
            raise DataError(f"mode must be 'read' or 'write', not {mode!r}")
        field = field or pa.field("array", array.type, nullable=bool(array.null_count))
        batch = pa.RecordBatch.from_arrays([array], schema=pa.schema([field]))
        self.queue_record_batch(batch, cache=cache)

    def enable(self) -> None:
        """Make every queued buffer visible to the device."""
        modes = [cached for batch, cached in self._queue for _ in _buffers.slots(batch.schema)]
        for number, buffer in enumerate(self._buffers):
            if number >= len(self._addresses):
                self._addresses.append(self._enabled(buffer, modes[number]))

    def _enabled(self, buffer: pa.Buffer | None, cached: bool) -> int:
        library = self._platform._library
        address, size = (0, 0) if buffer is None or not buffer.size else (buffer.address, buffer.size)
        if cached:
            seen, allocated = library.cache(address, size), True
        else:
            seen, allocated = library.prepare(address, size)
        if allocated:
            self._owned.append(seen)
        return seen

    def get_queue_size(self) -> int:
        """Return the bytes of all queued buffers."""
        return sum(buffer.size for buffer in self._buffers if buffer is not None)

    def num_buffers(self) -> int:
        """Return how many buffers the hardware has addresses for."""
        return len(self._buffers)

    def get_device_buffer(self, index: int) -> int:
        """Return the device address of a buffer."""
        return self._addresses[index]

    @property
    def batches(self) -> list[pa.RecordBatch]:
        """The queued batches."""
        return [batch for batch, _ in self._queue]


class Kernel:
    """The kernel in the bitstream.

    Parameters
    ----------
    context
        Enabled before `start`.

    Attributes
    ----------
    ctrl_start, ctrl_reset
        What to write to the control register.
    done_status, done_status_mask
        What the status register holds when the kernel is done.
    timeout_s
        Longest wait in seconds; ``None`` for no limit.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._library = context._platform._library
        self.ctrl_start = int(_registers.Control.START)
        self.ctrl_reset = int(_registers.Control.RESET)
        self.done_status = self.done_status_mask = int(_registers.Status.DONE)
        self.timeout_s: float | None = _registers.PATIENCE_S
        self._ranges: dict[int, tuple[int, int]] = {}
        self._ready = False

    def reset(self) -> None:
        """Make the kernel idle."""
        _registers.pulse(self._library, self.ctrl_reset)

    def set_range(self, recordbatch_index: int, first: int, last: int) -> None:
        """Let the kernel read only some rows of a batch, from `first` to before `last`.

        It takes effect whenever it is called; with Fletcher's own runtime the first `start` undoes it.
        """
        if not 0 <= first < last <= _registers.MOST_ROWS:
            raise DataError(f"{first} to {last} is no range of rows")
        if not 0 <= recordbatch_index < len(self._context.batches):
            raise DataError(f"no record batch {recordbatch_index} is queued")
        self._ranges[recordbatch_index] = (first, last)
        self._write_range(recordbatch_index, first, last)

    def set_arguments(self, arguments: Sequence[int]) -> None:
        """Write the design's own registers, 32-bit words."""
        start = _FIRST + 2 * (len(self._context.batches) + self._context.num_buffers())
        for number, word in enumerate(arguments):
            if not 0 <= int(word) <= _LOW_HALF:
                raise DataError(f"argument {number} is no unsigned 32-bit word: {word}")
            self._library.write(start + number, int(word))

    def start(self) -> None:
        """Start the kernel; the first time, its ranges and addresses are written before."""
        if not self._ready:
            self._write_metadata()
            self._ready = True
        _registers.pulse(self._library, self.ctrl_start)

    def get_status(self) -> int:
        """Return the status register."""
        return self._library.read(_registers.Register.STATUS)

    def poll_until_done(self, poll_interval_usec: int = 0) -> None:
        """Wait until the kernel is done.

        Parameters
        ----------
        poll_interval_usec
            Time between two looks, in microseconds; 0 for the driver's choice.

        Raises
        ------
        KernelTimeoutError
            If it is not done within `timeout_s`.
        """
        sleep_s = poll_interval_usec * 1e-6 if poll_interval_usec else None
        self._library.wait(
            _registers.Register.STATUS,
            self.done_status_mask,
            self.done_status,
            timeout_s=self.timeout_s,
            sleep_s=sleep_s,
        )

    wait_for_finish = poll_until_done

    def get_return(self, np_dtype: Any) -> int | float:
        """Return the return registers as a number of that type.

        As in pyfletcher this converts the unsigned 64-bit number: a float type gives its value, not its bits.
        """
        number: NDArray[Any] = np.array([_registers.result(self._library)], np.uint64)
        return cast("int | float", number.astype(np.dtype(np_dtype))[0].item())

    def implements_schema(self, schemas: Sequence[pa.Schema]) -> bool:
        """Return false, as pyfletcher does: nothing tells what a bitstream was made for."""
        return False

    def get_context(self) -> Context:
        """Return the context."""
        return self._context

    def get_platform(self) -> Platform:
        """Return the platform."""
        return self._context._platform

    def _write_range(self, index: int, first: int, last: int) -> None:
        register = _FIRST + 2 * index
        self._library.write(register, first)
        self._library.write(register + 1, last)

    def _write_metadata(self) -> None:
        batches = self._context.batches
        if len(self._context._addresses) < self._context.num_buffers():
            raise DataError("the context is not enabled", hint="call its 'enable' first")
        for number, batch in enumerate(batches):
            if batch.num_rows > _registers.MOST_ROWS:
                raise DataError(f"a batch of {batch.num_rows} rows is beyond {_registers.MOST_ROWS}")
            self._write_range(number, *self._ranges.get(number, (0, batch.num_rows)))
        register = _FIRST + 2 * len(batches)
        for number, address in enumerate(self._context._addresses):
            self._library.write(register + 2 * number, address & _LOW_HALF)
            self._library.write(register + 2 * number + 1, address >> 32)


class UserCore(Kernel):
    """The kernel, by its name up to pyfletcher 0.0.7: one batch, and ranges without its number."""

    def set_range(self, *numbers: int) -> None:
        """Let the kernel read only some rows: ``set_range(first, last)``; a batch's number may come first."""
        if len(numbers) not in (2, 3):
            raise DataError(f"set_range takes the first row and the one after the last, not {numbers}")
        super().set_range(*(numbers if len(numbers) == 3 else (0, *numbers)))


def _device(name: str) -> Device:
    found = _platform.devices()
    boards = [device for device in found if device.kind is Kind.HARDWARE]
    simulated = Device("sim:0", Kind.SIMULATED, "fletcher")
    if not name:
        return boards[0] if boards else simulated
    if name == "sim":
        return simulated
    for device in found:
        if device.name == name:
            return device
    known = ", ".join(dict.fromkeys([d.name for d in found if ":" not in d.name] + ["sim"]))
    raise LibraryLoadError(
        f"no platform {name!r}: the loader finds no libfletcher_{name}.so",
        library=str(Path(f"libfletcher_{name}.so")),
        hint=f"there are: {known}",
    )


def _decoded(bits: int, kind: str, formats: dict[str, str]) -> int | float:
    if kind not in formats:
        raise DataError(f"type must be one of {', '.join(formats)}, not {kind!r}")
    code = formats[kind]
    number: int | float = struct.unpack(code, bits.to_bytes(struct.calcsize(code), "little"))[0]
    return number


def _first(data: Any, size: int) -> memoryview:
    """Return the first bytes of a buffer."""
    view = memoryview(data).cast("B")
    if not 0 <= size <= view.nbytes:
        raise DataError(f"the buffer has {view.nbytes} bytes, not {size}")
    return view[:size]


def _free_all(platform: Platform, addresses: list[int]) -> None:
    for address in addresses:
        _registers.free(platform._library, address)


__all__ = ["Context", "Kernel", "Platform", "UserCore"]
