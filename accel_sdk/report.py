"""What a run did, device by device."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from accel_sdk.device import Kind
from accel_sdk.driver import Stats


@dataclass(frozen=True)
class DeviceReport:
    """One device's part in a run.

    Attributes
    ----------
    device, kind
        Its name, and whether it is hardware, a CPU core or simulated.
    worker
        Address of the Dask worker that held it; ``""`` in this process.
    stats
        What it did in this run. ``stats.device_s`` is modelled, not measured.
    set_aside
        Why the runner stopped using it; ``""`` if it did not.
    """

    device: str
    kind: Kind
    stats: Stats
    worker: str = ""
    set_aside: str = ""


@dataclass(frozen=True)
class Report:
    """What the last run did.

    Attributes
    ----------
    kernel, unit
        The kernel's name, and what its amounts count.
    wall_s
        Wall seconds of the run, reading, merging and writing included.
    devices
        A row for each device that was chosen, also for one that got no chunk.
    retries
        Chunks that were run again after a failure.
    """

    HEAD: ClassVar[tuple[str, ...]] = (
        "device",
        "kind",
        "chunks",
        "in",
        "out",
        "busy",
        "rate",
        "modelled device time",
    )

    kernel: str
    unit: str
    wall_s: float = 0.0
    devices: tuple[DeviceReport, ...] = field(default=())
    retries: int = 0

    @property
    def total(self) -> Stats:
        """All rows added up. Its `device_s` is the longest, for devices work side by side."""
        total = Stats()
        for row in self.devices:
            total.add(row.stats)
        modelled = [row.stats.device_s for row in self.devices if row.stats.device_s is not None]
        total.device_s = max(modelled) if modelled else None
        return total

    @property
    def rate(self) -> float:
        """Work per wall second of the whole run, in `unit`."""
        return self.total.amount / self.wall_s if self.wall_s else 0.0

    @property
    def modelled_rate(self) -> float | None:
        """What the modelled hardware would have done per second, in `unit`; ``None`` if nothing is modelled.

        Of the simulated devices alone, side by side: the slowest one's modelled time counts.
        """
        modelled = [row.stats for row in self.devices if row.stats.device_s]
        if not modelled:
            return None
        return sum(stats.amount for stats in modelled) / max(stats.device_s or 0.0 for stats in modelled)

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain values, for JSON. Seconds and bytes; ``device_s`` is modelled."""
        total = self.total
        return {
            "kernel": self.kernel,
            "unit": self.unit,
            "wall_s": self.wall_s,
            "amount": total.amount,
            "rate_per_s": self.rate,
            "modelled_rate_per_s": self.modelled_rate,
            "nbytes_in": total.nbytes_in,
            "nbytes_out": total.nbytes_out,
            "retries": self.retries,
            "devices": [
                {
                    "device": row.device,
                    "kind": row.kind.value,
                    "worker": row.worker,
                    **asdict(row.stats),
                    "rate_per_s": row.stats.rate,
                    "set_aside": row.set_aside,
                }
                for row in self.devices
            ],
        }

    def __str__(self) -> str:
        """Return a table for people."""
        rows = [self.HEAD, *(self.cells(row) for row in self.devices)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.HEAD))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *self.remarks(), self.summary()])

    def remarks(self) -> list[str]:
        """Return a line for each device that was set aside."""
        return [f"{r.device} was set aside: {r.set_aside}" for r in self.devices if r.set_aside]

    def summary(self) -> str:
        """Return the run in one line."""
        total = self.total
        ratio = ""
        if self.unit == "B" and total.nbytes_out:
            ratio = f" -> {format_amount(total.nbytes_out, 'B')}"
        return (
            f"{self.kernel}: {format_amount(total.amount, self.unit)}{ratio} in {self.wall_s:.3g} s wall, "
            f"{format_rate(self.rate, self.unit)}"
        )

    def cells(self, row: DeviceReport) -> tuple[str, ...]:
        """Return a device's row as texts, one for each column of `HEAD`."""
        stats = row.stats
        return (
            row.device,
            row.kind.value,
            str(stats.chunks) + (f" ({stats.failures} failed)" if stats.failures else ""),
            format_amount(stats.nbytes_in, "B"),
            format_amount(stats.nbytes_out, "B"),
            f"{stats.busy_s:.3g} s",
            format_rate(stats.rate, self.unit),
            "-" if stats.device_s is None else f"{stats.device_s:.3g} s",
        )


def format_amount(amount: float, unit: str) -> str:
    """Return an amount with a decimal prefix: ``1.5 MB``, ``12 images``."""
    if unit != "B":
        return f"{amount:,.0f} {unit}" + ("" if amount == 1 else "s")
    for prefix in ("", "k", "M", "G"):
        if abs(amount) < 999.5:  # what rounds to fewer than four digits
            return f"{amount:.3g} {prefix}B" if prefix else f"{amount:.0f} B"
        amount /= 1000
    return f"{amount:.3g} TB"


def format_rate(rate: float, unit: str) -> str:
    """Return a rate: ``350 MB/s``, ``3,000 images/s``."""
    return f"{format_amount(rate, unit)}/s"
