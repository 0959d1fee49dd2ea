"""Reports: sums, plain values for JSON, and texts for people."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sdk.device import Kind
from accel_sdk.driver import Stats
from accel_sdk.report import DeviceReport, Report, format_amount, format_rate

ROWS = (
    DeviceReport("cpu:0", Kind.CPU, Stats(3, 0, 300, 300, 30, 2.0)),
    DeviceReport("sim:0", Kind.SIMULATED, Stats(2, 1, 100, 100, 10, 1.0, 0.25), "tcp://h:1"),
    DeviceReport("sim:1", Kind.SIMULATED, Stats(0, 2, 0, 0, 0, 1.0, 0.5), "", "it [was] lost"),
)
REPORT = Report("gzip", "B", 4.0, ROWS, 3)


def test_total_adds_up_but_takes_the_longest_modelled_time() -> None:
    assert REPORT.total == Stats(5, 3, 400, 400, 40, 4.0, 0.5)
    assert REPORT.rate == 100.0


def test_nothing_modelled_stays_none() -> None:
    assert Report("gzip", "B", 1.0, ROWS[:1]).total.device_s is None


def test_an_empty_report() -> None:
    report = Report("gzip", "B")
    assert (report.rate, report.total) == (0.0, Stats())
    assert "gzip" in str(report)


def test_plain_values_survive_json() -> None:
    plain = json.loads(json.dumps(REPORT.to_dict()))
    assert plain["kernel"] == "gzip"
    assert (plain["unit"], plain["wall_s"], plain["rate_per_s"], plain["retries"]) == ("B", 4.0, 100.0, 3)
    assert (plain["amount"], plain["nbytes_in"], plain["nbytes_out"]) == (400, 400, 40)
    assert [row["device"] for row in plain["devices"]] == ["cpu:0", "sim:0", "sim:1"]
    assert [row["kind"] for row in plain["devices"]] == ["cpu", "simulated", "simulated"]
    assert plain["devices"][1] == {
        "device": "sim:0",
        "kind": "simulated",
        "worker": "tcp://h:1",
        "chunks": 2,
        "failures": 1,
        "amount": 100,
        "nbytes_in": 100,
        "nbytes_out": 10,
        "busy_s": 1.0,
        "device_s": 0.25,
        "rate_per_s": 100.0,
        "set_aside": "",
    }
    assert plain["devices"][2]["set_aside"] == "it [was] lost"


def test_the_table_states_kinds_failures_and_what_was_set_aside() -> None:
    lines = str(REPORT).splitlines()
    assert lines[0].split()[:2] == ["device", "kind"]
    assert "simulated" in lines[2]
    assert "(1 failed)" in lines[2]
    assert "0.25 s" in lines[2]
    assert lines[1].endswith("-"), "nothing is modelled on a CPU core"
    assert "sim:1 was set aside: it [was] lost" in lines
    assert lines[-1] == "gzip: 400 B -> 40 B in 4 s wall, 100 B/s"


def test_columns_line_up() -> None:
    head, *rows = str(REPORT).splitlines()[:4]
    assert {row[head.index("kind") - 2 :][:2] for row in rows} == {"  "}
    assert all(row[head.index("kind")] != " " for row in rows)


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (0, "B", "0 B"),
        (1, "B", "1 B"),
        (999, "B", "999 B"),
        (1000, "B", "1 kB"),
        (1_500_000, "B", "1.5 MB"),
        (123_456_789, "B", "123 MB"),
        (2_000_000_000, "B", "2 GB"),
        (5e12, "B", "5 TB"),
        (1, "image", "1 image"),
        (0, "image", "0 images"),
        (12, "image", "12 images"),
        (3000, "image", "3,000 images"),
    ],
)
def test_amounts(amount: float, unit: str, text: str) -> None:
    assert format_amount(amount, unit) == text


def test_rates() -> None:
    assert format_rate(350e6, "B") == "350 MB/s"
    assert format_rate(3000, "image") == "3,000 images/s"


@given(st.floats(0, 9.9e14))
def test_amounts_of_bytes_are_short_and_right(amount: float) -> None:
    number, unit = format_amount(amount, "B").split()
    assert "e" not in number
    factor = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number) * factor == pytest.approx(amount, rel=0.0051, abs=0.5)
    assert len(number) <= 4
    assert float(number) < 1000


def test_the_modelled_rate_is_of_simulated_devices_alone() -> None:
    rows = (
        DeviceReport("cpu:0", Kind.CPU, Stats(amount=1000, busy_s=1.0)),
        DeviceReport("sim:0", Kind.SIMULATED, Stats(amount=300, busy_s=1.0, device_s=0.5)),
        DeviceReport("sim:1", Kind.SIMULATED, Stats(amount=100, busy_s=1.0, device_s=0.2)),
    )
    assert Report("k", "B", 1.0, rows).modelled_rate == pytest.approx((300 + 100) / 0.5)
    assert Report("k", "B", 1.0, rows[:1]).modelled_rate is None
