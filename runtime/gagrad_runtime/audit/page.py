"""The report of an audit: one page that needs no network, and in which each number opens ten images."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_edge.summary import counted
from gagrad_runtime.audit import findings
from gagrad_runtime.audit.drift import RISK
from gagrad_runtime.audit.reading import codes, finished, read
from gagrad_runtime.audit.thumbnails import Thumbnails
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.colour import colour_bar
from gagrad_runtime.report.html_page import escape, fill, image, legend
from gagrad_runtime.report.thumbnail import jpeg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_runtime.audit.findings import Cell, Copies, History, MeanMaps, Versus
    from gagrad_runtime.audit.plan import Plan

PAGE = "report.html"
_SIDE = 176
"""Side of a mean map on the page, in pixels."""
_GROUPS = 10
"""Groups of duplicates, and changed answers, that are shown."""


def write_report(folder: Path, against: Path | None = None) -> Path:
    """Write ``report.html`` of the audit in ``folder``, and return its path.

    ``against`` is the folder of an audit of another bundle, with which it is compared. Raises InputError
    where one of them is not finished, and OutputError.
    """
    plan = finished(folder)
    if against is not None:
        finished(against)
    pictures = Thumbnails(folder, plan)
    past = findings.history(folder)
    reference = findings.reference_days(past)
    cells = findings.cells(past, reference)
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    values = {
        "title": escape(f"Audit of {plan.images:,} images"),
        "facts": escape(_facts(folder, plan, past, reference)),
        "alarms": _alarms(cells, pictures),
        "risk": f"{RISK:.0%}",
        "maps": _maps(
            findings.mean_maps(folder, past, reference), ("reference period", "after it"), pictures
        ),
        "versus": "" if against is None else _versus(findings.versus(folder, against), pictures),
        "tables": _tables(cells, pictures),
        "copies": _copies(findings.copies(folder), pictures),
        "errors": _errors(folder, pictures),
        "legend": legend(),
    }
    page = fill(template, {**values, "pictures": pictures.style()})
    write_atomic(folder / PAGE, [page.encode()])
    return folder / PAGE


def _facts(folder: Path, plan: Plan, past: History, reference: int) -> str:
    explained = len(read(folder, ["row"], "explained"))
    ng = past.values["ng"]
    known = ng[~np.isnan(ng)]
    parts = [
        f"bundle {plan.asked.sha256[:12]}",
        f"{len(past.row):,} answers",
        f"{int(known.sum()):,} NG" if len(known) else "no class is known to be good",
        f"{explained:,} explained",
        f"{counted(past.span, 'day')} from {past.first:%Y-%m-%d}" if past.span else "no times",
        f"reference period: the first {counted(reference, 'day')}",
    ]
    return " · ".join(parts)


def _alarms(cells: list[Cell], pictures: Thumbnails) -> str:
    found = [one for one in cells if one.alarm]
    if not any(one.comparison.chance is not None for one in cells):
        return "<p>Nothing was tested: there are too few days.</p>"
    if not found:
        return "<p>Nothing: no week differs from the reference period by more than its days do.</p>"
    return "".join(
        f"<details><summary><b>{escape(one.scope)}</b>, week of {one.week:%Y-%m-%d}: "
        f"{escape(_sentence(one))}</summary>{pictures.html(one.rows)}</details>"
        for one in found
    )


def _sentence(cell: Cell) -> str:
    quantity, comparison = cell.quantity, cell.comparison
    if quantity.classes > 1:
        return f"{comparison.difference:.0%} of {quantity.title} moved ({_interval(cell)})"
    return (
        f"{quantity.title} {_number(comparison.after[0])} instead of {_number(comparison.before[0])} "
        f"(difference {_interval(cell)})"
    )


def _interval(cell: Cell) -> str:
    low, high = cell.comparison.low, cell.comparison.high
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _tables(cells: list[Cell], pictures: Thumbnails) -> str:
    parts = []
    for scope in dict.fromkeys(one.scope for one in cells):
        members = {(one.week, one.quantity.name): one for one in cells if one.scope == scope}
        weeks = sorted({week for week, _ in members})
        rows = [
            f"<tr><th>{week:%Y-%m-%d}</th>"
            + "".join(_cell(members.get((week, one.name)), pictures) for one in findings.QUANTITIES)
            + "</tr>"
            for week in weeks
        ]
        head = "".join(f"<th>{escape(one.title)}</th>" for one in findings.QUANTITIES)
        before = {one.quantity.name: one.comparison.before for one in members.values()}
        means = "".join(
            f"<td>{_number(before[one.name][0]) if one.name in before and one.classes == 1 else ''}</td>"
            for one in findings.QUANTITIES
        )
        parts.append(
            f"<h3>{escape(scope)}</h3><div class=scroll><table><thead><tr><th>week of</th>{head}</tr></thead>"
            f"<tbody><tr class=quiet><th>reference</th>{means}</tr>{''.join(rows)}</tbody></table></div>"
        )
    return "".join(parts) or "<p>No image after the reference period has a time.</p>"


def _cell(cell: Cell | None, pictures: Thumbnails) -> str:
    if cell is None:
        return "<td></td>"
    comparison = cell.comparison
    several = cell.quantity.classes > 1
    shown = f"{comparison.difference:.0%} moved" if several else _number(comparison.after[0])
    mark = ' class="alarm"' if cell.alarm else ""
    spread = "" if comparison.chance is None else f" <small>{_interval(cell)}</small>"
    return f"<td{mark}><details><summary>{shown}{spread}</summary>{pictures.html(cell.rows)}</details></td>"


def _maps(maps: MeanMaps | None, names: tuple[str, str], pictures: Thumbnails) -> str:
    if maps is None:
        return "<p>One of the two has no explained images.</p>"
    top = float(max(maps.before.max(), maps.after.max())) or 1.0
    moved = maps.after - maps.before
    more = np.clip(moved, 0, None)
    shown = [
        (f"{names[0]}, {counted(maps.counts[0], 'map')}", maps.before / top),
        (f"{names[1]}, {counted(maps.counts[1], 'map')}", maps.after / top),
        (f"more than before: {np.abs(moved).sum() / 2:.1%} of the map moved", more / (more.max() or 1.0)),
    ]
    figures = "".join(
        f"<figure>{image(heat(values), words)}<figcaption>{escape(words)}</figcaption></figure>"
        for words, values in shown
    )
    return (
        f'<div class="maps">{figures}</div><details><summary>the ten images that are most like the '
        f"difference</summary>{pictures.html(maps.rows)}</details>"
    )


def heat(values: NDArray[np.float64]) -> bytes:
    """Return ``values [16, 16]``, 0..1, in the colours of the maps, as JPEG."""
    colours = colour_bar(256, 1)[::-1, 0]
    picture = colours[np.rint(np.clip(values, 0, 1) * 255).astype(int)]
    return jpeg(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST))


def _versus(versus: Versus, pictures: Thumbnails) -> str:
    changed = sum(len(rows) for _, _, rows in versus.changed)
    share = changed / max(versus.images, 1)
    lines = "".join(
        f"<details><summary>{escape(before)} → {escape(after)}: {len(rows):,}</summary>"
        f"{pictures.html(rows[: findings.SHOWN])}</details>"
        for before, after, rows in versus.changed[:_GROUPS]
    )
    maps = _maps(versus.maps, ("the other bundle", "this bundle"), pictures)
    return (
        f"<h2>Against the other bundle</h2><p>{versus.images:,} images are in both; {changed:,} "
        f"({percent(share)}) have another answer.</p>{lines}"
        f"<p>What does this bundle look at that the other did not? Images that both explain:</p>{maps}"
    )


def _copies(copies: Copies, pictures: Thumbnails) -> str:
    parts = []
    for title, found in (("equal pixels", copies.equal), ("nearly equal", copies.alike)):
        members = sum(len(one) for one in found)
        lines = "".join(
            f"<details><summary>{counted(len(one), 'image')}</summary>"
            f"{pictures.html(one[: findings.SHOWN])}</details>"
            for one in found[:_GROUPS]
        )
        parts.append(f"<p><b>{title}</b>: {counted(len(found), 'group')} of {members:,} images</p>{lines}")
    return "".join(parts)


def _errors(folder: Path, pictures: Thumbnails) -> str:
    table = read(folder, ["row", "error"])
    (kinds, texts), rows = codes(table, "error"), table["row"].to_numpy()
    lines = "".join(
        f"<details><summary>{escape(text)}: {int((kinds == code).sum()):,}</summary>"
        f"{pictures.html(rows[kinds == code][: findings.SHOWN])}</details>"
        for code, text in enumerate(texts)
        if text
    )
    return lines or "<p>None.</p>"
