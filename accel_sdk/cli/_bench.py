"""``accel bench``: how fast the devices of this machine are at a kernel, one by one and together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from accel_sdk.cli._options import (
    KernelGroup,
    device_option,
    first_paragraph,
    json_option,
    kernel_parameters,
)
from accel_sdk.errors import UnsupportedError
from accel_sdk.kernel import AnyKernel, required_parameters
from accel_sdk.registry import default_registry
from accel_sdk.report import Report, format_rate
from accel_sdk.runner import Runner


class _BenchGroup(KernelGroup):
    def command_for(self, kernel: type[AnyKernel]) -> click.Command:
        return json_option(device_option(_BenchCommand(kernel)))


@click.group(cls=_BenchGroup, subcommand_metavar="KERNEL [OPTIONS]")
def bench() -> None:
    """Measure KERNEL on each device alone, then on all of them together, in memory."""


class _BenchCommand(click.Command):
    """The benchmark of a kernel. Its example gives the options' defaults, and is made when they are needed.

    An option of the benchmark's own hides a parameter of the kernel's that has its name.
    """

    def __init__(self, kernel: type[AnyKernel]) -> None:
        self._kernel = kernel
        self._problem: UnsupportedError | None = None
        super().__init__(
            kernel.name,
            callback=self._run,
            params=_own_options(),
            help=f"{first_paragraph(kernel)}\n\nMeasured on each device alone, then on all of them together.",
            short_help=first_paragraph(kernel),
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return [*self._kernel_options, *own]

    @cached_property
    def _kernel_options(self) -> list[click.Parameter]:
        taken = {name for parameter in self.params for name in parameter.opts}
        options = kernel_parameters(self._kernel, self._example)
        for option in options:
            option.required = False  # where there is no example, `_made` says what to give
        return [option for option in options if not taken.intersection(option.opts)]

    @cached_property
    def _example(self) -> AnyKernel | None:
        try:
            return self._kernel.example()
        except UnsupportedError as error:
            self._problem = error
            return None

    def _made(self, values: Mapping[str, object]) -> AnyKernel:
        """Return the kernel to measure: the example with what the user gave."""
        source_of = click.get_current_context().get_parameter_source
        names = [str(option.name) for option in self._kernel_options]
        given = {name: values[name] for name in names if source_of(name) not in _DEFAULTS}
        if self._example is not None:
            return dataclasses.replace(self._example, **given) if given else self._example  # type: ignore[type-var]
        if self._problem is not None and set(required_parameters(self._kernel)) - set(given):
            raise self._problem
        return self._kernel(**given)

    def _run(
        self,
        device: str | None,
        as_json: bool,
        size: int,
        repeat: int,
        plot: Path | None,
        **values: Any,
    ) -> None:
        if plot is not None:
            from accel_sdk.cli import _plot

            _plot.check_installed()  # before minutes of measuring, not after
        kernel = self._made(values)
        names = [found.name for found in default_registry().select(kernel, device)]
        data = kernel.sample(size * 1_000_000)
        reports = {name: _best(kernel, data, [name], repeat) for name in names}
        if len(names) > 1:
            reports["all together"] = _best(kernel, data, names, repeat)
        if as_json:
            click.echo(json.dumps({n: r.to_dict() for n, r in reports.items()}, indent=2))
        else:
            _show(reports)
        if plot is not None:
            _draw(reports, plot)


_DEFAULTS = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def _own_options() -> list[click.Parameter]:
    at_least_1 = click.IntRange(1)
    return [
        click.Option(["--size"], type=at_least_1, default=256, show_default=True, help="Input, in MB."),
        click.Option(["--repeat"], type=at_least_1, default=3, show_default=True, help="The best counts."),
        click.Option(["--plot"], type=click.Path(path_type=Path), help="Draw the rates into this picture."),
    ]


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
