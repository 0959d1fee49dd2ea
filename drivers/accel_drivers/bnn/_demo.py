"""The family's part of ``accel demo``: images classified on CPU cores and on simulated boards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from accel_drivers.bnn._kernel import Bnn
from accel_sdk.errors import AccelError
from accel_sdk.registry import default_registry
from accel_sdk.report import Report
from accel_sdk.runner import Runner

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE_BYTES = 20_000_000


def demo(show: Callable[[str, Report | None], None]) -> None:
    """Classify made-up images with made-up parameters on every device, and compare what the devices say.

    Parameters
    ----------
    show
        Called with a line for people, and with the report of a run that it belongs to.

    Raises
    ------
    AccelError
        If a device fails, or two kinds of devices differ.
    """
    kernel = Bnn("cnvW1A1", "random", detail=True)
    images = kernel.sample(_SAMPLE_BYTES)
    show(f"bnn: {len(images):,} random images, network {kernel.network}, random parameters", None)
    able = default_registry().devices("bnn")
    first: pa.Table | None = None
    for kind in dict.fromkeys(device.kind for device in able):
        names = [device.name for device in able if device.kind is kind]
        with Runner(names) as runner:
            found = runner.run(kernel, images)
        first = found if first is None else first
        if not found.equals(first):
            raise AccelError(f"{', '.join(names)} found other classes or scores than the devices before")
        show(f"{len(names)} {kind} devices, the same classes and scores", runner.report)
