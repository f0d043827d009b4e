"""The files of a study: a table for spreadsheets, all of it as JSON, and the page for people."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.atomic import write_atomic
from gagrad_runtime.evaluate.page import render_page
from gagrad_runtime.evaluate.table import METRICS, Row, Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gagrad_runtime.evaluate.journal import Entry

_COLUMNS = ("image", "method", "target", "probability", *(metric.field for metric in METRICS))


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """``results.json``."""

    schema: int = 1
    bundle: str
    facts: list[str]
    """How the figures came about, in words."""
    summary: list[Summary]
    rows: list[Row]


def write_results(
    output: Path, bundle: str, entries: Sequence[Entry], frames: Mapping[str, bytes], facts: list[str]
) -> Path:
    """Write results.csv, results.json and report.html to ``output``; return the page's path."""
    rows = [entry.row for entry in entries]
    results = Results(bundle=bundle, facts=facts, summary=summarise(rows), rows=rows)
    write_atomic(output / "results.csv", [_csv(rows)])
    write_atomic(output / "results.json", [msgspec.json.encode(results), b"\n"])
    page = output / "report.html"
    write_atomic(page, [render_page(bundle, entries, frames, facts).encode()])
    return page


def _csv(rows: list[Row]) -> bytes:
    """Return the rows without the curves; what cannot be measured is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = (getattr(row, column) for column in _COLUMNS)
        writer.writerow([int(value) if isinstance(value, bool) else value for value in values])
    return stream.getvalue().encode()
