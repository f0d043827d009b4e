"""The tables of the report: week by week, distributions, two bundles side by side."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.audit.findings import COARSE, QUANTITIES
from gagrad_runtime.audit.page_words import interval, scope_name
from gagrad_runtime.language import text
from gagrad_runtime.language.numbers import points_text, rate_text
from gagrad_runtime.report.html_page import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_runtime.audit.distributions import Distribution
    from gagrad_runtime.audit.findings import Cell, Rows
    from gagrad_runtime.audit.sides import Side
    from gagrad_runtime.audit.thumbnails import Thumbnails

_BAR, _TALL = 120, 40
"""Length of the bar of all parts, and height of a line of weeks, in pixels."""
_LINE = 2
"""Weeks below which there is no line."""


def weeks_html(cells: Sequence[Cell], pictures: Thumbnails) -> str:
    """Return a table for each station: a row for each week, a column for each quantity."""
    parts = []
    for scope in dict.fromkeys(one.scope for one in cells):
        members = {(one.week, one.quantity.name): one for one in cells if one.scope == scope}
        weeks = sorted({week for week, _ in members})
        rows = "".join(
            f"<tr><th>{week:%Y-%m-%d}</th>"
            + "".join(_cell(members.get((week, one.name)), pictures) for one in QUANTITIES)
            + "</tr>"
            for week in weeks
        )
        head = "".join(f"<th>{escape(text(one.title))}</th>" for one in QUANTITIES)
        before = {
            one.quantity.name: rate_text(float(one.comparison.before[0]))
            for one in members.values()
            if one.quantity.classes == 1
        }
        means = "".join(f"<td>{before.get(one.name, '')}</td>" for one in QUANTITIES)
        courses = "".join(
            f"<td>{_course([members[week, one.name] for week in weeks if (week, one.name) in members])}</td>"
            for one in QUANTITIES
        )
        parts.append(
            f"<h3>{escape(scope_name(scope))}</h3><div class=scroll><table><thead><tr>"
            f"<th>{escape(text('week of'))}</th>{head}</tr></thead><tbody><tr class=steady>"
            f"<th>{escape(text('reference period'))}</th>{means}</tr>"
            f"<tr><th>{escape(text('course'))}</th>{courses}</tr>{rows}</tbody></table></div>"
        )
    return "".join(parts) or _nothing(text("No image after the reference period has a time."))


def _course(cells: Sequence[Cell]) -> str:
    """Return the weeks as a line of dots, dashed where the reference period is, and red where an alarm is."""
    if len(cells) < _LINE or cells[0].quantity.classes > 1:
        return ""
    values = np.array([float(one.comparison.after[0]) for one in cells])
    before = float(np.nan_to_num(cells[0].comparison.before[0], nan=values[0]))
    low, high = min(values.min(), before), max(values.max(), before)
    down = (1 - (np.append(values, before) - low) / ((high - low) or 1)) * (_TALL - 10) + 5
    across = np.linspace(5, _BAR - 5, len(cells))
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{"#c92a2a" if one.alarm else "#0a5aa8"}"/>'
        for x, y, one in zip(across, down, cells, strict=False)
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=False))
    return (
        f'<svg width="{_BAR}" height="{_TALL}" role="presentation"><path d="M0 {down[-1]:.1f}H{_BAR}" '
        f'stroke="#8a929c" stroke-dasharray="3 3"/><polyline points="{line}" fill="none" '
        f'stroke="#0a5aa8"/>{dots}</svg>'
    )


def _nothing(words: str) -> str:
    return f"<p>{escape(words)}</p>"


def _cell(cell: Cell | None, pictures: Thumbnails) -> str:
    if cell is None:
        return "<td></td>"
    comparison = cell.comparison
    number = rate_text(float(comparison.after[0]) if cell.quantity.classes == 1 else comparison.difference)
    if cell.quantity.classes > 1 and not np.isnan(comparison.difference):
        number = text("{share} elsewhere", share=rate_text(comparison.difference))
    mark = ' class="alarm"' if cell.alarm else ""
    between = interval(comparison.low, comparison.high, signed=cell.quantity.classes == 1)
    return f"<td{mark}>{_opening(number, between, cell.rows, pictures)}</td>"


def _opening(number: str, between: str, rows: Rows, pictures: Thumbnails) -> str:
    """Return a number with its interval in grey, which opens the images of ``rows``."""
    spread = f" <small>{escape(between)}</small>" if between else ""
    if not len(rows):
        return f"{escape(number)}{spread}"
    return f"<details><summary>{escape(number)}{spread}</summary>{pictures.html(rows)}</details>"


def distributions_html(found: dict[str, list[Distribution]], pictures: Thumbnails) -> str:
    """Return the distributions of each station beside each other."""
    parts = [
        f"<h3>{escape(scope_name(scope))}</h3><div class=side>"
        + "".join(_places(one, pictures) if not one.kind.edges else _ranges(one, pictures) for one in listed)
        + "</div>"
        for scope, listed in found.items()
    ]
    return "".join(parts) or _nothing(text("There is nothing to compare: one of the two periods is empty."))


def _ranges(one: Distribution, pictures: Thumbnails) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{rate_text(float(before))}</td><td>{_bars(before, after)}"
        f"</td><td>"
        f"{_opening(rate_text(float(after)), interval(float(low), float(high)), shown, pictures)}</td></tr>"
        for name, before, after, low, high, shown in zip(
            _names(one.kind.edges), one.before, one.after, one.low, one.high, one.rows, strict=True
        )
    )
    return f"<div><b>{escape(text(one.kind.title))}</b><table>{_head(one)}<tbody>{rows}</tbody></table></div>"


def _head(one: Distribution) -> str:
    before = text("reference period, {count} parts", count=f"{one.counts[0]:,}")
    after = text("after it, {count} parts", count=f"{one.counts[1]:,}")
    return f"<thead><tr><th></th><th>{escape(before)}</th><th></th><th>{escape(after)}</th></tr></thead>"


def _names(edges: Sequence[float]) -> list[str]:
    """Return the names of the ranges between ``edges``."""
    whole = [f"{edge * 100:.0f}" for edge in edges]
    between = [f"{low}–{high} %" for low, high in pairwise(whole)]
    first = text("under {edge} %", edge=whole[0])
    return [first, *between, text("{edge} % and more", edge=whole[-1])]


def _bars(before: float, after: float) -> str:
    """Return two bars, one above the other."""
    bars = ((2, before, "#b9c2cd"), (12, after, "#0a5aa8"))
    rectangles = "".join(
        f'<rect y="{top}" width="{length * _BAR:.1f}" height="8" fill="{colour}"/>'
        for top, length, colour in bars
    )
    return f'<svg width="{_BAR}" height="22" role="presentation">{rectangles}</svg>'


def _places(one: Distribution, pictures: Thumbnails) -> str:
    lines = []
    for row in range(COARSE):
        cells = []
        for index in range(row * COARSE, (row + 1) * COARSE):
            number = f"{rate_text(float(one.before[index]))} → {rate_text(float(one.after[index]))}"
            between = interval(float(one.low[index]), float(one.high[index]))
            cells.append(f"<td>{_opening(number, between, one.rows[index], pictures)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    says = text("The cells lie as in the frame: reference period → after it.")
    return (
        f"<div><b>{escape(text(one.kind.title))}</b><p class=quiet>{escape(says)}</p>"
        f"<table class=places><tbody>{''.join(lines)}</tbody></table></div>"
    )


def sides_html(found: Sequence[Side], pictures: Thumbnails) -> str:
    """Return the numbers of two bundles, a row for each station and quantity."""
    heads = (
        "", text("images"), text("the other bundle"), text("this bundle"), text("difference, in points"),
    )  # fmt: skip
    parts = []
    for scope in dict.fromkeys(one.scope for one in found):
        rows = "".join(_side(one, pictures) for one in found if one.scope == scope)
        head = "".join(f"<th>{escape(name)}</th>" for name in heads)
        parts.append(
            f"<h3>{escape(scope_name(scope))}</h3><div class=scroll><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )
    return "".join(parts)


def _side(one: Side, pictures: Thumbnails) -> str:
    several = one.quantity.classes > 1
    number = points_text(one.difference)
    if several:
        number = text("{share} elsewhere", share=rate_text(one.difference))
    certain = not several and not np.isnan(one.low) and (one.low > 0 or one.high < 0)
    mark = ' class="apart"' if certain else ""
    between = interval(one.low, one.high, signed=not several)
    before, after = ("" if several else rate_text(mean) for mean in (one.before, one.after))
    return (
        f"<tr><th>{escape(text(one.quantity.title))}</th><td>{one.images:,}</td>"
        f"<td>{before}</td><td>{after}</td>"
        f"<td{mark}>{_opening(number, between, one.rows, pictures)}</td></tr>"
    )
