"""Which frames to label next: those from which a model, and people, would learn most.

Of the newest explained frames without a label each gets a score, 0 to 4, the sum of four reasons, each 0..1:
the model's margin is small; parts of the samples disagree on place 1; covering the places changes little;
its map points where the maps of its verdict seldom do. Then the list is thinned for diversity: of frames
whose maps overlap and that have one verdict, the next one counts less each time. Frames that are named by a
list in the viewer's folder (``listed``) come before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gagrad_runtime.viewer.frames import rows_of
from gagrad_runtime.viewer.likeness import from_column, numbers_of, overlap
from gagrad_runtime.viewer.rows import station_number
from gagrad_runtime.viewer.values import Covering, Queue, Queued, Value

if TYPE_CHECKING:
    import sqlite3

    from gagrad_runtime.viewer.listed import Listed

LOOKED_AT = 500
"""Explained frames, the newest, that are looked through."""
KEYS = 9
"""Classes that have a key of their own."""
_REASON = 0.3
"""Part of a score from which it is named as a reason."""
_ALIKE = 0.4
"""Overlap of maps from which two frames teach much the same."""


class _Tested(Value, frozen=True):
    covering: Covering | None = None


_tested = msgspec.json.Decoder(_Tested)


class _Candidate(Value, frozen=True):
    frame: int
    verdict: int
    cells: int
    parts: dict[str, float]

    @property
    def score(self) -> float:
        return sum(self.parts.values())


def queue(
    connection: sqlite3.Connection,
    *,
    station: str | None = None,
    limit: int = 20,
    named: tuple[Listed, ...] = (),
) -> Queue:
    """Return the frames to label next, of one station or of all, the most worth it first.

    ``named`` are images of a list; those that the viewer has, and that have no label, come before all others.
    """
    first = _named(connection, station, named)
    ids = {one.frame for one in first}
    candidates = [one for one in _candidates(connection, station) if one.frame not in ids]
    picked = first[:limit]
    picked += _diverse(candidates, limit - len(picked))
    shown = {row.id: row for row in rows_of(connection, [one.frame for one in picked])}
    items = [
        Queued(
            row=shown[one.frame],
            score=round(one.score, 4),
            why=tuple(
                name for name, part in sorted(one.parts.items(), key=lambda item: -item[1]) if part >= _REASON
            ),
        )
        for one in picked
        if one.frame in shown
    ]
    (labelled,) = connection.execute("SELECT coalesce(sum(frames), 0) FROM labelled").fetchone()
    return Queue(
        items=tuple(items),
        classes=classes(connection),
        labelled=labelled,
        waiting=len(first) + len(candidates),
    )


def classes(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return names for the keys: labels by how often they were given, then verdicts by their age."""
    given = connection.execute(
        "SELECT label FROM labelled WHERE frames > 0 ORDER BY frames DESC, label LIMIT ?", (KEYS,)
    )
    said = connection.execute(
        "SELECT text FROM word WHERE EXISTS (SELECT 1 FROM frame WHERE verdict = word.id) "
        "ORDER BY id LIMIT ?",
        (KEYS,),
    )
    names = dict.fromkeys(text for found in (given, said) for (text,) in found)
    return tuple(names)[:KEYS]


def _named(
    connection: sqlite3.Connection, station: str | None, named: tuple[Listed, ...]
) -> list[_Candidate]:
    """Return the frames of the images ``named`` that have no label, in their order: the newest of each."""
    condition, given = "", []
    if station is not None:
        condition, given = "AND station = ?", [station_number(connection, station) or 0]
    query = (
        "SELECT id, verdict FROM frame WHERE sha256 = ? AND label = '' "  # noqa: S608 - bound
        f"{condition} ORDER BY id DESC LIMIT 1"
    )
    found: dict[int, _Candidate] = {}
    for one in named:
        try:
            row = connection.execute(query, (bytes.fromhex(one.sha256), *given)).fetchone()
        except ValueError:
            continue
        if row is not None and row[0] not in found:
            found[row[0]] = _Candidate(frame=row[0], verdict=row[1] or 0, cells=0, parts=one.reasons)
    return list(found.values())


def _candidates(connection: sqlite3.Connection, station: str | None) -> list[_Candidate]:
    condition, values = "", [LOOKED_AT]
    if station is not None:
        condition, values = "AND station = ?", [station_number(connection, station) or 0, LOOKED_AT]
    query = (
        "SELECT frame.id, verdict, probability, stability, cells, finding FROM "  # noqa: S608 - bound
        f"(SELECT * FROM frame WHERE state = 2 {condition} ORDER BY id DESC LIMIT ?) AS frame "
        "LEFT JOIN likeness ON likeness.frame = frame.id LEFT JOIN detail ON detail.frame = frame.id "
        "WHERE frame.label = ''"
    )
    found = connection.execute(query, values).fetchall()
    usual = _usual([(verdict or 0, from_column(cells or 0)) for _, verdict, _, _, cells, _ in found])
    candidates = []
    for frame, verdict, probability, stability, cells, finding in found:
        bits = from_column(cells or 0)
        covering = None if finding is None else _tested.decode(finding).covering
        parts = {
            "margin": 0.0 if probability is None else max(0.0, 1 - 2 * abs(probability - 0.5)),
            "disagreement": 0.0 if stability is None else min(max(1 - stability, 0.0), 1.0),
            "covering": _unmoved(covering),
            "novelty": _novelty(bits, usual.get(verdict or 0, {})),
        }
        candidates.append(_Candidate(frame=frame, verdict=verdict or 0, cells=bits, parts=parts))
    return candidates


def _unmoved(covering: Covering | None) -> float:
    """Return the share of the confidence that is left with the best place covered; 0 without a test."""
    if covering is None or not covering.places or covering.before <= 0:
        return 0.0
    return min(max(min(covering.places) / covering.before, 0.0), 1.0)


def _usual(found: list[tuple[int, int]]) -> dict[int, dict[int, float]]:
    """Return how often the maps of each verdict cover each cell, 0..1."""
    counts: dict[int, dict[int, float]] = {}
    totals: dict[int, int] = {}
    for verdict, cells in found:
        totals[verdict] = totals.get(verdict, 0) + 1
        where = counts.setdefault(verdict, {})
        for cell in numbers_of(cells):
            where[cell] = where.get(cell, 0.0) + 1
    return {
        verdict: {cell: count / totals[verdict] for cell, count in where.items()}
        for verdict, where in counts.items()
    }


def _novelty(cells: int, usual: dict[int, float]) -> float:
    """Return how seldom maps point at ``cells``, 0..1."""
    numbers = numbers_of(cells)
    return 1 - sum(usual.get(cell, 0.0) for cell in numbers) / len(numbers) if numbers else 0.0


def _diverse(candidates: list[_Candidate], limit: int) -> list[_Candidate]:
    """Return the best candidates, each next one unlike those before it."""
    left = sorted(candidates, key=lambda one: -one.score)[: 4 * limit]
    picked: list[_Candidate] = []
    while left and len(picked) < limit:
        best = max(left, key=lambda one: one.score / (1 + _alike(one, picked)))
        left.remove(best)
        picked.append(best)
    return picked


def _alike(candidate: _Candidate, picked: list[_Candidate]) -> int:
    return sum(
        one.verdict == candidate.verdict and overlap(one.cells, candidate.cells) >= _ALIKE for one in picked
    )
