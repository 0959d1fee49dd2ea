"""The calls into the native libraries: pointers in, Python values out.

`Engine` is the handle ABI (``bnn.abi.h``), `NetworkLibrary` BNN-PYNQ's own (``bnn_pynq.abi.h``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from accel_drivers.bnn._networks import NAMES, OUTPUTS, Layer, Network
from accel_sdk.errors import (
    AccelError,
    ClosedError,
    DataError,
    DeviceMemoryError,
    KernelError,
    KernelFaultError,
    ShapeError,
    UnsupportedError,
)
from accel_sdk.ffi import Library, find_library, open_library

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

ENGINE_LIBRARY = "libaccel_bnn.so"
ISA_VARIABLE = "ACCEL_BNN_ISA"
ABI_VERSION = 1

_ENGINE_ABI = "bnn.abi.h"
_PYNQ_ABI = "bnn_pynq.abi.h"
_PYNQ_OPTIONAL_ABI = "bnn_ext.abi.h"
_LEAST_SCORE, _MOST_SCORE = -(2**15), 2**15 - 1  # accumulators of 16 bits


class Layout(IntEnum):
    """How images lie in memory: ``enum accel_bnn_layout``."""

    RECORDS = 0
    """CNV: 3073 bytes each, a label (ignored), then the red, green and blue planes."""
    PIXELS = 1
    """CNV: 32 x 32 x (red, green, blue). LFC: 28 x 28 grey."""


class Decision(IntEnum):
    """How a class is decided: ``enum accel_bnn_decision``."""

    MULTIPLE = 0
    """As BNN-PYNQ's ``inference_multiple``: CNV class 0 unless a score is above 0; LFC the highest bit."""
    SINGLE = 1
    """As BNN-PYNQ's ``inference``: CNV the highest score; LFC log2 of the word, rounded to nearest."""
    ARGMAX = 2
    """CNV the highest score; an LFC has none, the library refuses it."""


