"""Results: Arrow tables of classes, and what they say about accuracy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LABELLED = b"accel.labelled"
"""Schema metadata: how many images have a label that is a class of the network."""
CORRECT = b"accel.correct"
"""Schema metadata: how many of those were classified as labelled."""
SKIPPED = b"accel.skipped"
"""Schema metadata: a JSON list of what pictures were skipped and why."""


def table(
    classes: NDArray[np.int32],
    class_names: Sequence[str],
    *,
    scores: NDArray[np.int32] | None = None,
    labels: NDArray[np.uint8] | None = None,
    skipped: dict[int, str] | None = None,
) -> pa.Table:
    """Return the result of a chunk.

    Parameters
    ----------
    classes
        Shape ``(n,)``, below ``len(class_names)``.
    scores
        Shape ``(n, len(class_names))``; without, the table has no such column.
    labels
        Shape ``(n,)``. Those that are no class count as none.
    skipped
        What is said about rows that have no image, by the row's place in the result; they become null.
        `classes`, `scores` and `labels` do not have these rows.
    """
    metadata = _counters(classes, labels, len(class_names))
    if skipped:
        metadata[SKIPPED] = json.dumps([skipped[row] for row in sorted(skipped)]).encode()
    rows = _rows(len(classes), skipped or {})
    names = pa.array(class_names, pa.string()).take(pa.array(classes))
    columns = {"class_index": pa.array(classes), "class_name": names}
    if scores is not None:
        width = len(class_names)
        columns["scores"] = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), width)
    if rows is not None:
        columns = {name: column.take(rows) for name, column in columns.items()}
    return pa.table(columns).replace_schema_metadata(metadata or None)


def _counters(
    classes: NDArray[np.int32], labels: NDArray[np.uint8] | None, number_class: int
) -> dict[bytes, bytes]:
    if labels is None:
        return {}
    labelled = int(np.count_nonzero(labels < number_class))
    correct = int(np.count_nonzero(labels == classes))  # no label above the classes equals one
    return {LABELLED: str(labelled).encode(), CORRECT: str(correct).encode()}


def _rows(count: int, skipped: dict[int, str]) -> pa.Array | None:
    """Return which image each row of the result shows, null for skipped ones; ``None`` if none is skipped."""
    if not skipped:
        return None
    there = np.ones(count + len(skipped), bool)
    there[list(skipped)] = False
    return pa.array(np.cumsum(there) - 1, mask=~there)


def decide(scores: NDArray[np.int32], *, needs_positive: bool) -> NDArray[np.int32]:
    """Return the class of each row of scores: the first of the highest.

    Parameters
    ----------
    scores
        Shape ``(n, number_class)``.
    needs_positive
        As BNN-PYNQ's ``inference_multiple``: class 0 where no score is above 0.
    """
    best: NDArray[np.int32] = scores.argmax(axis=1).astype(np.int32)
    if needs_positive:
        best[scores.max(axis=1) <= 0] = 0
    return best


@dataclass(frozen=True)
class Summary:
    """What a whole result says.

    Parameters
    ----------
    images
        Classified.
    labelled, correct
        Of those: with a label, and classified as labelled.
    skipped
        What was said about the pictures that could not be read.
    """

    images: int
    labelled: int
    correct: int
    skipped: tuple[str, ...]

    @property
    def accuracy(self) -> float | None:
        """Share of images classified as labelled, if all of them have a label."""
        return self.correct / self.images if self.images and self.labelled == self.images else None


def summary(result: pa.Table) -> Summary:
    """Return what a result says."""
    metadata = result.schema.metadata or {}
    skipped = tuple(cast("list[str]", json.loads(metadata.get(SKIPPED, b"[]"))))
    return Summary(
        result.num_rows - len(skipped),
        int(metadata.get(LABELLED, b"0")),
        int(metadata.get(CORRECT, b"0")),
        skipped,
    )
