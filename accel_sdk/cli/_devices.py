"""``accel devices``: what there is."""

from __future__ import annotations

import json

import click

from accel_sdk.cli._options import json_option
from accel_sdk.device import Device
from accel_sdk.registry import Registry, default_registry


@click.command()
@click.option("--kernel", "-k", metavar="KERNEL", help="Only devices that can run this kernel.")
@json_option
def devices(kernel: str | None, as_json: bool) -> None:
    """List the devices that this process sees (DEVICE restricts them), and what they can run."""
    registry = default_registry()
    found = registry.devices(kernel)
    if as_json:
        rows = [_as_dict(registry, device) for device in found]
        click.echo(json.dumps({"devices": rows, "problems": registry.problems()}, indent=2))
        return
    _show(registry, found)


def _show(registry: Registry, found: list[Device]) -> None:
    from accel_sdk.cli import _render

    rows = [
        (
            device.name,
            device.kind.value,
            device.platform or "-",
            ", ".join(registry.kernels_of(device)),
            ", ".join(registry.drivers_of(device)),
        )
        for device in found
    ]
    head = ("device", "kind", "platform", "kernels", "drivers")
    _render.console().print(_render.table(head, rows))
    for problem in registry.problems().values():
        click.echo(f"accel: warning: {problem}", err=True)


def _as_dict(registry: Registry, device: Device) -> dict[str, object]:
    return {
        "name": device.name,
        "kind": device.kind.value,
        "platform": device.platform,
        "properties": dict(device.properties),
        "kernels": registry.kernels_of(device),
        "drivers": registry.drivers_of(device),
    }
