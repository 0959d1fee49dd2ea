"""The kernel: classify images with a binarised neural network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal

from accel_drivers.bnn import _networks, _params, _pictures
from accel_sdk import tables
from accel_sdk.errors import DataError
from accel_sdk.kernel import Kernel, Work

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from accel_drivers.bnn._images import Chunk, Images

_SEED = 20170222
_DECISIONS = ("multiple", "argmax")


@dataclass(frozen=True)
class Bnn(Kernel["Chunk", "pa.Table"]):
    """Classify images with a binarised neural network of BNN-PYNQ.

    Input, for the CNV networks:

    * uint8 arrays of shape (N, 32, 32, 3), or (32, 32, 3) for one image: red, green, blue, 0 to 255;
    * CIFAR-10 binary records of 3073 bytes (a label, then the red, green and blue planes): a file (``.bin``,
      ``.record``, ``.records``, or any other name that is no picture's), a gzipped file, bytes, an array of
      shape (N, 3073), a pipe or binary stream.

    For the LFC networks:

    * uint8 arrays of shape (N, 28, 28), or (28, 28) for one image: grey, bright ink on black;
    * idx3, as MNIST has it, also gzipped: a file, bytes, a pipe or binary stream. Labels come from the file
      beside it if it is named as MNIST names it (``...-labels-idx1-ubyte``).

    For both: a picture in any format that Pillow reads (extra ``images``), a folder of pictures, in the order
    of their names, and a list of any of these. For a CNV a picture is prepared as BNN-PYNQ does it: shrunk to
    fit 32 x 32 pixels and put in the middle of a white square. For an LFC it becomes grey, shrunk to fit
    28 x 28 pixels in the middle of black; see `invert`.

    Result: an Arrow table with a row for each image, in order. Columns: ``class_index`` (int32),
    ``class_name`` (string) and, with `detail` on a CNV, ``scores`` (fixed-size list of int32, one for each
    class). Its schema's metadata has ``accel.labelled`` and ``accel.correct``, numbers of images, where the
    input has labels, and ``accel.skipped`` where pictures were skipped.

    Parameters
    ----------
    network
        ``cnvW1A1``, ``cnvW1A2``, ``cnvW2A2``, ``lfcW1A1`` or ``lfcW1A2``.
    params
        The trained parameters: a folder with BNN-PYNQ's ``*.bin`` files and ``classes.txt``, or a
        ``.tar.xz``, ``.tar.gz``, ``.tar`` or ``.zip`` of one; the name of an installed set (a folder or
        archive of that name, or of that name, a dash and the network's, in a folder of
        ``$ACCEL_BNN_PARAMS_DIR`` or in ``~/.local/share/accel-sdk/bnn``); or ``"random"``: made from a fixed
        seed, for benchmarks and tests.
    detail
        Add the scores. The LFC networks have none, so it changes nothing for them.
    decision
        ``"multiple"``, the default, is what BNN-PYNQ's ``inference_multiple`` does. CNV: the highest score,
        the first of equals, but class 0 if no score is above 0. The networks with 2-bit activations can have
        that: 0 then means "none" as well as the first class. LFC: the highest output bit, or class 0 if none
        is set. ``"argmax"``, CNV only, is the highest score whatever its sign.
    invert
        Of pictures: dark on light becomes light on dark, which the LFC networks are trained on.
    skip_bad
        Where a picture cannot be read, make its row null and go on, with a warning; otherwise it is an error.

    Raises
    ------
    DataError
        If there is no such network or decision, or `params` can be none.
    """

    name: ClassVar[str] = "bnn"
    unit: ClassVar[str] = "image"
    formats: ClassVar[tuple[str, ...]] = tables.FORMATS
    many_inputs: ClassVar[bool] = True
    views: ClassVar[Mapping[str, str]] = {
        "sheet": "Draw the images with their classes into this picture (.png ...; extra 'viz')."
    }

    network: str = field(metadata={"help": f"one of {', '.join(_networks.NAMES)}"})
    params: str | Path = field(
        metadata={"help": "folder or archive of parameters, name of an installed set, or 'random'"}
    )
    detail: bool = field(default=False, metadata={"help": "add the scores of all classes (CNV)"})
    decision: Literal["multiple", "argmax"] = field(
        default="multiple", metadata={"help": "BNN-PYNQ's rule, or the highest score even if it is negative"}
    )
    invert: bool = field(default=False, metadata={"help": "pictures are dark on light (LFC)"})
    skip_bad: bool = field(default=False, metadata={"help": "pass over pictures that cannot be read"})

    _version: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        _networks.check_name(self.network)
        if not isinstance(self.params, (str, Path)):
            raise DataError(f"params must be a path or a name, not {type(self.params).__name__}")
        if self.decision not in _DECISIONS:
            raise DataError(f"decision must be {' or '.join(_DECISIONS)}, not {self.decision!r}")
        if self.decision == "argmax" and self.network.startswith("lfc"):
            raise DataError(f"{self.network} has no scores for decision 'argmax'", hint="leave it out")

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Images]:
        from accel_drivers.bnn import _images

        return _images.split(data, self._network(), shares)

    def plan(self, data: object, shares: Sequence[float]) -> Iterator[Work[Chunk, pa.Table]]:
        located = self._located()
        return (Work(located, chunk) for chunk in self.split(data, shares))

    def merge(self, parts: Iterable[pa.Table]) -> pa.Table:
        return tables.concat(parts)

    def write(self, parts: Iterable[pa.Table], file: BinaryIO, *, suffix: str = "") -> None:
        tables.write(parts, file, suffix)

    def amount(self, chunk: object) -> int:
        from accel_drivers.bnn import _images

        return chunk.count if isinstance(chunk, _images.Images) else self.total(chunk) or 0

    def total(self, data: object) -> int | None:
        from accel_drivers.bnn import _inputs

        return _inputs.count(data, self._network())

    def summary(self, result: pa.Table) -> dict[str, object]:
        from accel_drivers.bnn import _results

        found = _results.summary(result)
        facts: dict[str, object] = {"images": found.images}
        if found.accuracy is not None:
            facts |= {"accuracy": found.accuracy, "correct": found.correct, "labelled": found.labelled}
        if found.skipped:
            facts["skipped"] = list(found.skipped)
        return facts

    def lines(self, result: pa.Table) -> list[str]:
        from accel_drivers.bnn import _results

        found = _results.summary(result)
        lines = [f"images {found.images:,}"]
        if found.accuracy is not None:
            share = f"{100 * found.accuracy:.2f} %"
            lines.append(f"accuracy {share} ({found.correct:,} of {found.labelled:,})")
        return lines + [f"skipped: {text}" for text in found.skipped]

    def check_view(self, name: str, suffix: str) -> None:
        super().check_view(name, suffix)
        _pictures.check_installed()
        from accel_drivers.bnn import _sheet

        _sheet.picture_format(suffix)

    def view(self, name: str, data: object, result: pa.Table, file: BinaryIO, suffix: str) -> None:
        self.check_view(name, suffix)
        from accel_drivers.bnn import _sheet

        _sheet.write(self, data, result, file, suffix)

    @classmethod
    def example(cls) -> Bnn:
        return cls("cnvW1A1", _params.RANDOM)

    def sample(self, nbytes: int) -> NDArray[np.uint8]:
        import numpy as np

        network = self._network()
        shape = (max(1, nbytes // network.image_bytes), *network.shape)
        return np.random.default_rng(_SEED).integers(0, 256, shape, np.uint8)

    def _located(self) -> Bnn:
        """Return this kernel as workers are to have it.

        With an absolute path, as they may have another working directory; and with the version of the
        parameters that are there now, so that it does not equal the kernel of a run before they changed.
        """
        path, version = _params.checked(self.params, self._network())
        if not version:
            return self
        located = replace(self, params=path) if path else replace(self)
        object.__setattr__(located, "_version", version)
        return located

    def _network(self) -> _networks.Network:
        return _networks.network(self.network)
