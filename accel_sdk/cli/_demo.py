"""``accel demo``: every family's demonstration, on real data, on whatever there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import cast

import click

from accel_sdk.errors import DriverLoadError
from accel_sdk.report import Report

DEMO_GROUP = "accel_sdk.demos"

Show = Callable[[str, "Report | None"], None]


@click.command()
def demo() -> None:
    """Run every kind of kernel on the CPU cores and on simulated boards, and check the results."""
    os.environ.pop("DEVICE", None)  # the demonstration names its devices itself
    for entry in sorted(entry_points(group=DEMO_GROUP)):
        try:
            function = cast("Callable[[Show], None]", entry.load())
        except ImportError as error:
            raise DriverLoadError(f"demo {entry.name} does not import: {error}") from error
        function(_show)


def _show(text: str, report: Report | None) -> None:
    from accel_sdk.cli import _render

    target = _render.console()
    target.print(text)
    if report is not None:
        target.print()
        _render.show_report(report, target)
        target.print()
