"""Which images of an audit to label next: those from which a model would learn most, and unlike each other.

Each image has a score, the sum of five reasons, 0..1 each. Then the list is made by farthest-first traversal
(k-centre, Gonzalez 1985) among the best, weighted by the score: the next one is that of the largest product
of score and distance to those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_runtime.audit import duplicates
from gagrad_runtime.audit.quality import unpacked
from gagrad_runtime.audit.queue_file import REASONS, Reason
from gagrad_runtime.audit.reading import codes, maps, numbers, read
from gagrad_runtime.audit.table import GRID
from gagrad_runtime.language.numbers import share_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Rows = NDArray[np.int64]

NAMED = 0.3
"""Part of a score from which it is named as a reason."""
PICTURE = ("brightness", "contrast", "sharpness")
_COLUMNS = (
    "row", "path", "sha256", "phash", "station", "part_id", "time", "height", "width", "verdict", "ng",
    "probability", "margin", "covered", "covered_before", "roi_share", "stability",
)  # fmt: skip
_POOL, _LEAST = 20, 2000
"""Images that are looked through for each one wanted, and at least; the best ones."""
_USUAL, _STRANGE = 4.0, 8.0
"""Deviations from the median, in robust standard deviations: up to there usual, from there on strange."""
_ROBUST = 1.4826
"""Standard deviations in a median absolute deviation, of a normal distribution."""
_LOOKS = 0.5
"""A map looks at the cells of half its highest."""
_ALIKE = 0.3
"""Distance of two maps (Hellinger, 0..1) up to which they are one, if their hashes are alike, too."""
_WEIGHT = 0.5
"""How much picture features count beside maps in the distance of two images."""


@dataclass(frozen=True)
class Candidates:
    """Images that have an answer and no label: one value each."""

    table: Any
    """In Arrow, without the maps."""
    reasons: dict[Reason, Array]
    odd: Rows
    """Which of ``PICTURE`` is least usual."""
    roots: NDArray[np.float32]
    """Square roots of the shares of the maps ``[N, 256]``; a flat map where there is none."""
    scaled: Array
    """Picture features ``[N, 3]``, in robust standard deviations from the median."""
    mapped: Mask
    """Which images have a map."""

    @property
    def score(self) -> Array:
        """Sum of the reasons."""
        total: Array = np.sum([self.reasons[name] for name in REASONS], axis=0)
        return total


def candidates(folder: Path, labelled: Collection[str] = (), wanted: int = 200) -> Candidates:
    """Return the images of the audit in ``folder`` worth a label, the best ones first.

    ``labelled`` are hashes of images that have a label. At most twenty for each one that is ``wanted``.
    """
    table = read(folder, [*_COLUMNS, *PICTURE], "answered")
    shares, place = _maps(folder, table["row"].to_numpy())
    scaled = np.stack([_scaled(numbers(table, name)) for name in PICTURE], axis=1)
    reasons = _reasons(table, shares, place, scaled)
    score = np.sum(list(reasons.values()), axis=0)
    if labelled:
        known = set(labelled)
        score[[one in known for one in table["sha256"].to_pylist()]] = -1.0
    best = np.argsort(-score, kind="stable")[: max(_POOL * wanted, _LEAST)]
    best = best[score[best] >= 0]
    roots = np.full((len(best), GRID * GRID), 1 / GRID, np.float32)
    mapped = place[best] >= 0
    roots[mapped] = np.sqrt(shares[place[best][mapped]].reshape(-1, GRID * GRID))
    return Candidates(
        table=table.take(best),
        reasons={name: values[best] for name, values in reasons.items()},
        odd=np.abs(scaled[best]).argmax(axis=1),
        roots=roots,
        scaled=scaled[best],
        mapped=mapped,
    )


def _maps(folder: Path, row: Rows) -> tuple[NDArray[np.float32], Rows]:
    """Return the maps of the audit as shares, and which of them each image has; -1 for none."""
    explained = read(folder, ["row", "map"], "explained")
    shares = unpacked(maps(explained))
    where = np.searchsorted(row, explained["row"].to_numpy())
    there = np.append(row, -1)[where] == explained["row"].to_numpy()
    place = np.full(len(row), -1, np.int64)
    place[where[there]] = np.flatnonzero(there)
    return shares, place


def _scaled(values: Array) -> Array:
    """Return how far ``values`` lie from their median, in robust standard deviations."""
    if not len(values):
        return values
    middle = np.nanmedian(values)
    spread = _ROBUST * np.nanmedian(np.abs(values - middle))
    spread = spread if spread > 0 else max(float(np.nanstd(values)), 1e-9)
    return np.nan_to_num((values - middle) / spread)


def _reasons(table: Any, shares: NDArray[np.float32], place: Rows, scaled: Array) -> dict[Reason, Array]:
    """Return each reason of each image, 0..1; 0 where nothing is known."""
    before = numbers(table, "covered_before")
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.where(before > 0, numbers(table, "covered") / before, np.nan)
    strange = (np.abs(scaled).max(axis=1, initial=0) - _USUAL) / (_STRANGE - _USUAL)
    found: dict[Reason, Array] = {
        "margin": 1 - numbers(table, "margin"),
        "disagreement": 1 - numbers(table, "stability"),
        "covering": left,
        "roi": 1 - numbers(table, "roi_share"),
        "novelty": np.maximum(strange, _unusual(table, shares, place)),
    }
    return {name: np.clip(np.nan_to_num(values), 0, 1) for name, values in found.items()}


def _unusual(table: Any, shares: NDArray[np.float32], place: Rows) -> Array:
    """Return how seldom the maps of an answer look where this one looks, 0..1; 0 without a map."""
    kinds, _ = codes(table, "verdict")
    novelty = np.zeros(len(place))
    mapped = np.flatnonzero(place >= 0)
    mapped = mapped[np.argsort(kinds[mapped], kind="stable")]
    looks = shares >= _LOOKS * np.maximum(shares.max(axis=(1, 2), keepdims=True, initial=0), 1e-9)
    for members in np.split(mapped, np.flatnonzero(np.diff(kinds[mapped])) + 1):
        seen = looks[place[members]]
        usual = seen.mean(axis=0) if len(members) else np.zeros((GRID, GRID))
        often = (seen * usual).sum(axis=(1, 2)) / np.maximum(seen.sum(axis=(1, 2)), 1)
        novelty[members] = 1 - often / max(float(usual.max()), 1e-9)
    return novelty


def chosen(found: Candidates, wanted: int) -> list[int]:
    """Return the indices of at most ``wanted`` candidates in the order in which to label them.

    Duplicates of one that is chosen are out: equal pixels; or one answer, hashes that differ in up to two
    bits, and maps that are alike.
    """
    score = found.score + 1e-6  # so that those without any reason are told apart by their distance
    hashes = found.table["phash"].fill_null(0).to_numpy()
    kinds, _ = codes(found.table, "verdict")
    pixels, _ = codes(found.table, "sha256")
    scaled = np.clip(found.scaled, -_STRANGE, _STRANGE) / _STRANGE
    left = np.ones(len(score), bool)
    distance = np.ones(len(score))
    order: list[int] = []
    while left.any() and len(order) < wanted:
        best = int(np.where(left, score * distance, -1).argmax())
        order.append(best)
        apart = np.sqrt(np.maximum(1 - found.roots @ found.roots[best], 0))
        alike = duplicates.alike(hashes ^ hashes[best]) & (kinds == kinds[best]) & (apart <= _ALIKE)
        left &= ~(alike & (found.mapped == found.mapped[best])) & (pixels != pixels[best])
        left[best] = False
        beside = np.abs(scaled - scaled[best]).max(axis=1, initial=0)
        distance = np.minimum(distance, np.hypot(apart, _WEIGHT * beside))
    return order


def why(found: Candidates, index: int) -> list[str]:
    """Return in words why the candidate ``index`` is worth a label, the strongest reason first."""
    row = found.table.slice(index, 1).to_pylist()[0]
    strength = {name: float(found.reasons[name][index]) for name in REASONS}
    named = [name for name in sorted(REASONS, key=lambda one: -strength[one]) if strength[name] >= NAMED]
    words = [_words(name, row, found, index) for name in named]
    return words or ["it is unlike those before it in the list"]


def _words(name: Reason, row: dict[str, Any], found: Candidates, index: int) -> str:
    if name == "margin":
        return f"the model is not sure: another answer is {share_text(row['margin'])} away"
    if name == "disagreement":
        return f"the samples do not agree where it lies: {share_text(row['stability'])} do"
    if name == "covering":
        left = share_text(row["covered"] / row["covered_before"])
        return f"covering the place that the map shows leaves {left} of the confidence"
    if name == "roi":
        return f"the map lies outside the region of interest: {share_text(row['roi_share'])} is inside"
    if abs(found.scaled[index]).max() > _USUAL:
        odd = PICTURE[found.odd[index]]
        return f"the picture is unlike the others: {odd} {row[odd]:.3f}"
    return f"the map points where maps of {row['verdict']!r} seldom point"
