"""The same runner on a Dask cluster of worker processes."""

from __future__ import annotations

import gzip
import io
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

import accel_sdk as accel
from accel_drivers.gzip import Gunzip, Gzip

_DATA = random.Random(5).randbytes(9 << 20) + b"text " * (1 << 20)


def _cluster(devices: str) -> LocalCluster:
    return LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        env={"DEVICE": devices, "DASK_DISTRIBUTED__WORKER__DAEMON": "True"},
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with _cluster("sim:*") as made:
        yield made


def test_each_worker_owns_one_device(cluster: Any) -> None:
    with accel.Runner(scheduler=cluster.scheduler_address) as runner:
        assert gzip.decompress(runner.run(Gzip(), _DATA)) == _DATA
        rows = runner.report.devices
    assert sorted(row.device for row in rows) == ["sim:0", "sim:1"]
    assert len({row.worker for row in rows}) == 2
    assert {row.kind for row in rows} == {accel.Kind.SIMULATED}
    assert all(row.stats.device_s for row in rows if row.stats.chunks)


def test_file_to_file_by_reference_and_by_value(cluster: Any, tmp_path: Path) -> None:
    source, packed, unpacked = tmp_path / "in", tmp_path / "in.gz", tmp_path / "out"
    source.write_bytes(_DATA)
    with accel.Runner(scheduler=cluster.scheduler_address) as runner:
        runner.run(Gzip(), source, out=packed)
        assert gzip.decompress(packed.read_bytes()) == _DATA
        runner.run(Gunzip(), packed, out=unpacked)
        assert unpacked.read_bytes() == _DATA
        runner.run(Gzip(), io.BytesIO(_DATA), out=packed)
        assert gzip.decompress(packed.read_bytes()) == _DATA


def test_an_existing_client_stays_open(cluster: Any) -> None:
    with Client(cluster, set_as_default=False) as client:
        with accel.Runner("sim:1", scheduler=client) as runner:
            assert gzip.decompress(runner.run(Gzip(), b"x" * 5000)) == b"x" * 5000
            assert [row.device for row in runner.report.devices] == ["sim:1"]
        assert client.submit(sum, [1, 2]).result() == 3


def test_bad_input_travels_back_as_itself(cluster: Any) -> None:
    with accel.Runner(scheduler=cluster.scheduler_address) as runner:
        with pytest.raises(accel.CorruptStreamError, match="byte 0") as caught:
            runner.run(Gunzip(), b"not gzip")
        assert caught.value.offset_bytes == 0


def test_devices_that_no_worker_has(cluster: Any) -> None:
    runner = accel.Runner("board:*", scheduler=cluster.scheduler_address)
    with pytest.raises(accel.DeviceNotFoundError, match=r"board:\*.*sim:0, sim:1"):
        runner.run(Gzip(), b"x")


def test_a_killed_worker_costs_its_device_not_the_run(cluster: Any) -> None:
    killed: list[int] = []
    with Client(cluster, set_as_default=False) as client:
        processes = client.run(os.getpid)

        def kill_one(_: int) -> None:
            if not killed:
                killed.append(next(iter(processes.values())))
                os.kill(killed[0], signal.SIGKILL)

        options = accel.RunnerOptions(progress=kill_one)
        with accel.Runner(scheduler=client, options=options) as runner:
            assert gzip.decompress(runner.run(Gzip(), _DATA * 3)) == _DATA * 3
            aside = [row.set_aside for row in runner.report.devices if row.set_aside]
    assert len(aside) == 1
    assert "worker" in aside[0]


def test_a_scheduler_whose_workers_see_no_device() -> None:
    with _cluster("nothing:0") as empty:
        runner = accel.Runner(scheduler=empty.scheduler_address)
        with pytest.raises(accel.DeviceNotFoundError, match=r"no worker of tcp://.*nothing:0"):
            runner.run(Gzip(), b"x")


def test_a_scheduler_without_workers() -> None:
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        runner = accel.Runner(scheduler=empty.scheduler_address)
        with pytest.raises(accel.ClusterError, match="has no workers"):
            runner.run(Gzip(), b"x")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "no-such-scheme://x", "127.0.0.1:1"])
def test_a_scheduler_nobody_runs(address: str) -> None:
    options = accel.RunnerOptions(connect_timeout_s=0.5)
    runner = accel.Runner(scheduler=address, options=options)
    with pytest.raises(accel.ClusterError, match="cannot reach a scheduler"):
        runner.run(Gzip(), b"x")
