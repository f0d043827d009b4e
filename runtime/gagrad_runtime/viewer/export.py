"""The history as a file: what is filtered, as CSV, or as Parquet where pyarrow is installed.

Rows are read page by page and written as they come, so that a million of them take no memory.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError
from gagrad_runtime.labels.lines import MARK, line, moment
from gagrad_runtime.viewer.history import history

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from gagrad_runtime.viewer.history import Filter
    from gagrad_runtime.viewer.values import Row

COLUMNS = (
    "id", "station", "number", "name", "part", "time", "state", "verdict", "probability", "outcome", "reason",
    "cautions", "strength", "stability", "looked", "label",
)  # fmt: skip
"""In this order; ``time`` is UTC, ``2026-11-25T09:30:00Z``."""
MOST = 1_000_000
"""Rows of the longest file; a filter makes several of it."""
_PAGE = 1000


def rows(connection: sqlite3.Connection, wanted: Filter) -> Iterator[list[Row]]:
    """Yield the rows that ``wanted`` lets through, the newest first, a page at a time."""
    before, count = None, 0
    while count < MOST:
        page = history(connection, wanted, before=before, limit=_PAGE)
        yield list(page.rows)
        count += len(page.rows)
        before = page.older
        if before is None:
            return


def csv_lines(connection: sqlite3.Connection, wanted: Filter) -> Iterator[bytes]:
    """Yield the lines of a CSV file, UTF-8 with the mark by which spreadsheets know it."""
    yield MARK + line(COLUMNS)
    for found in rows(connection, wanted):
        yield b"".join(line(_values(row)) for row in found)


def _values(row: Row) -> tuple[Any, ...]:
    return (
        row.id, row.station, row.number, row.name, row.part, moment(row.time), row.state, row.verdict,
        row.probability, row.outcome or "", row.reason, " ".join(row.cautions), row.strength or "",
        row.stability, int(row.looked), row.label,
    )  # fmt: skip


def write_parquet(connection: sqlite3.Connection, wanted: Filter, file: IO[bytes]) -> None:
    """Write Parquet into ``file``. Raises MissingPackageError."""
    try:
        import pyarrow as arrow  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackageError(
            f"Parquet needs the package pyarrow ({error})", hint="pip install pyarrow, or export CSV"
        ) from error
    text, number, real = arrow.string(), arrow.int64(), arrow.float64()
    kinds = {
        "id": number, "number": number, "time": arrow.timestamp("s", tz="UTC"), "probability": real,
        "stability": real, "looked": arrow.bool_(), "cautions": arrow.list_(text),
    }  # fmt: skip
    schema = arrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])
    with parquet.ParquetWriter(file, schema) as writer:
        for found in rows(connection, wanted):
            if found:
                columns = {name: [getattr(row, name) for row in found] for name in COLUMNS}
                writer.write_table(arrow.table(columns, schema=schema))


def has_parquet() -> bool:
    """Return whether Parquet can be written here."""
    import importlib.util  # noqa: PLC0415 - asked once

    return importlib.util.find_spec("pyarrow") is not None
