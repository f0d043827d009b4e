"""The report of an audit: one page that needs no network, and in which each number opens ten images."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_runtime.audit import findings
from gagrad_runtime.audit.distributions import distributions
from gagrad_runtime.audit.page_tables import distributions_html, sides_html, weeks_html
from gagrad_runtime.audit.page_words import scope_name, sentence, words
from gagrad_runtime.audit.reading import codes, finished, read
from gagrad_runtime.audit.sides import sides
from gagrad_runtime.audit.thumbnails import Thumbnails
from gagrad_runtime.language import plural, text
from gagrad_runtime.language.numbers import rate_text, share_text
from gagrad_runtime.report.colour import colour_bar
from gagrad_runtime.report.html_page import escape, fill, image
from gagrad_runtime.report.thumbnail import jpeg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_runtime.audit.findings import Cell, Copies, History, MeanMaps
    from gagrad_runtime.audit.plan import Plan

PAGE = "report.html"
_SIDE = 176
"""Side of a mean map on the page, in pixels."""
_GROUPS = 10
"""Groups of duplicates, and changed answers, that are shown."""


def write_report(folder: Path, against: Path | None = None) -> Path:
    """Write ``report.html`` of the audit in ``folder``, in the current language, and return its path.

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
    names = (text("reference period"), text("after it"))
    # In the order of what matters: a page has room for so many pictures.
    values = {
        "alarms": _alarms(cells, pictures),
        "maps": _maps(findings.mean_maps(folder, past, reference), names, pictures),
        "versus": "" if against is None else _versus(folder, against, pictures),
        "copies": _copies(findings.copies(folder), pictures),
        "errors": _errors(folder, pictures),
        "distributions": distributions_html(distributions(past, reference), pictures),
        "weeks": weeks_html(cells, pictures),
    }
    title = plural(
        "Audit of {images} image", "Audit of {images} images", plan.images, images=f"{plan.images:,}"
    )
    values |= {
        "title": escape(title),
        "facts": escape(_facts(folder, plan, past, reference)),
        "w_versus_link": "" if against is None else f'<a href="#versus">{escape(_title_of_versus())}</a>',
    }
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    page = fill(template, {**words(), **values, "pictures": pictures.style()})
    write_atomic(folder / PAGE, [page.encode()])
    return folder / PAGE


def _facts(folder: Path, plan: Plan, past: History, reference: int) -> str:
    explained = len(read(folder, ["row"], "explained"))
    ng = past.values["ng"]
    known = ng[~np.isnan(ng)]
    days = plural("{count} day", "{count} days", past.span)
    parts = [
        text("bundle {name}", name=plan.asked.sha256[:12]),
        text("{count} answers", count=f"{len(past.row):,}"),
        text("{count} NG", count=f"{int(known.sum()):,}")
        if len(known)
        else text("no class is known to be good"),
        text("{count} explained", count=f"{explained:,}"),
        text("{days} from {first}", days=days, first=f"{past.first:%Y-%m-%d}")
        if past.span
        else text("no times"),
        plural(
            "reference period: the first {count} day", "reference period: the first {count} days", reference
        ),
    ]
    return " · ".join(parts)


def _alarms(cells: list[Cell], pictures: Thumbnails) -> str:
    found = [one for one in cells if one.alarm]
    if not any(one.comparison.chance is not None for one in cells):
        return f"<p>{escape(text('Nothing was tested: there are too few days.'))}</p>"
    if not found:
        nothing = text("Nothing: no week differs from the reference period by more than its days do.")
        return f"<p>{escape(nothing)}</p>"
    return "".join(
        f"<details><summary><b>{escape(scope_name(one.scope))}</b>, "
        f"{escape(text('week of {day}', day=f'{one.week:%Y-%m-%d}'))}: "
        f"{escape(sentence(one))}</summary>{pictures.html(one.rows)}</details>"
        for one in found
    )


def _maps(maps: MeanMaps | None, names: tuple[str, str], pictures: Thumbnails) -> str:
    if maps is None:
        return f"<p>{escape(text('One of the two has no explained images.'))}</p>"
    top = float(max(maps.before.max(), maps.after.max())) or 1.0
    moved = maps.after - maps.before
    more = np.clip(moved, 0, None)
    share = share_text(float(np.abs(moved).sum() / 2))
    counts = [plural("{count} map", "{count} maps", count) for count in maps.counts]
    shown = [
        (text("{name}, {maps}", name=names[0], maps=counts[0]), maps.before / top),
        (text("{name}, {maps}", name=names[1], maps=counts[1]), maps.after / top),
        (text("more than before: {share} of the map moved", share=share), more / (more.max() or 1.0)),
    ]
    figures = "".join(
        f"<figure>{image(heat(values), says)}<figcaption>{escape(says)}</figcaption></figure>"
        for says, values in shown
    )
    like = text("The ten images that are most like the difference")
    return (
        f'<div class="maps">{figures}</div><details><summary>{escape(like)}</summary>'
        f"{pictures.html(maps.rows)}</details>"
    )


def heat(values: NDArray[np.float64]) -> bytes:
    """Return ``values [16, 16]``, 0..1, in the colours of the maps, as JPEG."""
    colours = colour_bar(256, 1)[::-1, 0]
    picture = colours[np.rint(np.clip(values, 0, 1) * 255).astype(int)]
    return jpeg(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST))


def _title_of_versus() -> str:
    return text("Against the other bundle")


def _versus(folder: Path, other: Path, pictures: Thumbnails) -> str:
    versus = findings.versus(folder, other)
    changed = sum(len(rows) for _, _, rows in versus.changed)
    lines = "".join(
        f"<details><summary>{escape(before)} → {escape(after)}: {len(rows):,}</summary>"
        f"{pictures.html(rows[: findings.SHOWN])}</details>"
        for before, after, rows in versus.changed[:_GROUPS]
    )
    maps = _maps(versus.maps, (text("the other bundle"), text("this bundle")), pictures)
    says = text(
        "{count} images are in both; {changed} ({share}) have another answer.",
        count=f"{versus.images:,}",
        changed=f"{changed:,}",
        share=rate_text(changed / max(versus.images, 1)),
    )
    asks = text("What does this bundle look at that the other did not? Images that both explain:")
    numbers = text("The same images with both. Marked: the interval leaves out 0.")
    return (
        f'<h2 id="versus">{escape(_title_of_versus())}</h2><p>{escape(says)}</p>{lines}'
        f"<p>{escape(asks)}</p>{maps}<p>{escape(numbers)}</p>{sides_html(sides(folder, other), pictures)}"
    )


def _copies(copies: Copies, pictures: Thumbnails) -> str:
    parts = []
    for title, found in ((text("Equal pixels"), copies.equal), (text("Nearly equal"), copies.alike)):
        members = sum(len(one) for one in found)
        lines = "".join(
            f"<details><summary>{escape(plural('{count} image', '{count} images', len(one)))}</summary>"
            f"{pictures.html(one[: findings.SHOWN])}</details>"
            for one in found[:_GROUPS]
        )
        groups = plural(
            "{count} group of {images} images", "{count} groups of {images} images",
            len(found), images=f"{members:,}",
        )  # fmt: skip
        parts.append(f"<p><b>{escape(title)}</b>: {escape(groups)}</p>{lines}")
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
    return lines or f"<p>{escape(text('None.'))}</p>"
