"""Pictures of benchmark results, by matplotlib (extra ``viz``)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from accel_sdk.errors import OutputError, UnsupportedError
from accel_sdk.report import Report, format_rate


def check_installed() -> None:
    """Make sure that matplotlib is there.

    Raises
    ------
    UnsupportedError
        If it is not.
    """
    if find_spec("matplotlib") is None:
        raise UnsupportedError("drawing needs matplotlib", hint="run: pip install 'accel-sdk[viz]'")


def bars(rates: Mapping[str, float], report: Report, target: Path) -> None:
    """Draw a bar for each rate.

    Parameters
    ----------
    rates
        In the report's unit per wall second, by label.
    report
        Says which kernel and unit.
    target
        The picture; its suffix says which format.

    Raises
    ------
    OutputError
        If the picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.45 * len(rates)), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.barh(list(rates), list(rates.values()), color="#4477aa")
    axes.bar_label(drawn, [format_rate(rate, report.unit) for rate in rates.values()], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_title(f"{report.kernel}: rate by wall time")
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    try:
        figure.savefig(target)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {target}: {error}") from error
