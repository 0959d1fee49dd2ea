"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

_OURS = ("DEVICE", "ACCEL_SIM_DEVICES", "ACCEL_GZIP_LIBRARY", "ACCEL_GZIP_XCLBIN", "ACCEL_GZIP_SIM_QUIRKS")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every test with none of the SDK's variables set, whatever the developer's shell has."""
    for name in _OURS:
        if name in os.environ:
            monkeypatch.delenv(name)
    yield
