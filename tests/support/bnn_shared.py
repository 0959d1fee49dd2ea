"""The published parameters, pictures and vectors of BNN-PYNQ, where they lie beside the project."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bnn_reference import from_records, is_cnv

SHARED = Path(__file__).parents[3] / "shared" / "bnn-pynq"
SETS = (
    "chars_merged-lfcW1A1",
    "cifar10-cnvW1A1",
    "cifar10-cnvW1A2",
    "cifar10-cnvW2A2",
    "mnist-lfcW1A1",
    "mnist-lfcW1A2",
    "road-signs-cnvW1A1",
    "streetview-cnvW1A1",
)


@dataclass(frozen=True)
class Published:
    """One parameter set and what the original libraries said with it.

    Attributes
    ----------
    network
        Its name.
    folder
        Of the unpacked parameters.
    inputs
        CNV: records, shape (N, 3073). LFC: pictures, shape (N, 28, 28).
    images
        The same as pixels, shape (N, 32, 32, 3) or (N, 28, 28).
    number_class
        Lines of ``classes.txt``.
    classes, single_classes
        Of ``inference_multiple``, and of ``inference`` (LFC alone).
    scores
        CNV: shape (N, number_class).
    raw_words
        LFC: shape (N,).
    """

    network: str
    folder: Path
    inputs: NDArray[np.uint8]
    images: NDArray[np.uint8]
    number_class: int
    classes: NDArray[np.int32]
    single_classes: NDArray[np.int32] | None
    scores: NDArray[np.int32] | None
    raw_words: NDArray[np.uint64] | None


def shared(*parts: str) -> Path:
    """Return a path among the published files; skip the test if they are not there."""
    if not SHARED.is_dir():
        pytest.skip("the published BNN-PYNQ files (../shared/bnn-pynq) are not here")
    return SHARED.joinpath(*parts)


def unpack(name: str, folder: Path) -> Path:
    """Unpack a parameter set under `folder`, once; return the folder of its files."""
    target = folder / name
    if not target.exists():
        target.mkdir(parents=True)
        with tarfile.open(shared("params", f"{name}.tar.xz")) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    (target / Path(member.name).name).write_bytes(content.read())
    return target


def published(name: str, folder: Path) -> Published:
    """Return a parameter set, unpacked under `folder`, with its vectors."""
    parameters = unpack(name, folder)
    network = name.rpartition("-")[2]
    with np.load(shared("vectors", f"{name}.npz")) as found:
        vectors = dict(found)
    inputs = vectors["inputs"]
    return Published(
        network=network,
        folder=parameters,
        inputs=inputs,
        images=from_records(inputs) if is_cnv(network) else inputs,
        number_class=len((parameters / "classes.txt").read_text().splitlines()),
        classes=vectors["classes"],
        single_classes=vectors.get("single_classes"),
        scores=vectors.get("scores"),
        raw_words=vectors.get("raw_words"),
    )
