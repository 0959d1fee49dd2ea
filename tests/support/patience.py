"""Waiting for what comes soon, but not at once on a busy machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 20.0


def settles(condition: Callable[[], bool]) -> bool:
    """Poll until a condition holds, or patience ends; return whether it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return condition()
