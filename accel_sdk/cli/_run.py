"""``accel run``: a kernel over its input, on one device or all of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from accel_sdk.cli._options import (
    KernelGroup,
    device_option,
    first_paragraph,
    json_option,
    kernel_parameters,
    make_kernel,
)
from accel_sdk.data import is_pipe, read_exactly
from accel_sdk.errors import DataError, OutputError
from accel_sdk.kernel import AnyKernel, Kernel, file_suffix
from accel_sdk.output import open_output, refuse_same_file, whole, writing_to
from accel_sdk.runner import Runner, RunnerOptions
from accel_sdk.tables import is_table

_STANDARD = "-"


class _RunGroup(KernelGroup):
    def command_for(self, kernel: type[AnyKernel]) -> click.Command:
        return _kernel_command(kernel)


@click.group(cls=_RunGroup, subcommand_metavar="KERNEL INPUT [OPTIONS]")
def run() -> None:
    """Run a kernel over INPUT on all chosen devices ('accel run KERNEL --help' for its options)."""


def _kernel_command(kernel: type[AnyKernel]) -> click.Command:
    def callback(**values: Any) -> None:
        _run(kernel, **values)

    what = "INPUT is a file, or '-' for standard input."
    if kernel.many_inputs:
        what = "Each INPUT is a file or folder; a single '-' is standard input."
    command = click.Command(
        kernel.name,
        callback=callback,
        params=kernel_parameters(kernel),
        help=f"{first_paragraph(kernel)}\n\n{what}",
        short_help=first_paragraph(kernel),
    )
    return _common_options(command, kernel)


def _common_options(command: click.Command, kernel: type[AnyKernel]) -> click.Command:
    many = kernel.many_inputs
    metavar = "INPUT..." if many else "INPUT"
    command.params[:0] = [click.Argument(["inputs"], metavar=metavar, nargs=-1 if many else 1, required=True)]
    known = f" ({', '.join(kernel.formats)})" if kernel.formats else ""
    out_help = f"Result file{known}, or '-' for standard output."
    command.params += [
        *(
            click.Option([f"--{name}", _view_key(name)], metavar="PATH", help=text)
            for name, text in kernel.views.items()
        ),
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


def _view_key(name: str) -> str:
    return f"view_{name.replace('-', '_')}"


def _run(
    kernel_type: type[AnyKernel],
    inputs: str | tuple[str, ...],
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
    views = _views(kernel, fields)
    data = _input((inputs,) if isinstance(inputs, str) else inputs, views)
    _refuse_overwriting(data, out, views)
    with _progress(kernel, data, hidden=quiet or as_json) as progress:
        options = RunnerOptions(retries=retries, chunk_timeout_s=timeout, progress=progress)
        with Runner(device, scheduler=scheduler, options=options) as runner:
            if views or _summarises(kernel):
                result = _run_in_memory(runner, kernel, data, out, views)
            else:
                result = _run_to(runner, kernel, data, out)
    if as_json:
        _print_json(kernel, runner, result, out, views)
        return
    _print_result(kernel, result, out)
    if not quiet:
        from accel_sdk.cli import _render

        _render.show_report(runner.report, _render.console(stderr=True))


# --- input ----------------------------------------------------------------------------------------


def _input(names: tuple[str, ...], views: Mapping[str, Path]) -> object:
    """Return what the names stand for. Views read it once more."""
    if _STANDARD in names:
        if len(names) > 1:
            raise click.UsageError("'-' is standard input, and then the only INPUT")
        stream = _standard_input()
        return read_exactly(stream, sys.maxsize) if views else stream
    paths = [Path(name) for name in names]
    once = [path for path in paths if views and is_pipe(path)]
    if once:
        options = ", ".join(f"--{name}" for name in views)
        raise DataError(f"{once[0]} can be read only once, and {options} reads it again", hint="give a file")
    return paths[0] if len(paths) == 1 else paths


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise DataError("standard input is closed")
    return sys.stdin.buffer


# --- running --------------------------------------------------------------------------------------


def _views(kernel: AnyKernel, values: Mapping[str, Any]) -> dict[str, Path]:
    """Return the views that are asked for; each can be made."""
    named = {name: values[_view_key(name)] for name in kernel.views}
    views = {name: Path(path) for name, path in named.items() if path is not None}
    for name, path in views.items():
        kernel.check_view(name, path.suffix.lower())
    return views


def _refuse_overwriting(data: object, out: str | None, views: Mapping[str, Path]) -> None:
    targets = [os.path.realpath(path) for path in views.values() if not is_pipe(path)]
    if out is not None and out != _STANDARD:
        targets.append(os.path.realpath(out))
    for path in views.values():
        refuse_same_file(data, path)
    if len(set(targets)) < len(targets):
        raise click.UsageError("two outputs have the same name")


def _summarises(kernel: AnyKernel) -> bool:
    return type(kernel).summary is not Kernel.summary


def _run_to(runner: Runner, kernel: AnyKernel, data: object, out: str | None) -> Any:
    if out is None:
        return runner.run(kernel, data)
    if out != _STANDARD:
        return runner.run(kernel, data, out=Path(out))
    output = _standard_output(kernel)
    runner.run(kernel, data, out=output)
    output.flush()
    return None


def _run_in_memory(
    runner: Runner, kernel: AnyKernel, data: object, out: str | None, views: Mapping[str, Path]
) -> Any:
    """Return the result, written to all outputs: either each of the files is complete, or none is there."""
    standard = _standard_output(kernel) if out == _STANDARD else None
    path = Path(out) if out is not None and standard is None else None
    if path is not None:
        refuse_same_file(data, path)
        file_suffix(kernel, path)
    with ExitStack() as outputs:  # made before anything runs: what cannot be written is found at once
        files = {p: outputs.enter_context(open_output(p)) for p in [path, *views.values()] if p is not None}
        result = runner.run(kernel, data)
        if path is not None:
            with writing_to(path):
                kernel.write([result], files[path], suffix=file_suffix(kernel, path))
        for name, target in views.items():
            with writing_to(target):
                kernel.view(name, data, result, files[target], target.suffix.lower())
    if standard is not None:
        kernel.write([result], whole(standard))
        standard.flush()
    return result


def _standard_output(kernel: AnyKernel) -> BinaryIO:
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    is_text = kernel.formats and not kernel.writes_files
    if sys.stdout.isatty() and not is_text:
        raise click.UsageError("not writing binary data to a terminal; redirect it or name a file")
    return cast(BinaryIO, sys.stdout.buffer)


@contextmanager
def _progress(kernel: AnyKernel, data: object, *, hidden: bool) -> Iterator[Any]:
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from accel_sdk.cli import _render

    with _render.progress_bar(kernel.name, kernel.total(data), kernel.unit) as advance:
        yield advance


# --- showing --------------------------------------------------------------------------------------


def _print_json(
    kernel: AnyKernel, runner: Runner, result: Any, out: str | None, views: Mapping[str, Path]
) -> None:
    document: dict[str, object] = {"output": out, "report": runner.report.to_dict()}
    if views:
        document["views"] = {name: str(path) for name, path in views.items()}
    if _summarises(kernel):
        document["summary"] = kernel.summary(result)
    if out is None and result is not None:
        document["result"] = result.to_pylist() if is_table(result) else result
    click.echo(json.dumps(document, indent=2, default=str))


def _print_result(kernel: AnyKernel, result: Any, out: str | None) -> None:
    if out is None and is_table(result):
        from accel_sdk.cli import _render

        _render.show_table(result, kernel.formats, _render.console())
    elif out is None and result is not None:
        click.echo(result)
    if _summarises(kernel):
        for line in kernel.lines(result):
            click.echo(line, err=out in (_STANDARD, "/dev/stdout"))
