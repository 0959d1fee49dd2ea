"""The ``accel`` command."""

from accel_sdk.cli._main import main

__all__ = ["main"]
