"""``accel run``: a kernel over a file, on one device or all of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from accel_sdk.cli._options import device_option, json_option, kernel_parameters, make_kernel
from accel_sdk.errors import DataError, OutputError
from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import default_registry, kernel_names
from accel_sdk.runner import Runner, RunnerOptions

_STANDARD = "-"


class _KernelGroup(click.Group):
    """A sub-command for every installed kernel, with options made of its fields."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return kernel_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _kernel_command(default_registry().kernel_type(cmd_name))


@click.group(cls=_KernelGroup, subcommand_metavar="KERNEL INPUT [OPTIONS]")
def run() -> None:
    """Run a kernel over INPUT on all chosen devices ('accel run KERNEL --help' for its options)."""


def _kernel_command(kernel: type[AnyKernel]) -> click.Command:
    def callback(**values: Any) -> None:
        _run(kernel, **values)

    command = click.Command(
        kernel.name,
        callback=callback,
        params=kernel_parameters(kernel),
        help=_first_paragraph(kernel) + "\n\nINPUT is a file, or '-' for standard input.",
        short_help=_first_paragraph(kernel),
    )
    return _common_options(command, kernel)


def _common_options(command: click.Command, kernel: type[AnyKernel]) -> click.Command:
    out_help = "Result file, or '-' for standard output."
    command.params[:0] = [click.Argument(["input_name"], metavar="INPUT")]
    command.params += [
        click.Option(["-o", "--out"], metavar="OUT", required=kernel.writes_files, help=out_help),
        click.Option(["--scheduler"], metavar="ADDR", help="Use the workers of this Dask scheduler."),
        click.Option(
            ["--timeout"], type=float, metavar="SECONDS", help="Longest time of one chunk on a device."
        ),
        click.Option(
            ["--retries"], type=int, default=2, show_default=True, help="Of a failed chunk, elsewhere."
        ),
        click.Option(["-q", "--quiet"], is_flag=True, help="Neither progress nor report."),
    ]
    return json_option(device_option(command))


def _run(
    kernel_type: type[AnyKernel],
    input_name: str,
    out: str | None,
    device: str | None,
    scheduler: str | None,
    timeout: float | None,
    retries: int,
    as_json: bool,
    quiet: bool,
    **fields: Any,
) -> None:
    if as_json and out == _STANDARD:
        raise click.UsageError("--json and '-o -' both want standard output")
    kernel = make_kernel(kernel_type, fields)
    data = _standard_input() if input_name == _STANDARD else Path(input_name)
    with _progress(kernel, data, hidden=quiet or as_json) as progress:
        options = RunnerOptions(retries=retries, chunk_timeout_s=timeout, progress=progress)
        with Runner(device, scheduler=scheduler, options=options) as runner:
            result = _run_to(runner, kernel, data, out)
    if as_json:
        document = {"output": out, "report": runner.report.to_dict()}
        if result is not None:
            document["result"] = result
        click.echo(json.dumps(document, indent=2, default=str))
        return
    if result is not None:
        click.echo(result)
    if not quiet:
        from accel_sdk.cli import _render

        _render.show_report(runner.report, _render.console(stderr=True))


def _run_to(runner: Runner, kernel: AnyKernel, data: object, out: str | None) -> Any:
    if out is None:
        return runner.run(kernel, data)
    if out != _STANDARD:
        return runner.run(kernel, data, out=Path(out))
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    if sys.stdout.isatty():
        raise click.UsageError("not writing binary data to a terminal; redirect it or name a file")
    output = cast(BinaryIO, sys.stdout.buffer)
    runner.run(kernel, data, out=output)
    output.flush()
    return None


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise DataError("standard input is closed")
    return sys.stdin.buffer


@contextmanager
def _progress(kernel: AnyKernel, data: object, *, hidden: bool) -> Iterator[Any]:
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from accel_sdk.cli import _render

    total = None
    if kernel.unit == "B" and isinstance(data, Path) and data.is_file():
        total = data.stat().st_size
    with _render.progress_bar(kernel.name, total, kernel.unit) as advance:
        yield advance


def _first_paragraph(kernel: type[AnyKernel]) -> str:
    return (kernel.__doc__ or kernel.name).strip().split("\n\n")[0]
