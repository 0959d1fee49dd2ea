"""Parameters of a network: find them, unpack them, check them, write them.

A set is a folder with the files that FORMAT.md section 4 describes (``<layer>-<pe>-weights.bin``,
``<layer>-<pe>-thres.bin``) and ``classes.txt``, one class name on each line.
"""

from __future__ import annotations

import io
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from accel_drivers.bnn import _archive
from accel_drivers.bnn._networks import NAMES, OUTPUTS, Layer, Network, network
from accel_drivers.bnn._scratch import scratch_folder
from accel_sdk.errors import DataError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

PARAMS_VARIABLE = "ACCEL_BNN_PARAMS_DIR"
RANDOM = "random"
"""Name of the built-in set: parameters from a fixed seed, for benchmarks and tests."""

CLASSES_FILE = "classes.txt"
_RANDOM_CLASSES = 10
_SEED = 20161128
_WORD_BYTES = 8


@dataclass(frozen=True)
class ParameterSet:
    """Parameters that can be loaded now.

    Parameters
    ----------
    folder
        Holds the files directly.
    class_names
        In the order of the network's outputs; 1 to 64. A name may be empty.
    origin
        Where they come from, for people: an archive in place of the folder it was unpacked to.
    """

    folder: Path
    class_names: tuple[str, ...]
    origin: Path

    def check(self, of: Network) -> None:
        """Check that the files are there, have the network's sizes, and have a neuron for every class.

        Raises
        ------
        DataError
            If not; the text names the file.
        """
        self.warn(check_sizes(self.folder, of))
        neurons = _last_neurons(self.folder, of)
        if neurons < len(self.class_names):
            raise DataError(
                f"{self.folder} has parameters for {neurons} neurons of the last layer, "
                f"but {CLASSES_FILE} names {len(self.class_names)} classes",
                hint="the files of the last layer are cut, or the classes are those of another set",
            )

    def warn(self, texts: Iterable[str]) -> None:
        """Log what is remarkable about them, once in a process: every device loads them."""
        for text in texts:
            _warn_once(f"{self.origin}: {text}")


@cache
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


@contextmanager
def open_params(params: str | Path, of: Network) -> Iterator[ParameterSet]:
    """Make parameters ready to be loaded; whatever was unpacked for that is gone afterwards.

    Parameters
    ----------
    params
        ``"random"``; a folder that holds the files, directly or in its only sub-folder that does; a
        ``.tar.xz``, ``.tar.gz``, ``.tar`` or ``.zip`` of one; or the name of an installed set.
    of
        The network they are for.

    Raises
    ------
    DataError
        If there is no such set, it cannot be unpacked, or its ``classes.txt`` is missing or wrong.
    """
    if params == RANDOM:
        with scratch_folder() as folder:
            _write_random(folder, of)
            yield _parameter_set(folder, Path(RANDOM))
        return
    path = locate(params, of.name)
    if path.is_dir():
        yield _parameter_set(path, path)
        return
    with scratch_folder() as folder:
        _archive.unpack(path, folder)
        try:
            yield _parameter_set(folder, path)
        except DataError as error:  # also what the block raised
            error.message = error.message.replace(str(folder), str(path))
            raise


def locate(params: str | Path, network_name: str) -> Path:
    """Return the absolute path of a folder or archive of parameters.

    A `Path`, or a text that is the path of something, is that. Any other text is the name of an installed
    set: a folder or archive called ``<name>-<network>`` or ``<name>`` in one of the folders of
    ``$ACCEL_BNN_PARAMS_DIR`` (separated by colons), or in ``accel-sdk/bnn`` of the user's data folder.

    Raises
    ------
    DataError
        If there is none; the text says where it was looked for.
    """
    if is_path(params):
        path = Path(params).absolute()
        if not path.is_dir() and not path.is_file():
            raise DataError(f"parameters {params} are neither a folder nor a file")
        return path
    if isinstance(params, Path) or os.sep in params or not params:
        hint = "give a folder, an archive or an installed set's name"
        raise DataError(f"parameters {str(params)!r} do not exist", hint=hint)
    for folder in _installed_folders():
        for name in (f"{params}-{network_name}", params):
            for suffix in ("", *_archive.SUFFIXES):
                found = folder / f"{name}{suffix}"
                if os.path.exists(found):
                    return found.absolute()
    places = ", ".join(map(str, _installed_folders()))
    raise DataError(
        f"no parameters {params!r} for {network_name}: there is no such file or folder, and no installed set "
        f"of that name in {places}",
        hint=f"give a path, set {PARAMS_VARIABLE}, or use {RANDOM!r}",
    )


