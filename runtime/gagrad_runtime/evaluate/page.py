"""The report: one HTML page that needs no network and no other files, and its tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge import json_text
from gagrad_edge.atomic import write_atomic
from gagrad_runtime.evaluate.table import METRICS, Row, Summary, shown, summarise, used_metrics
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.html_page import escape, fill, image, style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gagrad_runtime.evaluate.journal import Entry
    from gagrad_runtime.evaluate.table import Metric, Summary


_UNDER_A_PICTURE = ("mass", "rcap", "insertion", "deletion", "stability")


def render_page(
    bundle: str, entries: Sequence[Entry], frames: Mapping[str, bytes], facts: Sequence[str]
) -> str:
    """Return the HTML of the report; ``frames`` are the images' thumbnails by name, JPEG."""
    rows = [entry.row for entry in entries]
    metrics, summaries = used_metrics(rows), summarise(rows)
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return fill(
        template,
        {
            "title": escape(f"Explanations of {bundle}, compared"),
            "style": style(),
            "facts": escape(" · ".join(facts)),
            "head": "".join(_head(metric) for metric in metrics),
            "body": "\n".join(_summary_row(summary, metrics, summaries) for summary in summaries),
            "words": "\n".join(_words(metric) for metric in metrics),
            "images": "\n".join(
                _image_row(name, frame, [entry for entry in entries if entry.row.image == name], metrics)
                for name, frame in frames.items()
            ),
        },
    )


def _head(metric: Metric) -> str:
    arrow = "▲" if metric.better == "higher" else "▼"
    says = escape(f"{metric.says} {metric.better.capitalize()} is better.")
    return (
        f'<th aria-sort="none"><button title="{says}">{escape(metric.title)} '
        f'<span class="better">{arrow}</span></button></th>'
    )


def _words(metric: Metric) -> str:
    return (
        f"<dt>{escape(metric.title)}</dt><dd>{escape(metric.says)} "
        f"<b>{metric.better.capitalize()} is better.</b></dd>"
    )


def _summary_row(summary: Summary, metrics: Sequence[Metric], summaries: Sequence[Summary]) -> str:
    cells = [f"<th>{escape(summary.method)}</th>"]
    for metric in metrics:
        value, error = summary.values[metric.field], summary.errors[metric.field]
        known = [s.values[metric.field] for s in summaries if s.values[metric.field] is not None]
        pick = max if metric.better == "higher" else min
        best = ' class="best"' if value is not None and value == pick(known) and len(known) > 1 else ""  # type: ignore[type-var]
        spread = "" if error is None else f" <small>± {shown(metric, error)}</small>"
        title = f"{summary.counts[metric.field]} images"
        cells.append(
            f'<td{best} data-value="{"" if value is None else repr(value)}" title="{title}">'
            f"{shown(metric, value)}{spread}</td>"
        )
    return f"<tr>{''.join(cells)}</tr>"


def _image_row(name: str, frame: bytes, entries: Sequence[Entry], metrics: Sequence[Metric]) -> str:
    row = entries[0].row
    cells = [f'<td>{image(frame, name)}<p class="name">{escape(name)}</p><p>{_answer(row)}</p></td>']
    for entry in entries:
        picture = image(entry.picture, f"{entry.row.method} of {name}")
        name_line = f'<p class="name">{escape(entry.row.method)}</p>'
        cells.append(f"<td>{picture}{name_line}{_figures(entry.row, metrics)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _answer(row: Row) -> str:
    chance = "" if row.probability is None else f" {percent(row.probability)}"
    return escape(f"{row.target}{chance}")


def _figures(row: Row, metrics: Sequence[Metric]) -> str:
    parts = [
        f"<dt>{escape(metric.title)}</dt><dd>{shown(metric, getattr(row, metric.field))}</dd>"
        for metric in metrics
        if metric.field in _UNDER_A_PICTURE and getattr(row, metric.field) is not None
    ]
    return f'<dl class="figures">{"".join(parts)}</dl>'


_COLUMNS = ("image", "method", "target", "probability", *(metric.field for metric in METRICS))


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """``results.json``."""

    schema: int = 1
    bundle: str
    facts: list[str]
    """Conditions of the measurement, in words."""
    summary: list[Summary]
    rows: list[Row]


def write_results(
    output: Path, bundle: str, entries: Sequence[Entry], frames: Mapping[str, bytes], facts: list[str]
) -> Path:
    """Write results.csv, results.json and report.html to ``output``; return the page's path."""
    rows = [entry.row for entry in entries]
    results = Results(bundle=bundle, facts=facts, summary=summarise(rows), rows=rows)
    write_atomic(output / "results.csv", [_csv(rows)])
    write_atomic(output / "results.json", [json_text.encode(results), b"\n"])
    page = output / "report.html"
    write_atomic(page, [render_page(bundle, entries, frames, facts).encode()])
    return page


def _csv(rows: list[Row]) -> bytes:
    """Return the rows as CSV, without the curves; a metric that does not apply is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = (getattr(row, column) for column in _COLUMNS)
        writer.writerow([int(value) if isinstance(value, bool) else value for value in values])
    return stream.getvalue().encode()
