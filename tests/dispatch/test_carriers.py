"""Chunks made of blobs: files go by reference where every worker can read them, else by value."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

import accel_sdk as accel
from accel_drivers.gzip import Gzip


@pytest.fixture(scope="module")
def spell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield the kernel, installed for the workers: they start with the module path of this process."""
    site = tmp_path_factory.mktemp("site")
    about = site / "accel_spell-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: accel-spell\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[accel_sdk.drivers]\nspell.reader = _spell_kernel:SpellDriver\n")
    folders = [str(site), str(Path(__file__).parent)]
    sys.path[:0] = folders
    try:
        yield import_module("_spell_kernel").Spell()
    finally:
        for folder in folders:
            sys.path.remove(folder)


@pytest.fixture(scope="module")
def cluster(spell: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield a cluster of two workers that live in another folder than this process."""
    environment = {"DEVICE": "reader:*,cpu:*", "DASK_DISTRIBUTED__WORKER__DAEMON": "True"}
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    try:
        made = LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", env=environment
        )
    finally:
        os.chdir(before)
    with made:
        yield made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder of the test's own; return a path of it that means another folder in another process."""
    monkeypatch.chdir(tmp_path)
    return Path("/proc/self/cwd")


_LARGE = bytes(range(256)) * 1000  # more than travels inside a task


def test_each_file_travels_as_it_must(cluster: Any, spell: Any, here: Path, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(_LARGE)
    pages = [[tmp_path / "small", here / "small"], [here / "large", tmp_path / "large"], [], [here / "large"]]
    with accel.Runner(scheduler=cluster.scheduler_address) as runner:
        said = runner.run(spell, pages)
        report = runner.report
    assert [(number, how, content) for number, _, how, content in said] == [
        (0, "FileBlob", b"small"),
        (0, "MemoryBlob", b"small"),
        (1, "MemoryBlob", _LARGE),
        (1, "FileBlob", _LARGE),
        (3, "MemoryBlob", _LARGE),
    ]
    assert os.getpid() not in {process for _, process, _, _ in said}
    assert report.total.chunks == len(pages)
    assert report.total.amount == 2 * 5 + 3 * len(_LARGE), "all blobs count, however they travel"


def test_workers_are_asked_once_about_many_files(
    cluster: Any, spell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    paths = [tmp_path / f"{number}" for number in range(50)]
    for path in paths:
        path.write_bytes(path.name.encode())

    ask = Client.run

    def counting(self: Any, function: Any, *arguments: Any, **options: Any) -> Any:
        if function.__name__ == "can_read":
            asked.append(len(arguments[0]))
        return ask(self, function, *arguments, **options)

    monkeypatch.setattr(Client, "run", counting)
    with accel.Runner(scheduler=cluster.scheduler_address) as runner:
        said = runner.run(spell, [paths[:30], paths[10:], paths])
    assert [content for *_, content in said] == [p.name.encode() for p in paths[:30] + paths[10:] + paths]
    assert {how for _, _, how, _ in said} == {"FileBlob"}
    assert asked == [30, 20]


def test_a_single_file_by_value(cluster: Any, here: Path, tmp_path: Path) -> None:
    """As it always was for chunks that are one blob."""
    (tmp_path / "in").write_bytes(_LARGE * 10)
    with accel.Runner(scheduler=cluster.scheduler_address) as runner:
        assert gzip.decompress(runner.run(Gzip(), here / "in")) == _LARGE * 10


def test_in_one_process_nothing_is_changed(
    spell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accel_sdk.registry import Registry

    driver = import_module("_spell_kernel").SpellDriver()
    monkeypatch.setattr("accel_sdk.registry._default", Registry([driver]))
    (tmp_path / "a").write_bytes(b"a text")
    with accel.Runner() as runner:
        assert runner.run(spell, [[tmp_path / "a"]]) == [(0, os.getpid(), "FileBlob", b"a text")]
