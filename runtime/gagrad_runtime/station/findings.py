"""Findings of an explanation: what its event and the index say of it. The record has all of it.

The index has them in a table of their own, as an earlier gagrad-edge reads the columns of ``result`` by their
order, and does not mind another table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET

from gagrad_runtime.report.covering_words import strength
from gagrad_runtime.report.naming import ENDINGS
from gagrad_runtime.report.record import record_of
from gagrad_runtime.report.record_schema import CoveringRecord, PlaceRecord
from gagrad_runtime.report.verdicts import verdict
from gagrad_runtime.station.events import ExplainedEvent, now

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gagrad_runtime.report.report import Report

SCHEMA = """
CREATE TABLE IF NOT EXISTS finding (
  id INTEGER PRIMARY KEY,
  target TEXT NOT NULL, against TEXT,
  cautions TEXT NOT NULL, places TEXT NOT NULL, covering TEXT,
  place_stability REAL, roi_share REAL, roi_passed INTEGER, reused_from INTEGER
);
CREATE TRIGGER IF NOT EXISTS finding_of_row AFTER DELETE ON result BEGIN
  DELETE FROM finding WHERE id = OLD.id;
END;
"""
COLUMNS = (
    "target",
    "against",
    "cautions",
    "places",
    "covering",
    "place_stability",
    "roi_share",
    "roi_passed",
    "reused_from",
)
_PLACES = msgspec.json.Decoder(list[PlaceRecord])
_CAUTIONS = msgspec.json.Decoder(list[str])
_COVERING = msgspec.json.Decoder(CoveringRecord)


@dataclass(frozen=True)
class Finding:
    """What the index says of an explanation; the fields are those of ``ExplainedEvent``."""

    target: str
    against: str | None
    cautions: tuple[str, ...]
    places: tuple[PlaceRecord, ...]
    covering: CoveringRecord | None
    place_stability: float | None
    roi_share: float | None
    """None without a region of interest."""
    roi_passed: bool | None
    """None without a limit."""
    reused_from: int | None = None
    """Number of the row whose explanation this is; None for one of its own."""


def explained_event(
    report: Report,
    *,
    number: int,
    file: str,
    stem: str,
    seconds: float,
    rule_says: Literal["OK", "NG"] | None = None,
) -> ExplainedEvent:
    """Return the event about ``report``, whose files begin with ``stem``; ``number`` is its row's.

    ``rule_says`` is whether the part is NG or OK for the station; None: as the picture says it.
    """
    explanation, roi = report.explanation, report.roi
    record = record_of(explanation, roi=roi)
    rcap = math.nan if explanation.rcap is None else explanation.rcap.score
    said, target = explanation.prediction, explanation.target
    passed = None if roi is None else roi.passed
    evidence = strength(explanation)
    outcome = rule_says or verdict(explanation)
    return ExplainedEvent(
        time=now(),
        id=number,
        file=file,
        part=report.part,
        record=stem + ENDINGS["record"],
        picture=stem + ENDINGS["picture"],
        rcap=rcap if math.isfinite(rcap) else None,
        samples=explanation.samples,
        seconds=round(seconds, 6),
        verdict=explanation.predicted.name if said is None else said.verdict,
        probability=None if said is None else said.probability,
        target=target.name,
        against=UNSET if target.against_name is None else target.against_name,
        cautions=[one.code for one in record.cautions],
        places=record.places,
        covering=record.covering,
        place_stability=record.place_stability,
        roi_share=UNSET if record.roi is None else record.roi.share,
        roi_passed=UNSET if passed is None else passed,
        outcome=UNSET if outcome is None else outcome,
        strength=UNSET if evidence is None else evidence,
        height=explanation.frame.height,
        width=explanation.frame.width,
        bundle=record.bundle.name,
        bundle_sha256=record.bundle.sha256,
    )


def put(connection: sqlite3.Connection, number: int, event: ExplainedEvent) -> None:
    """Write what ``event`` says to row ``number``, within the open transaction."""
    if event.target is UNSET:
        return
    values: list[Any] = [getattr(event, name) for name in COLUMNS]
    texts = {"cautions", "places", "covering"}
    row = [
        None
        if value is UNSET or value is None
        else msgspec.json.encode(value).decode()
        if name in texts
        else value
        for name, value in zip(COLUMNS, values, strict=True)
    ]
    marks = ", ".join("?" * (1 + len(COLUMNS)))
    statement = f"INSERT OR REPLACE INTO finding (id, {', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608
    connection.execute(statement, (number, *row))


def read(values: Sequence[Any]) -> Finding | None:
    """Return the finding whose ``COLUMNS`` have ``values``; None for a row without one."""
    target, against, cautions, places, covering, stability, share, passed, reused = values
    if target is None:
        return None
    return Finding(
        target,
        against,
        tuple(_CAUTIONS.decode(cautions)),
        tuple(_PLACES.decode(places)),
        None if covering is None else _COVERING.decode(covering),
        stability,
        share,
        None if passed is None else bool(passed),
        reused,
    )
