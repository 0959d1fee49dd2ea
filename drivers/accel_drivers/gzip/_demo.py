"""The family's part of ``accel demo``: a real file, compressed on CPU cores and on simulated boards."""

from __future__ import annotations

import gzip
import sysconfig
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from accel_drivers.gzip._kernel import Gzip
from accel_sdk.data import MIB
from accel_sdk.errors import AccelError
from accel_sdk.output import open_output
from accel_sdk.registry import default_registry
from accel_sdk.report import Report
from accel_sdk.runner import Runner

_MIN_BYTES = 50_000_000
_MOST_BYTES = 120_000_000


def demo(show: Callable[[str, Report | None], None]) -> None:
    """Compress files of this machine's Python on every device, and check the result with Python's gzip.

    Parameters
    ----------
    show
        Called with a line for people, and with the report of a run that it belongs to.

    Raises
    ------
    AccelError
        If a device fails, or a result is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="accel-demo-") as folder:
        source, packed = Path(folder, "python.bin"), Path(folder, "python.bin.gz")
        files, crc = _make_file(source)
        size = source.stat().st_size
        show(f"gzip: {files} files of this machine's Python, {size / 1e6:.1f} MB in one", None)
        able = default_registry().devices("gzip")
        kinds = dict.fromkeys(device.kind for device in able)
        for kind in kinds:
            names = [device.name for device in able if device.kind is kind]
            with Runner(names) as runner:
                runner.run(Gzip(), source, out=packed)
            _check(packed, size, crc)
            ratio = size / packed.stat().st_size
            show(f"{len(names)} {kind} devices, ratio {ratio:.2f}, checked with Python's gzip", runner.report)


def _make_file(target: Path) -> tuple[int, int]:
    """Collect files of the Python installation; return how many, and the CRC-32 of all of them."""
    crc = written = count = 0
    with open_output(target) as out:
        while written < _MIN_BYTES:
            before = written
            for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*")):
                if written >= _MOST_BYTES:
                    break
                if path.is_file() and not path.is_symlink():
                    data = path.read_bytes()
                    out.write(data)
                    crc, written, count = zlib.crc32(data, crc), written + len(data), count + 1
            if written == before:
                raise AccelError("this machine's Python has no library files to compress")
    return count, crc


def _check(packed: Path, size: int, crc: int) -> None:
    """Decompress with Python's gzip, an independent reader, and compare with the original."""
    found_crc = found_size = 0
    with gzip.open(packed) as file:
        while piece := file.read(MIB):
            found_crc, found_size = zlib.crc32(piece, found_crc), found_size + len(piece)
    if (found_size, found_crc) != (size, crc):
        raise AccelError("the compressed file does not hold the original")
