"""The kernel as a value: its parameters, what it says about results, how those merge and are written."""

from __future__ import annotations

import io
import pickle
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import accel_drivers.bnn
from accel_drivers.bnn import Bnn, NativeDriver, _results, network, networks
from accel_drivers.bnn._networks import NAMES
from accel_drivers.bnn._params import open_params
from accel_sdk import DataError
from accel_sdk.registry import Registry
from bnn_reference import classes

Scores = NDArray[np.int32]


def _run(kernel: Bnn, data: object) -> pa.Table:
    with Registry([NativeDriver()]).open(kernel, "cpu:0") as accelerator:
        table: pa.Table = accelerator.run(data)
        return table


def test_the_public_face() -> None:
    assert sorted(accel_drivers.bnn.__all__) == accel_drivers.bnn.__all__
    assert all(hasattr(accel_drivers.bnn, name) for name in accel_drivers.bnn.__all__)


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "cnv", "cnvw1a1", "CNVW1A1", "lfcW2A2", None])
def test_unknown_networks(name: Any) -> None:
    with pytest.raises(DataError, match=r"the networks are cnvW1A1, cnvW1A2, cnvW2A2, lfcW1A1, lfcW1A2$"):
        Bnn(name, "random")


@pytest.mark.parametrize("params", [None, 5, b"folder"])
def test_parameters_that_can_be_none(params: Any) -> None:
    with pytest.raises(DataError, match="params must be a path or a name, not"):
        Bnn("cnvW1A1", params)


def test_unknown_decisions() -> None:
    with pytest.raises(DataError, match="decision must be multiple or argmax, not 'single'"):
        Bnn("cnvW1A1", "random", decision="single")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="lfcW1A2 has no scores for decision 'argmax'"):
        Bnn("lfcW1A2", "random", decision="argmax")


def test_the_names_are_those_of_the_native_table() -> None:
    from accel_drivers.bnn import _abi

    assert tuple(found.name for found in _abi.networks()) == NAMES
    assert networks() == _abi.networks()
    assert network("lfcW1A1") is network("lfcW1A1")


def test_published_rate_of_the_hardware() -> None:
    """32,768 cycles at 100 MHz: 3,052 images/s, against 2,945 to 3,021 published of one U50."""
    assert network("cnvW1A1").cycles == 32_768
    assert round(100e6 / network("cnvW1A1").cycles) == 3052


def test_a_kernel_is_a_small_value() -> None:
    kernel = Bnn("cnvW1A1", Path("somewhere"), detail=True)
    assert pickle.loads(pickle.dumps(kernel)) == kernel
    assert Bnn("cnvW1A1", "random") == Bnn.example()


def test_workers_elsewhere_get_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_params("random", network("cnvW1A1")) as made:
        shutil.copytree(made.folder, tmp_path / "set")
    image = np.zeros((32, 32, 3), np.uint8)
    for params in ("set", Path("set")):
        kernel = Bnn("cnvW1A1", params)
        (work,) = kernel.plan(image, [1.0])
        assert isinstance(work.kernel, Bnn)
        assert work.kernel.params == tmp_path / "set"
        assert replace(work.kernel, params=params) == kernel  # but for the version of the parameters
    for params in ("random", "an-installed-set"):
        kernel = Bnn("cnvW1A1", params)
        (work,) = kernel.plan(image, [1.0])
        assert work.kernel is kernel


def test_wrong_parameters_are_found_before_any_device_is_opened(tmp_path: Path) -> None:
    with open_params("random", network("cnvW1A2")) as made:
        shutil.copytree(made.folder, tmp_path / "set")
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(DataError, match=r"cnvW1A1 needs 32; the files fit network cnvW1A2$"):
        Bnn("cnvW1A1", tmp_path / "set").plan(image, [1.0])
    (tmp_path / "set" / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"classes\.txt is missing"):
        Bnn("cnvW1A2", tmp_path / "set").plan(image, [1.0])


