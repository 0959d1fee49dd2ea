"""The runner: order, balance, bounds, retries, and what it says when it cannot go on."""

from __future__ import annotations

import io
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import accel_sdk as accel

_NUMBERS = list(range(200))
_SQUARES = [n * n for n in _NUMBERS]
Fault = Callable[[str], accel.KernelFaultError]


def _rows(runner: accel.Runner) -> dict[str, accel.DeviceReport]:
    return {row.device: row for row in runner.report.devices}


def test_results_come_in_order_whatever_the_devices_take(toy: Any, square: Any) -> None:
    pause, chance = threading.Event(), random.Random(3)
    toy.run = lambda device, chunk: pause.wait(chance.random() / 100)
    with accel.Runner() as runner:
        assert runner.run(square(), _NUMBERS) == _SQUARES
        assert runner.report.total.amount == len(_NUMBERS)
        assert runner.report.total.chunks == 20


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 101])
def test_nothing_is_dropped_when_sizes_do_not_divide(toy: Any, square: Any, count: int) -> None:
    with accel.Runner() as runner:
        assert runner.run(square(), range(count)) == [n * n for n in range(count)]


def test_a_faster_device_takes_more(toy: Any, square: Any) -> None:
    pause = threading.Event()
    toy.run = lambda device, chunk: pause.wait(0.05 if device == "toy:0" else 0.002)
    with accel.Runner("toy:*") as runner:
        assert runner.run(square(), _NUMBERS) == _SQUARES
        rows = _rows(runner)
    assert rows["toy:0"].stats.chunks >= 1
    assert rows["toy:1"].stats.chunks > 2 * rows["toy:0"].stats.chunks


def test_input_is_taken_only_as_fast_as_results_are_merged(toy: Any, square: Any) -> None:
    taken = itertools.count()
    most = 0

    def numbers() -> Iterator[int]:
        for number in range(1000):
            next(taken)
            yield number

    class Watching(square):  # type: ignore[misc]
        def merge(self, parts: Any) -> list[int]:
            nonlocal most
            merged: list[int] = []
            for part in parts:
                merged += part
                ahead = int(repr(taken)[6:-1]) - len(merged)
                most = max(most, ahead)
            return merged

    with accel.Runner(options=accel.RunnerOptions(window=5)) as runner:
        assert runner.run(Watching(), numbers()) == [n * n for n in range(1000)]
    assert most <= 5 * 10


def test_accelerators_stay_open_between_runs_and_close_with_the_runner(toy: Any, square: Any) -> None:
    with accel.Runner("toy:*") as runner:
        for _ in range(3):
            assert runner.run(square(), _NUMBERS) == _SQUARES
        runner.run(square(size=7), _NUMBERS)
        assert sorted(toy.opened) == [("square", "toy:0")] * 2 + [("square", "toy:1")] * 2
        assert toy.closed == []
    assert sorted(toy.closed) == sorted(toy.opened)


