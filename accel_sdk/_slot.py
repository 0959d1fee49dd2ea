"""One device of a run, and what it has in hand."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from accel_sdk.device import Device
from accel_sdk.driver import Stats
from accel_sdk.errors import AccelError
from accel_sdk.kernel import Work


class Ticket(Protocol):
    """A call that was sent to a device."""

    def forget(self) -> None:
        """Call it off if it has not begun; nobody waits for its outcome."""


@dataclass(eq=False)
class Job:
    """One chunk on its way, or, without a work item, the opening of a device.

    Attributes
    ----------
    index
        Place in the input order.
    tried
        Devices that failed on it.
    sent, ticket
        Which sending of it is the last, and how to call that off.
    deadline
        When the device must be done with it, once it works on it; ``None`` before, or without limit.
    """

    index: int
    work: Work[Any, Any]
    opens: bool = False
    tried: list[str] = field(default_factory=list)
    sent: int = -1
    ticket: Ticket | None = None
    deadline: float | None = None


@dataclass
class Slot:
    """One device of a run: what it may do, what it is doing, how it has fared.

    Attributes
    ----------
    kernels
        Names of the kernels it can run.
    in_flight
        Jobs sent to it, oldest first; it works on the first.
    asked_to_open
        Keys of the kernels that it opens, or has opened, in this run.
    failures_in_row
        Since its last result.
    set_aside
        Why it gets no more work; ``""`` while it does.
    """

    device: Device
    address: str
    kernels: frozenset[str]
    stats: Stats = field(default_factory=Stats)
    in_flight: deque[Job] = field(default_factory=deque)
    asked_to_open: set[str] = field(default_factory=set)
    failures_in_row: int = 0
    set_aside: str = ""
    error: AccelError | None = None