class Engine:
    """One handle of the native library: a network, and its parameters once they are loaded.

    Several threads may `run` at once; `close` must wait for them.

    Parameters
    ----------
    network
        Its name.
    isa
        An instruction set by name; ``None`` for ``$ACCEL_BNN_ISA``, or the best that this CPU has.
    device
        Name for error texts.

    Raises
    ------
    LibraryLoadError
        If the native library cannot be used.
    DataError
        If there is no such network.
    UnsupportedError
        If there is no such instruction set, or this CPU lacks it.
    """

    def __init__(self, network: str, isa: str | None = None, *, device: str | None = None) -> None:
        self._handle: Any = None
        self._device = device
        self._library = _engine_library()
        self._ffi: Any = self._library.ffi
        self._lib = self._library.lib
        holder = self._ffi.new("struct accel_bnn **")
        wanted = self._ffi.NULL if isa is None else self._text(isa)
        status = self._lib.accel_bnn_create(self._text(network), wanted, holder)
        self._handle = holder[0]
        try:
            self._check("accel_bnn_create", status)
        except AccelError:
            self.close()
            raise

    @property
    def isa(self) -> str:
        """Name of the instruction set in use."""
        return _string(self._ffi, self._lib.accel_bnn_isa(self._open()))

    def load(self, folder: Path) -> list[str]:
        """Load the parameter files in a folder; on failure what was loaded before stays.

        Returns
        -------
        list of str
            Warnings: neurons that the files do not have.

        Raises
        ------
        DataError
            If a file is missing, unreadable or of the wrong size.
        """
        status = self._lib.accel_bnn_load(self._open(), self._text(os.fspath(folder)))
        self._check("accel_bnn_load", status)
        return self._long_text(self._lib.accel_bnn_warning).splitlines()

    def run(
        self,
        images: Buffer,
        count: int,
        layout: Layout,
        number_class: int,
        decision: Decision = Decision.MULTIPLE,
        *,
        classes: NDArray[np.int32] | None = None,
        scores: NDArray[np.int32] | None = None,
        words: NDArray[np.uint64] | None = None,
    ) -> None:
        """Classify images on the calling thread, with the GIL released. Copies nothing.

        Parameters
        ----------
        images
            C-contiguous, exactly as many bytes as `count` and `layout` say; unchanged.
        count
            How many.
        number_class
            How many of the 64 outputs take part, from 1 to 64.
        classes
            Filled in: `count` numbers, C-contiguous. ``None`` for none of them.
        scores
            Filled in, CNV only: `count` x `number_class`, C-contiguous.
        words
            Filled in, LFC only: `count` output words; bit ``n`` is neuron ``n`` of the last layer.

        Raises
        ------
        ShapeError
            If an array is not as said.
        DataError
            If a number is out of its range, or the images' bytes do not fit their count.
        KernelError
            If nothing was loaded.
        """
        handle = self._open()
        source = self._images(images)
        status = self._lib.accel_bnn_run(
            handle,
            source,
            self._ffi.sizeof(source),
            count,
            int(layout),
            number_class,
            int(decision),
            self._output("classes", "int32_t[]", classes, np.dtype(np.int32), count),
            self._output("scores", "int32_t[]", scores, np.dtype(np.int32), count * number_class),
            self._output("words", "uint64_t[]", words, np.dtype(np.uint64), count),
        )
        self._check("accel_bnn_run", status)

    def close(self) -> None:
        """Release the handle. May be called twice."""
        handle, self._handle = self._handle, None
        if handle:
            self._lib.accel_bnn_destroy(handle)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Any:
        if not self._handle:
            raise ClosedError("the network's handle was closed", device=self._device)
        return self._handle

    def _text(self, text: str) -> Any:
        encoded = os.fsencode(text)
        if b"\0" in encoded:
            raise DataError(f"{text!r} contains a zero byte", device=self._device)
        return self._ffi.new("char[]", encoded)

    def _images(self, images: Buffer) -> Any:
        try:
            return self._ffi.from_buffer("uint8_t[]", images)
        except (TypeError, ValueError, BufferError) as error:
            raise ShapeError(f"images must be C-contiguous bytes: {error}", device=self._device) from error

    def _output(
        self, name: str, ctype: str, array: NDArray[Any] | None, dtype: np.dtype[Any], size: int
    ) -> Any:
        if array is None:
            return self._ffi.NULL
        usable = array.flags.c_contiguous and array.flags.writeable
        if array.dtype != dtype or array.size != size or not usable:
            raise ShapeError(
                f"{name} must be a writable C-contiguous array of {size} {dtype.name}, "
                f"not {array.dtype.name} {array.shape}",
                device=self._device,
            )
        return self._ffi.from_buffer(ctype, array, require_writable=True)

    def _long_text(self, call: Callable[[Any, Any, int], int]) -> str:
        capacity = 512
        while True:
            text = self._ffi.new("char[]", capacity)
            length = call(self._handle, text, capacity)
            if length < capacity:
                return _string(self._ffi, text)
            capacity = length + 1

    def _check(self, call: str, status: int) -> None:
        if status != 0:
            text = self._long_text(self._lib.accel_bnn_error) if self._handle else ""
            raise engine_error(status, call, text, device=self._device)


def engine_error(status: int, call: str, text: str, *, device: str | None = None) -> AccelError:
    """Return the exception of a status that a call of the handle ABI returned: all of its failures come here.

    Parameters
    ----------
    text
        What the library says, ``""`` for nothing.
    """
    library = _engine_library()
    symbol = library.ffi.typeof("enum accel_bnn_status").elements.get(status)
    error = _error(symbol, text)
    error.device, error.library = device, str(library.path)
    error.call, error.status, error.symbol = call, status, symbol
    return error


