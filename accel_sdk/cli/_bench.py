"""``accel bench``: how fast the devices of this machine are at a kernel, one by one and together."""

from __future__ import annotations

import json
from pathlib import Path

import click

from accel_sdk.cli._options import device_option, json_option
from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import default_registry
from accel_sdk.report import Report, format_rate
from accel_sdk.runner import Runner


@click.command()
@click.argument("kernel")
@device_option
@json_option
@click.option("--size", type=click.IntRange(1), default=256, show_default=True, help="Input, in MB.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="The best counts.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the rates into this picture.")
def bench(kernel: str, device: str | None, as_json: bool, size: int, repeat: int, plot: Path | None) -> None:
    """Measure KERNEL on each device alone, then on all of them together, in memory."""
    if plot is not None:
        from accel_sdk.cli import _plot

        _plot.check_installed()  # before minutes of measuring, not after
    registry = default_registry()
    kernel_type = registry.kernel_type(kernel)
    names = [found.name for found in registry.select(kernel, device)]
    data = kernel_type.sample(size * 1_000_000)
    made = kernel_type()
    reports = {name: _best(made, data, [name], repeat) for name in names}
    if len(names) > 1:
        reports["all together"] = _best(made, data, names, repeat)
    if as_json:
        click.echo(json.dumps({n: r.to_dict() for n, r in reports.items()}, indent=2))
    else:
        _show(reports)
    if plot is not None:
        _draw(reports, plot)


def _best(kernel: AnyKernel, data: object, names: list[str], repeat: int) -> Report:
    """Return the report of the fastest run; the first also opens the devices."""
    reports: list[Report] = []
    with Runner(names) as runner:
        for _ in range(repeat):
            runner.run(kernel, data)
            reports.append(runner.report)
    return min(reports, key=lambda report: report.wall_s)


def _show(reports: dict[str, Report]) -> None:
    from accel_sdk.cli import _render

    rows = []
    for name, report in reports.items():
        modelled = report.modelled_rate
        rows.append(
            (
                name,
                _kinds(report),
                format_rate(report.rate, report.unit),
                f"{report.wall_s:.3g} s",
                "-" if modelled is None else format_rate(modelled, report.unit),
            )
        )
    head = ("device", "kind", "rate (wall)", "wall", "modelled hardware rate")
    _render.console().print(_render.table(head, rows, right=(2, 3, 4)))


def _kinds(report: Report) -> str:
    return ", ".join(dict.fromkeys(row.kind.value for row in report.devices))


def _draw(reports: dict[str, Report], target: Path) -> None:
    from accel_sdk.cli import _plot

    rates = {f"{name}\n{_kinds(report)}": report.rate for name, report in reports.items()}
    _plot.bars(rates, next(iter(reports.values())), target)
