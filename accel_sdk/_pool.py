"""What a runner asks of the place where its devices are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from uuid import uuid4

from accel_sdk._slot import Slot, Ticket
from accel_sdk._worker import Outcome
from accel_sdk.kernel import AnyKernel


class Pool(ABC):
    """The devices of a runner, and how calls get to them.

    Attributes
    ----------
    cache
        Name of the plugin that keeps this runner's accelerators on the workers.
    poll_s
        How often `gone` is worth asking; ``None`` where workers cannot go.
    """

    poll_s: float | None = None

    def __init__(self) -> None:
        self.cache = f"accel-{uuid4().hex}"
        self._kernels: list[tuple[AnyKernel, str]] = []
        self._open: set[tuple[str, str, str]] = set()
        self.closed = False  # by whatever thread

    def is_open(self, slot: Slot, key: str) -> bool:
        """Return whether a device has a kernel open, or was asked to open it; if not, note that it is now."""
        if (slot.address, slot.device.name, key) in self._open or key in slot.asked_to_open:
            return True
        slot.asked_to_open.add(key)
        return False

    def mark_open(self, slot: Slot, key: str) -> None:
        """Note that a device has opened a kernel: it stays open from run to run."""
        self._open.add((slot.address, slot.device.name, key))

    def key_of(self, kernel: AnyKernel) -> str:
        """Return what names a kernel with its parameters: equal kernels share their accelerators."""
        for known, key in self._kernels:
            if known is kernel or (type(known) is type(kernel) and _are_equal(known, kernel)):
                return key
        self._kernels.append((kernel, f"{kernel.name}-{len(self._kernels)}"))
        return self._kernels[-1][1]

    @abstractmethod
    def slots(self, kernel: AnyKernel) -> list[Slot]:
        """Return a fresh slot for each device that a run of `kernel` is to use.

        Raises
        ------
        DeviceNotFoundError, ClusterError
            If there is none.
        """

    @abstractmethod
    def send(
        self,
        slot: Slot,
        function: Callable[..., Outcome],
        arguments: Sequence[object],
        deliver: Callable[[Outcome], None],
    ) -> Ticket:
        """Have a device's worker call a function after those it was sent before.

        Parameters
        ----------
        arguments
            The last may be a chunk: it is sent by reference where that can be.
        deliver
            Called, in any thread, with what became of it; perhaps also after `Ticket.forget`.

        Raises
        ------
        DeviceLostError
            If the worker does not answer.
        """

    def gone(self, slots: Sequence[Slot]) -> list[Slot]:
        """Return the slots whose worker is no longer there."""
        return []

    def abandon(self, slot: Slot) -> None:  # noqa: B027 - a cluster sees to its workers itself
        """Note that a call on this device never returned: later runs are to do without it."""

    @abstractmethod
    def close(self) -> None:
        """Close every accelerator that this runner opened, and what else the pool started."""


def _are_equal(left: AnyKernel, right: AnyKernel) -> bool:
    try:
        return bool(left == right)
    except ValueError:  # arrays among the fields: they have no single truth
        return False