def _error(symbol: str | None, text: str) -> AccelError:
    if symbol == "ACCEL_BNN_BAD_PARAMETERS":
        return DataError(text or "the parameters cannot be loaded")
    if symbol == "ACCEL_BNN_BAD_ARGUMENT":
        return DataError(text or "an argument is out of its range")
    if symbol == "ACCEL_BNN_NO_NETWORK":
        return DataError(text or "there is no such network", hint=f"the networks are {', '.join(NAMES)}")
    if symbol == "ACCEL_BNN_NO_ISA":
        hint = f"set {ISA_VARIABLE} to one of them or unset it"
        return UnsupportedError(text or "there is no such instruction set", hint=hint)
    if symbol == "ACCEL_BNN_NOT_LOADED":
        return KernelError(text or "no parameters were loaded", hint="load parameters first")
    if symbol == "ACCEL_BNN_NO_MEMORY":
        return DeviceMemoryError(text or "out of memory", nbytes_asked=0, nbytes_free=0)  # neither is known
    return KernelFaultError(text or "a status that the ABI does not have")


def isas() -> list[tuple[str, bool]]:
    """Return the names of all instruction sets, the best first, and whether this CPU has each."""
    library = _engine_library()
    found: list[tuple[str, bool]] = []
    while name := library.lib.accel_bnn_isa_at(len(found)):
        found.append((_string(library.ffi, name), bool(library.lib.accel_bnn_isa_supported(len(found)))))
    return found


def networks() -> tuple[Network, ...]:
    """Return all networks, from the native library's table."""
    return tuple(_networks(_engine_library()))


def _networks(library: Library) -> Iterator[Network]:
    facts: Any = library.ffi.new("struct accel_bnn_network *")
    index = 0
    while library.lib.accel_bnn_network_at(index, facts) == 0:
        layers = tuple(_layer(library, index, number) for number in range(facts.layers))
        yield Network(
            _string(library.ffi, facts.name),
            facts.height,
            facts.width,
            facts.channels,
            bool(facts.has_scores),
            layers,
        )
        index += 1


def _layer(library: Library, network: int, number: int) -> Layer:
    facts = library.ffi.new("struct accel_bnn_layer *")
    status = library.lib.accel_bnn_layer_at(network, number, facts)
    if status != 0:
        raise engine_error(status, "accel_bnn_layer_at", "")
    names = [name for name, _ in library.ffi.typeof("struct accel_bnn_layer").fields or ()]
    return Layer(**{name: int(getattr(facts, name)) for name in names})


def _engine_library() -> Library:
    return _checked_engine_library(find_library(ENGINE_LIBRARY))


@cache  # cffi takes milliseconds to read the header
def _checked_engine_library(path: Path) -> Library:
    library = open_library(path, [_ENGINE_ABI])
    version = library.lib.accel_bnn_abi_version()
    if version != ABI_VERSION:
        raise UnsupportedError(
            f"{path} has version {version} of the ABI, this driver needs {ABI_VERSION}",
            library=str(path),
            call="accel_bnn_abi_version",
            status=version,
            hint="install the package again",
        )
    return library


def _string(ffi: Any, text: Any) -> str:
    return cast(bytes, ffi.string(text)).decode(errors="replace")


