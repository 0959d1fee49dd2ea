"""``python -m accel_sdk.cli``: the command where its script is not on the path."""

from accel_sdk.cli import main

main()