def test_amounts() -> None:
    kernel = Bnn("cnvW1A1", "random")
    images = np.zeros((70, 32, 32, 3), np.uint8)
    assert kernel.total(images) == 70
    assert kernel.amount(images) == 70
    assert sum(kernel.amount(chunk) for chunk in kernel.split(images, [1.0])) == 70
    assert kernel.amount(io.BytesIO()) == 0, "nobody can tell without using it up"


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_input(name: str) -> None:
    kernel = Bnn(name, "random")
    images = kernel.sample(1_000_000)
    assert images.dtype == np.uint8
    assert images.shape[1:] == network(name).shape
    assert 0.99e6 < images.nbytes <= 1e6
    assert np.array_equal(images, kernel.sample(1_000_000))
    assert len(kernel.sample(0)) == 1
    found = _run(kernel, images[:300])
    counts = np.bincount(found["class_index"].to_numpy(), minlength=10)
    assert np.count_nonzero(counts) >= 4, "the random network tells images apart"
    assert counts.max() < 250


# --- decisions ------------------------------------------------------------------------------------

_SCORES = st.integers(1, 12).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(-3, 3), min_size=width, max_size=width), min_size=1, max_size=8
    )
)


@given(_SCORES)
def test_decisions_from_scores(rows: list[list[int]]) -> None:
    scores = np.array(rows, np.int32)
    width = scores.shape[1]
    np.testing.assert_array_equal(_results.decide(scores, needs_positive=True), classes(scores, width))
    highest = [row.index(max(row)) for row in rows]
    np.testing.assert_array_equal(_results.decide(scores, needs_positive=False), highest)


def test_no_scores_no_classes() -> None:
    nothing = np.empty((0, 5), np.int32)
    for needs_positive in (True, False):
        assert _results.decide(nothing, needs_positive=needs_positive).shape == (0,)


# --- tables ---------------------------------------------------------------------------------------


def _ints(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def test_a_table() -> None:
    scores = np.arange(6, dtype=np.int32).reshape(2, 3)
    table = _results.table(_ints(2, 0), ["a", "", "c"], scores=scores)
    assert table.schema.names == ["class_index", "class_name", "scores"]
    assert table.schema.types == [pa.int32(), pa.string(), pa.list_(pa.int32(), 3)]
    assert table.to_pydict() == {
        "class_index": [2, 0],
        "class_name": ["c", "a"],
        "scores": [[0, 1, 2], [3, 4, 5]],
    }
    assert table.schema.metadata is None


def test_skipped_rows_are_null() -> None:
    scores = np.arange(4, dtype=np.int32).reshape(2, 2)
    table = _results.table(_ints(1, 0), ["a", "b"], scores=scores, skipped={3: "y: bad", 1: "x: bad"})
    assert table.to_pydict() == {
        "class_index": [1, None, 0, None],
        "class_name": ["b", None, "a", None],
        "scores": [[0, 1], None, [2, 3], None],
    }
    assert table.schema.metadata == {b"accel.skipped": b'["x: bad", "y: bad"]'}
    only = _results.table(_ints(), ["a"], skipped={0: "z"})
    assert only.to_pydict() == {"class_index": [None], "class_name": [None]}


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 255), st.booleans()), max_size=20),
    st.lists(st.integers(0, 20), max_size=4),
    st.booleans(),
)
def test_tables_of_parts_are_the_table_of_all(
    rows: list[tuple[int, int, bool]], cuts: list[int], detail: bool
) -> None:
    names = ["zero", "one", "two", "three", "four"]

    def table(start: int, stop: int) -> pa.Table:
        part = rows[start:stop]
        good = [(index, label) for index, label, bad in part if not bad]
        return _results.table(
            _ints(*(index for index, _ in good)),
            names,
            scores=np.array([[index] * 5 for index, _ in good], np.int32).reshape(-1, 5) if detail else None,
            labels=np.array([label for _, label in good], np.uint8),
            skipped={place: f"{start + place}" for place, row in enumerate(part) if row[2]},
        )

    edges = sorted({0, len(rows), *(cut for cut in cuts if cut <= len(rows))})
    pairs = list(pairwise(edges)) or [(0, 0)]
    kernel = Bnn("cnvW1A1", "random")
    merged = kernel.merge(table(start, stop) for start, stop in pairs)
    assert merged.equals(table(0, len(rows)), check_metadata=True)
    assert merged["class_index"].to_pylist() == [None if bad else index for index, _, bad in rows]
    good = [(index, label) for index, label, bad in rows if not bad]
    labelled = sum(label < 5 for _, label in good)
    correct = sum(index == label for index, label in good)
    facts = kernel.summary(merged)
    assert facts["images"] == len(good)
    assert facts.get("skipped", []) == [str(number) for number, row in enumerate(rows) if row[2]]
    if good and labelled == len(good):
        assert facts["accuracy"] == correct / labelled
        assert (facts["correct"], facts["labelled"]) == (correct, labelled)
    else:
        assert "accuracy" not in facts


