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


def kernel_parameters(kernel: type[AnyKernel]) -> list[click.Parameter]:
    """Make an argument or option of each field of a kernel's dataclass.

    The field's type gives the option's; ``metadata["help"]`` its help; no default means it must be given.
    """
    hints = typing.get_type_hints(kernel)
    return [_option(item, hints[item.name]) for item in _fields(kernel) if item.init]


def make_kernel(kernel: type[AnyKernel], values: dict[str, Any]) -> AnyKernel:
    """Make the kernel of the options' values; other values are ignored."""
    names = {item.name for item in _fields(kernel) if item.init}
    return kernel(**{name: value for name, value in values.items() if name in names})


def _fields(kernel: type[AnyKernel]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kernel) if dataclasses.is_dataclass(kernel) else ()


def _option(item: dataclasses.Field[Any], hint: object) -> click.Option:
    required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    default = None if item.default is dataclasses.MISSING else item.default
    if item.default_factory is not dataclasses.MISSING:
        default = item.default_factory()
    flag = f"--{item.name.replace('_', '-')}"
    hint = _without_none(hint)
    return click.Option(
        [f"{flag}/--no-{flag[2:]}" if hint is bool else flag, item.name],
        type=None if hint is bool else _param_type(hint),
        default=default,
        required=required,
        show_default=default is not None,
        help=item.metadata.get("help"),
    )


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
