"""Options that several sub-commands share, and those made from a kernel's dataclass fields."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click

from accel_sdk.kernel import AnyKernel
from accel_sdk.registry import default_registry, kernel_names

_F = TypeVar("_F", bound=Callable[..., Any])
_TYPES: dict[object, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    Path: click.Path(path_type=Path),
}


def device_option(function: _F) -> _F:
    """Add ``--device``."""
    return click.option(
        "--device",
        "-d",
        metavar="NAMES",
        help="Device names or globs, comma-separated: 'sim:*'. Default: hardware, else CPU cores.",
    )(function)


def json_option(function: _F) -> _F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def kernel_parameters(kernel: type[AnyKernel], example: AnyKernel | None = None) -> list[click.Parameter]:
    """Make an option of each field of a kernel's dataclass.

    The field's type gives the option's; ``metadata["help"]`` its help. The default is the value that
    `example` has, else the field's own; without any it must be given.
    """
    hints = typing.get_type_hints(kernel)
    return [
        _option(item, hints[item.name], _default(item) if example is None else getattr(example, item.name))
        for item in parameter_fields(kernel)
    ]


def make_kernel(kernel: type[AnyKernel], values: dict[str, Any]) -> AnyKernel:
    """Make the kernel of the options' values; other values are ignored."""
    names = {item.name for item in parameter_fields(kernel)}
    return kernel(**{name: value for name, value in values.items() if name in names})


def parameter_fields(kernel: type[AnyKernel]) -> list[dataclasses.Field[Any]]:
    """Return the fields of a kernel's dataclass that its constructor takes."""
    found: tuple[dataclasses.Field[Any], ...] = ()
    if dataclasses.is_dataclass(kernel):
        found = dataclasses.fields(kernel)
    return [item for item in found if item.init]


def _default(item: dataclasses.Field[Any]) -> object:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _option(item: dataclasses.Field[Any], hint: object, default: object) -> click.Option:
    required = default is dataclasses.MISSING
    flag = f"--{item.name.replace('_', '-')}"
    hint = _without_none(hint)
    if hint is bool and default is not False:
        flag += f"/--no-{flag[2:]}"
    kind = _param_type(hint)
    if isinstance(kind, click.Choice) and default is not None and not required:
        default = str(default)
    # A default that is given counts as a value, even None: a required option must not be given one.
    given: dict[str, Any] = {} if required else {"default": default, "show_default": default is not None}
    return click.Option(
        [flag, item.name],
        type=None if hint is bool else kind,
        is_flag=True if hint is bool else None,
        required=required,
        help=item.metadata.get("help"),
        **given,
    )


class KernelGroup(click.Group):
    """A sub-command for every installed kernel, which `command_for` makes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return kernel_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.command_for(default_registry().kernel_type(cmd_name))

    def command_for(self, kernel: type[AnyKernel]) -> click.Command:
        """Return the sub-command of a kernel."""
        raise NotImplementedError


def first_paragraph(kernel: type[AnyKernel]) -> str:
    """Return what a kernel's docstring says first."""
    return (kernel.__doc__ or kernel.name).strip().split("\n\n")[0]


def _without_none(hint: object) -> object:
    """Return ``T`` for ``T | None``."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        return rest[0] if len(rest) == 1 else str
    return hint


def _param_type(hint: object) -> click.ParamType[Any]:
    if get_origin(hint) is Literal:
        return click.Choice([str(value) for value in get_args(hint)])
    return _TYPES.get(hint, click.STRING)
