"""A kernel whose chunks carry several blobs, importable in the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

from accel_sdk import Accelerator, Blob, Carrier, Device, Driver, Kernel, Kind
from accel_sdk.data import open_input
from accel_sdk.kernel import AnyKernel


@dataclass(frozen=True)
class Page(Carrier):
    """Texts and their headings."""

    number: int
    texts: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return self.texts

    def with_blobs(self, blobs: tuple[Blob, ...]) -> Page:
        return replace(self, texts=blobs)


Said = list[tuple[int, int, str, bytes]]


@dataclass(frozen=True)
class Spell(Kernel["Page", "Said"]):
    """Say of each text on each page: page, process, what it came as, content."""

    name: ClassVar[str] = "spell"

    def split(self, data: object, shares: Sequence[float]) -> Iterator[Page]:
        for number, paths in enumerate(cast("list[list[Path]]", data)):
            yield Page(number, tuple(cast(Blob, open_input(path)) for path in paths))

    def merge(self, parts: Iterable[Said]) -> Said:
        return [text for part in parts for text in part]


class SpellDriver(Driver):
    """Two readers."""

    name = "spell.reader"
    kernels = (Spell,)

    def devices(self) -> Iterable[Device]:
        return [Device(f"reader:{number}", Kind.HARDWARE) for number in range(2)]

    def open(self, kernel: AnyKernel, device: Device) -> Accelerator[Page, Said]:
        return _Reader(kernel, device)


class _Reader(Accelerator["Page", "Said"]):
    def _run(self, chunk: Page) -> Said:
        return [(chunk.number, os.getpid(), type(t).__name__, bytes(t.view())) for t in chunk.texts]
