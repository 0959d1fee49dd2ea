"""Entry of the ``accel`` command: sub-commands, and how every failure ends.

A failure is one line on standard error and exit status 1, bad usage 2, Ctrl-C 130; never a traceback
(``ACCEL_DEBUG=1`` shows it).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from accel_sdk.cli._bench import bench
from accel_sdk.cli._demo import demo
from accel_sdk.cli._devices import devices
from accel_sdk.cli._run import run
from accel_sdk.errors import AccelError
from accel_sdk.host import end_process

DEBUG_VARIABLE = "ACCEL_DEBUG"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="accel-sdk", message="accel-sdk %(version)s")
@click.option("-v", "--verbose", count=True, help="Log what happens; twice for more.")
def accel(verbose: int) -> None:
    """Run kernels on accelerator boards, real or simulated, and on CPU cores.

    Devices are named 'cpu:0', 'sim:0' or as their vendor names them. DEVICE, or --device, holds one name, a
    comma-separated list or globs such as 'sim:*'. A simulated device is used only when it is named.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("accel: %(levelname)s: %(name)s: %(message)s"))
    # Not the root: Dask has much to say. What the SDK itself warns of stands in the report.
    for name, quiet in (("accel_sdk", logging.ERROR), ("accel_drivers", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel({0: quiet, 1: logging.INFO}.get(verbose, logging.DEBUG))


for command in (devices, run, bench, demo):
    accel.add_command(command)


class _Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: leave as after Ctrl-C, so that nothing partial stays behind."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    raise _Terminated(number)


def main() -> NoReturn:
    """Run the command line and end the process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        accel.main(prog_name="accel", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _leave("interrupted", 128 + signal.SIGINT)
    except _Terminated as ended:
        _leave("terminated", 128 + ended.number)
    except BrokenPipeError:
        _leave("", 1)  # the reader of our output has gone, as after '| head'
    except AccelError as error:
        _fail(str(error))
    except OSError as error:  # of standard output: what else is written or read is checked where it is
        _fail(f"cannot write standard output: {error.strerror or error}")
    except MemoryError:
        _fail("out of memory")
    except Exception as error:
        _fail(f"unexpected {type(error).__name__}: {error}; set {DEBUG_VARIABLE}=1 to see where")
    sys.exit(0)


def _fail(text: str) -> NoReturn:
    if os.environ.get(DEBUG_VARIABLE):
        logging.getLogger("accel_sdk").error("failed here:", exc_info=True)
    line = " ".join(text.split())  # one line, whatever a library put into its message
    click.echo(f"accel: error: {line}", err=True)
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        os._exit(1)  # it cannot be written: Python would say so a second time at its end
    sys.exit(1)


def _leave(text: str, status: int) -> NoReturn:
    """End at once: a native call that still runs in a worker's thread must not be waited for."""
    if text:
        click.echo(f"accel: {text}", err=True)
    end_process(status)
