"""Tables and the progress bar, by rich. Imported only when something is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from accel_sdk.report import Report

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 20
_WIDE = 200  # for a file or a pipe, where rich would fold lines at 80 columns


class Advance(Protocol):
    """Adds to a progress bar."""

    def __call__(self, amount: int, /) -> None: ...


def console(*, stderr: bool = False) -> Console:
    """Return a console that neither folds nor colours what goes into a file or pipe."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDE)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> Table:
    """Return a plain table; `right` numbers the columns to align there."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for column, text in enumerate(head):
        made.add_column(_escaped(text), justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_escaped(cell) for cell in row))
    return made


def report_table(report: Report) -> Table:
    """Return a report's rows as a table."""
    return table(Report.HEAD, [report.cells(row) for row in report.devices], right=range(2, 8))


def show_report(report: Report, target: Console) -> None:
    """Print a report: the table, what was set aside, the summary."""
    target.print(report_table(report))
    for line in report.remarks():
        target.print(_escaped(line))
    target.print(_escaped(report.summary()))


@contextmanager
def progress_bar(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show a progress bar on standard error while the block runs."""
    amounts = [DownloadColumn(), TransferSpeedColumn()] if unit == "B" else [MofNCompleteColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *amounts, TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_escaped(label), total=total)
        yield lambda amount: progress.advance(task, amount)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")  # rich would take it for markup


def show_table(rows: pa.Table, formats: Sequence[str], target: Console) -> None:
    """Print the first rows of an Arrow table, and how many more there are.

    Parameters
    ----------
    formats
        Suffixes of the files that could hold all of them.
    """
    shown = rows.slice(0, _MOST_ROWS)
    columns = [column.to_pylist() for column in shown.columns]
    right = [number for number, values in enumerate(columns) if all(map(_is_number, values))]
    cells = [["" if value is None else str(value) for value in row] for row in zip(*columns, strict=True)]
    target.print(table(rows.column_names, cells, right))
    more = rows.num_rows - shown.num_rows
    if more:
        names = " or ".join(f"out{suffix}" for suffix in formats if suffix)
        keep = f"; -o {names} keeps them all" if names else ""
        target.print(f"... and {more:,} more row{'s' if more > 1 else ''}{keep}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
