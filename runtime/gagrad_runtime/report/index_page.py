"""The page of many explanations: ``index.html`` and the same as ``index.csv``.

One card for each explanation with its thumbnail, the verdict, the evidence and the cautions; they can be
filtered and sorted. The page is one file that needs no network. A card weighs about 8 kB, most of it the
thumbnail, and is laid out when it comes into view: thousands of them open in a browser.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from gagrad_edge.printable import printable
from gagrad_runtime.language import shown, text
from gagrad_runtime.report.covering_words import strength
from gagrad_runtime.report.evidence import evidence_lines, place_lines
from gagrad_runtime.report.html_page import escape, fill, image, legend
from gagrad_runtime.report.index_words import (
    NO_CAUTION,
    NOT_EXPLAINED,
    caution_name,
    evidence_name,
    outcome_name,
    page_words,
)
from gagrad_runtime.report.lettering import lettering
from gagrad_runtime.report.task_words import words_of
from gagrad_runtime.report.thumbnail import frame_alone, map_thumbnail
from gagrad_runtime.report.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from gagrad_edge.errors import GagradError
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.report.report import Report

PAGE, TABLE = "index.html", "index.csv"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One explanation, or an image without one, as the page shows it."""

    file: str
    """The image's path as it was given."""
    thumbnail: bytes = b""
    """JPEG; empty for an image that could not be read."""
    target: str = ""
    """What is explained."""
    answer: str = ""
    """What the model says, as in the terminal."""
    probability: float | None = None
    verdict: str = ""
    """OK, NG, or empty where it is not known."""
    evidence: str = ""
    """strong, weak, none, or empty where nothing was tested."""
    lines: tuple[str, ...] = ()
    """The evidence and the places, in sentences."""
    cautions: tuple[tuple[str, str], ...] = ()
    """Code and text of each."""
    region: str = ""
    """PASS or FAIL; empty where nothing was asked for."""
    files: dict[str, str] = {}
    """Names of the written files by kind."""
    error: str = ""
    """Why there is no explanation; empty where there is one."""


def explained_row(path: str, report: Report, files: Mapping[str, Path]) -> Row:
    """Return the row of the explanation in ``report``, whose written ``files`` are given by kind."""
    explanation, words = report.explanation, words_of(report.explanation)
    passed = None if report.roi is None else report.roi.passed
    lines = (*evidence_lines(explanation, words.margin(lettering())), *place_lines(explanation))
    return Row(
        file=utf8(path),
        thumbnail=map_thumbnail(explanation, report.scale, marked=True),
        target=utf8(str(explanation.target)),
        answer=utf8(words.line()),
        probability=explanation.probability,
        verdict=verdict(explanation) or "",
        evidence=strength(explanation) or "",
        lines=tuple(map(utf8, lines)),
        cautions=tuple((one.code, utf8(shown(one.text))) for one in explanation.cautions),
        region={None: "", True: "PASS", False: "FAIL"}[passed],
        files={kind: utf8(file.name) for kind, file in files.items()},
    )


def empty_row(path: str, frame: Frame) -> Row:
    """Return the row of an image on which the model finds nothing."""
    return Row(file=utf8(path), thumbnail=frame_alone(frame), answer=text("nothing found"))


def error_row(path: str, error: GagradError) -> Row:
    """Return the row of an image that could not be explained."""
    return Row(file=utf8(path), error=utf8(error.what))


def utf8(value: str) -> str:
    """Return ``value`` as valid UTF-8: Linux file names may hold any bytes, JSON may not."""
    return value.encode("utf-8", "backslashreplace").decode()