def checked(params: str | Path, of: Network) -> tuple[Path | None, int]:
    """Look at parameters before any device does, if they are on this machine.

    Returns
    -------
    Path or None
        Their absolute path, if they are given by a path.
    int
        Which version of them it is; 0 if they are not here.

    Raises
    ------
    DataError
        If they are here and cannot be loaded.
    """
    try:
        path = locate(params, of.name) if params != RANDOM else None
    except DataError:
        path = None  # workers may have a set of that name
    if path is None:
        return None, 0
    signature = _signature(path)
    _check(path, signature, of)
    text = repr(signature).encode()
    return path if is_path(params) else None, zlib.crc32(text)


@lru_cache(maxsize=8)
def _check(path: Path, _signature: object, of: Network) -> None:
    """Check a set, once as long as it does not change: unpacking an archive takes as long as 1,000 images."""
    with open_params(path, of) as parameters:
        parameters.check(of)


def _signature(path: Path) -> object:
    """Return what changes when an archive or one of the files below a folder does."""
    patterns = (f"{depth}{name}" for depth in ("", "*/") for name in ("*.bin", CLASSES_FILE))
    files = [file for name in patterns for file in sorted(path.glob(name))] if path.is_dir() else [path]
    found = []
    for file in files:
        with suppress(FileNotFoundError):  # just removed; the check will tell
            status = file.stat()
            found.append((file, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def is_path(params: str | Path) -> bool:
    """Return whether parameters are given by the path of something that is there."""
    return params != RANDOM and bool(str(params)) and os.path.lexists(params)


def read_class_names(file: Path) -> tuple[str, ...]:
    """Return the names in a ``classes.txt``: every line is a class, also a blank one.

    Raises
    ------
    DataError
        If it is missing, unreadable or empty, or has more than 64 lines.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        hint = "write one class name on each line, in the order of the network's outputs"
        raise DataError(f"{file} is missing", hint=hint) from None
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    names = tuple(line.strip() for line in io.StringIO(text, newline=None))
    if not any(names):
        raise DataError(f"{file} names no class", hint="write one class name on each line")
    if len(names) > OUTPUTS:
        raise DataError(f"{file} names {len(names)} classes; the networks have {OUTPUTS} outputs")
    return names


def check_sizes(folder: Path, of: Network) -> list[str]:
    """Check that every parameter file is there and has the size that the network needs.

    For libraries that do not do it themselves. The last layer may have fewer neurons than the network, by
    whole neuron folds and in all its files alike: two published sets do.

    Returns
    -------
    list of str
        Warnings: neurons that the files do not have.

    Raises
    ------
    DataError
        If a file is missing or has another size; the text says which other network the files fit, if one.
    """
    sizes = _file_sizes(folder)
    try:
        return _compare(sizes, folder, of)
    except DataError as error:
        fits = _fitting(sizes, folder)
        if fits:
            error.hint = f"the files fit network {' and '.join(fits)}"
        raise


def write_parameters(
    folder: Path,
    network: Network | str,
    weights: Sequence[NDArray[np.int8]],
    thresholds: Sequence[NDArray[np.int64]],
    class_names: Sequence[str] = (),
) -> None:
    """Write parameter files for a network, as trained ones are shipped.

    Parameters
    ----------
    folder
        Is made if need be; files of these names there are replaced.
    network
        It, or its name.
    weights
        For every layer, shape ``(rows, columns)``: -1 and +1, or -1, 0 and +1 where weights have 2 bits.
        Columns of a convolution are ordered (ky, kx, channel).
    thresholds
        For every layer that has some, shape ``(rows, thresholds)``, whole numbers. A neuron's activation is
        the number of its thresholds that the accumulator is above.
    class_names
        Written as ``classes.txt`` if there are any.

    Raises
    ------
    ShapeError
        If an array has another shape, or there are too few or too many.
    DataError
        If a weight is none of its layer's values, there is no such network, or the names are too many.
    OSError
        If a file cannot be written.
    """
    of = _network(network)
    _check_count("weights", weights, of.layers)
    _check_count("thresholds", thresholds, [layer for layer in of.layers if layer.thresholds])
    if len(class_names) > OUTPUTS:
        raise DataError(f"{len(class_names)} class names; the networks have {OUTPUTS} outputs")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, of, weights, thresholds, class_names)


def _write(
    folder: Path,
    of: Network,
    weights: Sequence[NDArray[np.int8]],
    thresholds: Sequence[NDArray[np.int64]],
    class_names: Sequence[str],
) -> None:
    thresholded = [layer for layer in of.layers if layer.thresholds]
    for number, (layer, values) in enumerate(zip(of.layers, weights, strict=True)):
        _write_words(folder, number, "weights", packed_weights(layer, values))
    for number, (layer, limits) in enumerate(zip(thresholded, thresholds, strict=True)):
        _write_words(folder, number, "thres", packed_thresholds(layer, limits))
    if class_names:
        (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")


def packed_weights(layer: Layer, weights: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Return a layer's weights as the words of its files, shape ``(pe, words)``."""
    import numpy as np

    _check_shape("weights", weights, (layer.rows, layer.columns))
    allowed = (-1, 1) if layer.weight_bits == 1 else (-1, 0, 1)
    if not np.isin(weights, allowed).all():
        raise DataError(f"weights of {layer.weight_bits} bit must be {' or '.join(map(str, allowed))}")
    codes = weights > 0 if layer.weight_bits == 1 else np.asarray(weights).astype(np.int64) & 3
    shape = (layer.neuron_folds, layer.pe, layer.synapse_folds, layer.simd)
    lanes = codes.astype(np.uint64).reshape(shape).transpose(1, 0, 2, 3)
    shifts = np.arange(layer.simd, dtype=np.uint64) * np.uint64(layer.weight_bits)
    words: NDArray[np.uint64] = np.bitwise_or.reduce(lanes << shifts, axis=3)
    return words.reshape(layer.pe, layer.weight_words)


def packed_thresholds(layer: Layer, thresholds: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a layer's thresholds as the words of its files, shape ``(pe, words)``."""
    import numpy as np

    _check_shape("thresholds", thresholds, (layer.rows, layer.thresholds))
    numbers = np.asarray(thresholds).astype(np.int64)
    folds = numbers.reshape(layer.neuron_folds, layer.pe, layer.thresholds).transpose(1, 0, 2)
    return np.ascontiguousarray(folds).reshape(layer.pe, layer.threshold_words).view(np.uint64)


# --- finding --------------------------------------------------------------------------------------


def _installed_folders() -> list[Path]:
    named = [Path(part) for part in os.environ.get(PARAMS_VARIABLE, "").split(":") if part]
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return [*named, Path(data, "accel-sdk", "bnn")]


def _parameter_set(folder: Path, origin: Path) -> ParameterSet:
    holder = _holder(folder)
    return ParameterSet(holder, read_class_names(holder / CLASSES_FILE), origin)


def _holder(folder: Path) -> Path:
    """Return the folder itself if it holds parameter files, else its only sub-folder that does."""
    try:
        if _has_files(folder):
            return folder
        inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and _has_files(entry)]
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error
    if len(inner) == 1:
        return inner[0]
    if inner:
        names = ", ".join(entry.name for entry in inner)
        raise DataError(f"{folder} holds several parameter sets: {names}", hint="name one of them")
    raise DataError(f"{folder} holds no parameter files", hint="they are called <layer>-<pe>-weights.bin")


def _has_files(folder: Path) -> bool:
    return any(entry.suffix == ".bin" for entry in folder.iterdir())


# --- checking -------------------------------------------------------------------------------------


def _file_sizes(folder: Path) -> dict[str, int]:
    try:
        return {entry.name: entry.stat().st_size for entry in folder.iterdir() if entry.suffix == ".bin"}
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error


def _compare(sizes: dict[str, int], folder: Path, of: Network) -> list[str]:
    last = len(of.layers) - 1
    for number, layer in enumerate(of.layers):
        folds = _folds(sizes, layer, number) if number == last else layer.neuron_folds
        for name, per_fold in _expected(layer, number):
            _check_size(sizes, folder / name, per_fold * (folds or layer.neuron_folds), of.name)
    if folds and folds < of.layers[last].neuron_folds:
        present = folds * layer.pe
        return [
            f"layer {last} has parameters for {present} of its {layer.rows} neurons; the others read as zero"
        ]
    return []


def _last_neurons(folder: Path, of: Network) -> int:
    """Return how many neurons the last layer's files have, whose sizes are right."""
    last = len(of.layers) - 1
    return _folds(_file_sizes(folder), of.layers[last], last) * of.layers[last].pe


def _expected(layer: Layer, number: int) -> Iterator[tuple[str, int]]:
    """Yield the name of each file of a layer, and its bytes for one neuron fold."""
    for pe in range(layer.pe):
        yield f"{number}-{pe}-weights.bin", layer.synapse_folds * _WORD_BYTES
        if layer.thresholds:
            yield f"{number}-{pe}-thres.bin", layer.thresholds * _WORD_BYTES


def _folds(sizes: dict[str, int], layer: Layer, number: int) -> int:
    """Return how many neuron folds the first file of a layer holds; 0 if that is no number there can be."""
    name, per_fold = next(_expected(layer, number))
    folds, rest = divmod(sizes.get(name, 0), per_fold)
    return folds if not rest and folds <= layer.neuron_folds else 0


def _check_size(sizes: dict[str, int], file: Path, expected: int, network_name: str) -> None:
    found = sizes.get(file.name)
    if found is None:
        raise DataError(f"{file} is missing; {network_name} needs it ({expected} bytes)")
    if found != expected:
        raise DataError(f"{file} has {found} bytes; {network_name} needs {expected}")


def _fitting(sizes: dict[str, int], folder: Path) -> list[str]:
    """Return the names of the networks that the files are for."""
    fits = []
    for name in NAMES:
        try:
            _compare(sizes, folder, network(name))
        except DataError:
            continue
        fits.append(name)
    return fits


# --- writing --------------------------------------------------------------------------------------


def _network(of: Network | str) -> Network:
    return network(of) if isinstance(of, str) else of


def _check_count(what: str, given: Sequence[object], layers: Sequence[Layer]) -> None:
    if len(given) != len(layers):
        raise ShapeError(f"{what} must be given for {len(layers)} layers, not {len(given)}")


def _check_shape(what: str, array: NDArray[np.int8] | NDArray[np.int64], shape: tuple[int, int]) -> None:
    if array.shape != shape or array.dtype.kind not in "iu":
        raise ShapeError(
            f"{what} must be whole numbers of shape {shape}, not {array.dtype.name} of {array.shape}"
        )


def _write_words(folder: Path, number: int, kind: str, words: NDArray[np.uint64]) -> None:
    for pe, row in enumerate(words):
        (folder / f"{number}-{pe}-{kind}.bin").write_bytes(row.astype("<u8").tobytes())


def _write_random(folder: Path, of: Network) -> None:
    """Write parameters from a fixed seed; activations take each of their values about as often."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    weights, thresholds = [], []
    for number, layer in enumerate(of.layers):
        values = (-1, 1) if layer.weight_bits == 1 else (-1, 0, 1)
        weights.append(random.choice(np.array(values, np.int8), (layer.rows, layer.columns)))
        if layer.thresholds:
            marks = _marks(layer, last=number == len(of.layers) - 1)
            around = np.array(marks) + random.normal(0, 0.2, (layer.rows, 1))
            middle, spread = _reach(layer, of)
            thresholds.append(np.rint(middle + spread * around).astype(np.int64))
    _write(folder, of, weights, thresholds, [f"class {n}" for n in range(_RANDOM_CLASSES)])


def _marks(layer: Layer, *, last: bool) -> list[float]:
    """Return where thresholds lie, in standard deviations of the accumulator."""
    if last:
        return [1.28] * layer.thresholds  # one output in ten fires: classes are decided among few bits
    return [0.0] if layer.thresholds == 1 else [-0.43, 0.43]  # halves, or thirds


def _reach(layer: Layer, of: Network) -> tuple[float, float]:
    """Return the mean and standard deviation of a layer's accumulators with random weights (FORMAT.md 6)."""
    root = float(layer.columns**0.5)
    if layer.input_bits == 8 and of.channels == 3:
        return 0.0, 2 * 74 * root  # twice the sum of w * q; a uniform 8-bit q deviates by 74
    counting = all(other.thresholds <= 1 and other.weight_bits == 1 for other in of.layers)
    if counting:
        return layer.columns / 2, root / 2
    return 0.0, 0.75 * root  # activations -1, 0, +1 in thirds