class NetworkLibrary:
    """A library with BNN-PYNQ's ABI: one network, simulated or in hardware.

    Its state is global to the process: one of these at a time, for one thread. What it answers is believed
    only where it can be true.

    Parameters
    ----------
    path
        Of the library.
    device
        Name for error texts.

    Raises
    ------
    LibraryLoadError
        If it cannot be used.
    """

    def __init__(self, path: Path, *, device: str | None = None) -> None:
        self._device = device
        self._library = open_library(path, [_PYNQ_ABI], [_PYNQ_OPTIONAL_ABI])
        self._ffi: Any = self._library.ffi
        self._lib = self._library.lib
        self._closed = False

    def load(self, folder: Path) -> None:
        """Load parameters. A library that says nothing of failures may end the process instead.

        Raises
        ------
        DataError
            If the library says that it could not.
        """
        self._check_open()
        self._lib.load_parameters(self._text(os.fsencode(folder)))
        problem = self._last_error()
        if problem:
            raise DataError(
                problem, device=self._device, library=str(self._library.path), call="load_parameters"
            )

    def classify_first(self, file: bytes, number_class: int) -> tuple[int, NDArray[np.int32]]:
        """Classify the first image of a file: the ABI's ``inference``.

        Returns
        -------
        tuple
            The class, and 64 numbers: those below `number_class` are a CNV's scores; an LFC's are one-hot.

        Raises
        ------
        KernelFaultError
            If the library failed, or the class is none.
        """
        self._check_open()
        _check_number_class(number_class)
        results = np.zeros(OUTPUTS, np.int32)
        pointer = self._ffi.from_buffer("int[]", results, require_writable=True)
        found = int(self._lib.inference(self._text(file), pointer, number_class, self._ffi.NULL))
        # Rounded, an LFC's class may be one above its highest bit (FORMAT.md section 7).
        if not 0 <= found <= number_class:
            raise self._fault("inference", found, "no class")
        return found, results

    def classify(self, file: bytes, number_class: int, *, detail: bool, count: int) -> NDArray[np.int32]:
        """Classify all images of a file: the ABI's ``inference_multiple``.

        Parameters
        ----------
        file
            Its path.
        number_class
            How many of the 64 outputs take part.
        detail
            Ask a CNV for scores in place of classes. Must be false for an LFC, whose libraries ignore it.
        count
            How many images are in the file; an answer about any other number is not read.

        Returns
        -------
        NDArray[np.int32]
            Shape ``(count,)``, the classes; with `detail` ``(count, number_class)``, the scores.

        Raises
        ------
        KernelFaultError
            If the library failed, or its answer cannot be right.
        """
        self._check_open()
        _check_number_class(number_class)
        call = "inference_multiple"
        number = self._ffi.new("int *", -1)
        answer = self._lib.inference_multiple(
            self._text(file), number_class, number, self._ffi.NULL, int(detail)
        )
        try:
            if not answer:
                raise self._fault(call, None, "no result")
            if number[0] != count:
                raise self._fault(call, number[0], f"the file holds {count} images, it reports {number[0]}")
            size = count * (number_class if detail else 1)
            results = np.zeros(size, np.int32)
            self._ffi.memmove(self._ffi.from_buffer(results), answer, results.nbytes)
        finally:
            self._lib.free_results(answer)  # takes NULL
        least, most = (_LEAST_SCORE, _MOST_SCORE) if detail else (0, number_class - 1)
        if size and not least <= results.min() <= results.max() <= most:
            what = "scores" if detail else "classes"
            raise self._fault(call, None, f"{what} from {results.min()} to {results.max()}")
        return results.reshape(count, number_class) if detail else results

    def device_s(self) -> float | None:
        """Return modelled seconds so far, if the library models time."""
        if not self._library.has("accel_bnn_device_seconds"):
            return None
        return float(self._lib.accel_bnn_device_seconds())

    def close(self) -> None:
        """Let the library release its buffers. May be called twice."""
        if not self._closed:
            self._closed = True
            self._lib.deinit()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the network's library was closed", device=self._device)

    def _text(self, text: bytes) -> Any:
        return self._ffi.new("char[]", text)

    def _last_error(self) -> str:
        if not self._library.has("accel_bnn_pynq_error"):
            return ""
        return _string(self._ffi, self._lib.accel_bnn_pynq_error())

    def _fault(self, call: str, status: int | None, what: str) -> KernelFaultError:
        said = self._last_error()
        return KernelFaultError(
            f"{what}: {said}" if said else f"{what}, and the library says no more",
            device=self._device,
            library=str(self._library.path),
            call=call,
            status=status,
            symbol="NULL" if status is None and what == "no result" else None,
        )


def _check_number_class(number_class: int) -> None:
    if not 1 <= number_class <= OUTPUTS:
        raise DataError(f"number_class must be from 1 to {OUTPUTS}, not {number_class}")