def render_index(bundle: str, rows: Sequence[Row], facts: Sequence[str]) -> str:
    """Return the HTML of the page about ``rows`` that ``bundle`` explained; ``facts`` say how."""
    template = resources.files(__package__).joinpath("index.html").read_text(encoding="utf-8")
    return fill(
        template,
        {
            **page_words(len(rows)),
            "title": escape(text("Explanations by {bundle}", bundle=bundle)),
            "legend": legend(),
            "facts": escape(" · ".join(map(shown, facts))),
            "verdicts": _options(row.verdict for row in rows),
            "classes": _options(row.target for row in rows),
            "evidence": _options((row.evidence for row in rows), evidence_name),
            "cautions": _options((code for row in rows for code in _codes(row)), caution_name),
            "cards": "\n".join(_card(number, row) for number, row in enumerate(rows)),
        },
    )


def _codes(row: Row) -> Iterable[str]:
    """Return what one can filter ``row`` by under cautions."""
    codes = dict.fromkeys(code for code, _ in row.cautions)
    if row.error:
        return (NOT_EXPLAINED,)
    return codes or (NO_CAUTION,)


def _options(values: Iterable[str], name: Callable[[str], str] = str) -> str:
    """Return the choices of a filter, each with how many rows have it; rows without one cannot be chosen.

    ``name`` says what a person reads for a value.
    """
    counted = Counter(value for value in values if value)
    return "".join(
        f'<option value="{escape(value)}">{escape(name(value))} ({count})</option>'
        for value, count in sorted(counted.items())
    )


def _card(number: int, row: Row) -> str:
    chance = "" if row.probability is None else repr(row.probability)
    data = {
        "n": str(number),
        "file": row.file,
        "target": row.target,
        "verdict": row.verdict,
        "evidence": row.evidence,
        "cautions": "|".join(_codes(row)),
        "told": str(len(row.cautions)),
        "chance": chance,
    }
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    badge = ""
    if row.verdict:
        sign = "○" if row.verdict == "OK" else text("✕")
        badge = f'<span class="badge {row.verdict.lower()}">{sign} {row.verdict}</span> '
    region = (
        f' <span class="region {row.region.lower()}">{outcome_name(row.region)}</span>' if row.region else ""
    )
    parts = [
        _linked(row, image(row.thumbnail, row.file) if row.thumbnail else '<div class="blank"></div>'),
        f"<h2>{_linked(row, escape(_name(row.file)))}</h2>",
        f"<p>{badge}{escape(row.answer)}{region}</p>",
    ]
    if row.evidence:
        strong = f"<b>{escape(evidence_name(row.evidence))}</b>"
        parts.append(f"<p>{text('Evidence: {strength}', strength=strong)}</p>")
    parts += [f'<p class="quiet">{escape(line)}</p>' for line in row.lines]
    parts += [f'<p class="caution">{text("⚠")} {escape(said)}</p>' for _, said in row.cautions]
    if row.error:
        why = text("Not explained: {why}", why=escape(row.error))
        parts.append(f'<p class="error">{why}</p>')
    return f"<article {attributes}>{''.join(parts)}</article>"


def _linked(row: Row, content: str) -> str:
    """Return ``content`` as a link to the picture beside the page, where there is one."""
    if "picture" not in row.files:
        return content
    # `naming` leaves no sign in the names of our files that means something in an address.
    return f'<a href="./{escape(row.files["picture"])}">{content}</a>'


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


_COLUMNS = (
    "file", "target", "answer", "probability", "verdict", "evidence", "places", "cautions", "region",
    "picture", "record", "error",
)  # fmt: skip


def render_table(rows: Sequence[Row]) -> bytes:
    """Return ``rows`` as CSV in UTF-8, with the mark at its start by which Excel knows UTF-8.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow(
            [
                _cell(row.file),
                _cell(row.target),
                _cell(row.answer),
                "" if row.probability is None else row.probability,
                row.verdict,
                row.evidence,
                _cell(" ".join(row.lines)),
                " ".join(code for code, _ in row.cautions),
                row.region,
                _cell(row.files.get("picture", "")),
                _cell(row.files.get("record", "")),
                _cell(row.error),
            ]
        )
    return stream.getvalue().encode("utf-8-sig")


def _cell(value: str) -> str:
    shown = printable(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