def test_what_people_read() -> None:
    kernel = Bnn("cnvW1A1", "random")
    labels = np.ones(10_000, np.uint8)
    found = np.where(np.arange(10_000) < 7830, 1, 0).astype(np.int32)
    table = _results.table(found, ["a", "b"], labels=labels)
    assert kernel.lines(table) == ["images 10,000", "accuracy 78.30 % (7,830 of 10,000)"]
    assert kernel.summary(table) == {
        "images": 10_000,
        "accuracy": 0.783,
        "correct": 7830,
        "labelled": 10_000,
    }
    table = _results.table(_ints(1), ["a", "b"], skipped={0: "cannot read picture x.png: bad"})
    assert kernel.lines(table) == ["images 1", "skipped: cannot read picture x.png: bad"]
    assert kernel.lines(_results.table(_ints(), ["a"])) == ["images 0"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_files(suffix: str, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    kernel = Bnn("cnvW1A1", "random", detail=True)
    scores = np.array([[1, 2], [4, 3]], np.int32)
    parts = [
        _results.table(_ints(1, 0), ["a", "b,c"], scores=scores),
        _results.table(_ints(), ["a", "b,c"], scores=scores[:0]),
    ]
    with (tmp_path / f"out{suffix}").open("wb") as file:
        kernel.write(parts, file, suffix=suffix)
    names = ["b,c", "a"]
    if suffix == ".csv":
        found = pyarrow.csv.read_csv(tmp_path / "out.csv").to_pydict()
        assert found == {"class_index": [1, 0], "class_name": names, "scores_0": [1, 4], "scores_1": [2, 3]}
        return
    if suffix == ".parquet":
        table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    else:
        table = pa.ipc.open_file(tmp_path / "out.arrow").read_all()
    assert table.to_pydict() == {"class_index": [1, 0], "class_name": names, "scores": [[1, 2], [4, 3]]}


def test_detail_changes_nothing_for_an_lfc() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    plain = _run(Bnn("lfcW1A2", "random"), images)
    assert plain.schema.names == ["class_index", "class_name"]
    assert _run(Bnn("lfcW1A2", "random", detail=True), images).equals(plain)


def test_no_score_above_zero(tmp_path: Path) -> None:
    """The case in which the two decisions differ: no score is above 0."""
    images = np.random.default_rng(1).integers(0, 256, (100, 32, 32, 3), np.uint8)
    with open_params("random", network("cnvW2A2")) as made:
        shutil.copytree(made.folder, tmp_path / "set")
    (tmp_path / "set" / "classes.txt").write_text("a\nb\n")
    kernel = Bnn("cnvW2A2", tmp_path / "set", detail=True)
    multiple, argmax = (_run(replace(kernel, decision=rule), images) for rule in ("multiple", "argmax"))
    scores = np.array(multiple["scores"].to_pylist())
    assert argmax["scores"].equals(multiple["scores"])
    none = scores.max(axis=1) <= 0
    assert 5 < np.count_nonzero(none & (scores[:, 1] > scores[:, 0])) < 95
    np.testing.assert_array_equal(argmax["class_index"].to_numpy(), scores.argmax(axis=1))
    np.testing.assert_array_equal(
        multiple["class_index"].to_numpy(), np.where(none, 0, scores.argmax(axis=1))
    )