def test_a_plan_may_hold_several_kernels(toy: Any, both: Any) -> None:
    expected = [n**3 if n // 10 % 2 else n**2 for n in _NUMBERS]
    with accel.Runner("toy:*,plain:*") as runner:
        assert runner.run(both(), _NUMBERS) == expected
    with accel.Runner("toy:0") as runner:
        assert runner.run(both(), _NUMBERS) == expected


def test_a_failed_chunk_goes_to_another_device(toy: Any, square: Any, fault: Fault) -> None:
    runs: list[tuple[str, int]] = []

    def fail_first(device: str, chunk: list[int]) -> None:
        with toy.lock:
            runs.append((device, chunk[0]))
            first = [start for _, start in runs].count(chunk[0]) == 1
        if first and chunk[0] % 50 == 0:
            raise fault(device)

    toy.run = fail_first
    with accel.Runner("toy:*") as runner:
        assert runner.run(square(), _NUMBERS) == _SQUARES
        assert runner.report.retries == 4
    for start in (0, 50, 100, 150):
        tried = [device for device, first in runs if first == start]
        assert len(tried) == 2
        assert tried[0] != tried[1], "on another device"


def test_a_device_that_fails_three_times_in_a_row_is_set_aside(toy: Any, square: Any, fault: Fault) -> None:
    def fail(device: str, chunk: list[int]) -> None:
        if device == "toy:0":
            raise fault(device)

    toy.run = fail
    with accel.Runner("toy:*") as runner:
        assert runner.run(square(), _NUMBERS) == _SQUARES
        row = _rows(runner)["toy:0"]
    assert row.stats.failures == 3
    assert "3 failures in a row" in row.set_aside
    assert "no luck" in row.set_aside
    assert "toy:0 was set aside" in str(runner.report)


def test_a_device_that_cannot_be_opened_is_set_aside_at_once(toy: Any, square: Any) -> None:
    def refuse(device: str) -> None:
        if device == "toy:1":
            raise accel.BitstreamError("made for another board")

    toy.open = refuse
    with accel.Runner("toy:*", options=accel.RunnerOptions(retries=0)) as runner:
        assert runner.run(square(), _NUMBERS) == _SQUARES
        assert "made for another board" in _rows(runner)["toy:1"].set_aside


def test_retries_end(toy: Any, square: Any, fault: Fault) -> None:
    def fail(device: str, chunk: list[int]) -> None:
        if chunk[0] == 50:
            raise fault(device)

    toy.run = fail
    with accel.Runner("toy:*", options=accel.RunnerOptions(failures_to_set_aside=99)) as runner:
        with pytest.raises(accel.KernelFaultError, match="chunk 5 failed on toy:"):
            runner.run(square(), _NUMBERS)
        toy.run = lambda device, chunk: None
        assert runner.run(square(), _NUMBERS) == _SQUARES, "the runner is still good"


def test_the_only_device_keeps_its_own_error(toy: Any, square: Any) -> None:
    def refuse(device: str) -> None:
        raise accel.BitstreamError("made for another board")

    toy.open = refuse
    with accel.Runner("toy:0") as runner, pytest.raises(accel.BitstreamError, match="another board"):
        runner.run(square(), _NUMBERS)


def test_bad_input_is_not_retried_and_blames_no_device(toy: Any, square: Any) -> None:
    with accel.Runner("toy:*") as runner:
        with pytest.raises(accel.DataError, match="negative"):
            runner.run(square(), [1, 2, -3])
        assert runner.report.retries == 0
        assert not any(row.set_aside for row in runner.report.devices)


def test_any_exception_of_a_driver_becomes_one_of_ours(toy: Any, square: Any) -> None:
    def fail(device: str, chunk: list[int]) -> None:
        raise RuntimeError("a driver's own mistake")

    toy.run = fail
    expected = pytest.raises(accel.KernelFaultError, match="RuntimeError: a driver's own mistake")
    with accel.Runner("toy:0") as runner, expected:
        runner.run(square(), _NUMBERS)


def test_a_call_that_never_returns_costs_its_device_not_the_run(toy: Any, square: Any) -> None:
    ended = threading.Event()

    def hang(device: str, chunk: list[int]) -> None:
        if device == "toy:1" and chunk[0] >= 50:
            ended.wait()

    toy.run = hang
    try:
        with accel.Runner("toy:*", options=accel.RunnerOptions(chunk_timeout_s=0.2)) as runner:
            assert runner.run(square(), _NUMBERS) == _SQUARES
            assert "within 0.2 s" in _rows(runner)["toy:1"].set_aside
            assert _rows(runner)["toy:1"].stats.failures == 1
    finally:
        ended.set()


def test_progress_adds_up(toy: Any, square: Any) -> None:
    seen: list[int] = []
    with accel.Runner(options=accel.RunnerOptions(progress=seen.append)) as runner:
        runner.run(square(), range(95))
    assert sum(seen) == 95
    assert len(seen) == 10


def test_a_failing_merge_calls_everything_off(toy: Any, square: Any) -> None:
    class Broken(square):  # type: ignore[misc]
        def merge(self, parts: Any) -> list[int]:
            next(iter(parts))
            raise ZeroDivisionError

    with accel.Runner() as runner:
        with pytest.raises(ZeroDivisionError):
            runner.run(Broken(), _NUMBERS)
        assert runner.run(square(), _NUMBERS) == _SQUARES


def test_a_failing_input_calls_everything_off(toy: Any, square: Any) -> None:
    def numbers() -> Iterator[int]:
        yield from range(55)
        raise OSError("the disk is gone")

    with accel.Runner() as runner, pytest.raises(OSError, match="the disk is gone"):
        runner.run(square(), numbers())


def test_closed_by_another_thread_it_stops(toy: Any, square: Any) -> None:
    runner, at_work, held = accel.Runner(), threading.Event(), threading.Event()

    def hold(device: object, chunk: object) -> None:
        at_work.set()
        held.wait(20)

    def close() -> None:
        at_work.wait(20)
        runner.close()

    toy.run = hold
    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(accel.ClosedError):
        runner.run(square(), _NUMBERS)
    held.set()
    closer.join()


def test_use_after_close(toy: Any, square: Any) -> None:
    runner = accel.Runner()
    runner.close()
    runner.close()
    with pytest.raises(accel.ClosedError):
        runner.run(square(), _NUMBERS)


def test_a_kernel_without_a_file_format_says_so(toy: Any, square: Any, tmp_path: Path) -> None:
    with accel.Runner() as runner, pytest.raises(accel.UnsupportedError, match="no file format"):
        runner.run(square(), _NUMBERS, out=tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    with accel.Runner() as runner, pytest.raises(accel.UnsupportedError):
        runner.run(square(), _NUMBERS, out=io.BytesIO())


def test_a_suffix_that_the_kernel_does_not_write_is_found_before_anything_runs(
    toy: Any, square: Any, tmp_path: Path
) -> None:
    class Formatted(square):  # type: ignore[misc]
        formats = (".txt",)

        def write(self, parts: Any, file: Any, *, suffix: str = "") -> None:
            file.write(f"{suffix} {self.merge(parts)}".encode())

    with accel.Runner() as runner:
        with pytest.raises(accel.DataError, match=r"square writes no '\.csv' files; .* ends in \.txt"):
            runner.run(Formatted(), range(3), out=tmp_path / "out.csv")
        assert not toy.opened
        assert not list(tmp_path.iterdir())
        runner.run(Formatted(), range(3), out=tmp_path / "OUT.TXT")
        assert (tmp_path / "OUT.TXT").read_text() == ".txt [0, 1, 4]"
        file = io.BytesIO()
        runner.run(Formatted(), range(3), out=file)
        assert file.getvalue() == b" [0, 1, 4]"
        assert runner.run(Formatted(), range(3)) == [0, 1, 4]


def test_wrong_device_names_are_found_before_anything_starts(toy: Any) -> None:
    with pytest.raises(accel.DeviceNotFoundError, match=r"toy:7.*toy:0, toy:1, plain:0"):
        accel.Runner("toy:7")
    with pytest.raises(accel.DeviceNotFoundError):
        accel.Runner("")
    with pytest.raises(accel.DeviceNotFoundError):
        accel.Runner([])


def test_a_named_device_that_cannot_run_the_kernel(toy: Any, cube: Any) -> None:
    expected = pytest.raises(accel.DeviceNotFoundError, match=r"plain:0 cannot run cube.*toy:0, toy:1")
    with accel.Runner("plain:0") as runner, expected:
        runner.run(cube(), _NUMBERS)


@pytest.mark.parametrize(
    "wrong", [{"retries": -1}, {"failures_to_set_aside": 0}, {"chunk_timeout_s": 0.0}, {"window": 0}]
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(accel.DataError, match=next(iter(wrong))):
        accel.RunnerOptions(**wrong)


def test_the_report_is_complete(toy: Any, square: Any) -> None:
    with accel.Runner("toy:*") as runner:
        runner.run(square(), _NUMBERS)
        report = runner.report
    text, plain = str(report), report.to_dict()
    assert {row["device"] for row in plain["devices"]} == {"toy:0", "toy:1"}  # type: ignore[attr-defined]
    assert "hardware" in text
    assert "200 numbers" in text
    assert report.wall_s > 0
    assert report.rate == pytest.approx(200 / report.wall_s)
