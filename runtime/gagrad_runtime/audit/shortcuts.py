"""The clusters of an audit with their proof: which place, once covered or pasted, changes the answer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_runtime.audit import clustering, intervention
from gagrad_runtime.audit.clustering import NONE, Rectangle
from gagrad_runtime.audit.intervention import Rate
from gagrad_runtime.audit.plan import items_of_shard
from gagrad_runtime.audit.quality import unpacked
from gagrad_runtime.audit.reading import codes, maps, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from gagrad_runtime.audit.intervention import Asker, Part
    from gagrad_runtime.audit.plan import Plan

FINDINGS = "findings.json"
SHOWN = 12
"""Images of a cluster that are shown, and other parts that its place is pasted onto at least."""
_CLUSTERS = 40
"""Clusters that are proven, the largest ones."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Explanations that look at one place, and what the model says without it."""

    number: int
    images: int
    where: str
    """In words."""
    verdict: str
    """The commonest answer."""
    verdicts: dict[str, int]
    stations: dict[str, int]
    first: str
    """Day of the first image, and of the last; empty where no time is known."""
    last: str
    place: list[Rectangle]
    """In cells of 16 by 16 over what the model sees of the frame."""
    mean: list[list[float]]
    """Mean of the maps, ``[16][16]``, shares of the whole."""
    covered: Rate
    """Members of the commonest answer that get another one with the place covered."""
    covered_elsewhere: Rate
    """The same with as much covered where the maps are lowest."""
    becomes: str
    """The answer that most of them get."""
    pasted: Rate
    """Parts of other answers that get the cluster's with its place pasted onto them."""
    pasted_elsewhere: Rate
    """The same with what members have elsewhere."""
    proven: bool
    """Whether the place decides: answers change without it, or other parts get the answer with it. A border
    that the model sees on four sides needs no single one of them, and any of them will do."""
    share: Rate
    """Images of the commonest answer in this cluster, of all explained images with that answer."""
    area: float
    """Share of the place in all that the explained images of that answer look at, 0..1: so many of them would
    look there if defects lay anywhere that they are seen."""
    finding: bool
    """Whether more images look there than if defects lay anywhere, and the place decides: a defect that
    lies anywhere decides wherever it lies, and is no finding."""
    rows: list[int]
    """Images nearest to the mean map."""
    decision: str = "ask"
    """What a person says of it: ``keep``, ``ask`` or ``bad``."""

    @property
    def strength(self) -> float:
        """By how much more often the place changes the answer than as much elsewhere, at least."""
        pairs = ((self.covered, self.covered_elsewhere), (self.pasted, self.pasted_elsewhere))
        return max(one.interval[0] - (other.share if other.of else 0.0) for one, other in pairs)


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """``findings.json``."""

    schema: int = 1
    bundle: str
    explained: int
    unlike: int
    """Explanations in no cluster."""
    clusters: list[Cluster]
    """Findings first, then proven ones, the strongest in front."""


def find(
    folder: Path,
    plan: Plan,
    asker: Asker,
    *,
    asked: int = 60,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Findings:
    """Return the clusters of the audit in ``folder`` with their proof, and write ``findings.json``.

    The model is asked about ``asked`` members of each cluster, and as many other parts. Raises InputError
    for too few explanations.
    """
    table = read(folder, ["row", "time", "station", "verdict", "map"], "explained")
    shares = unpacked(maps(table))
    labels = clustering.clustered(shares)
    count = min(int(labels.max()) + 1, _CLUSTERS)
    found = []
    for number in range(count):
        progress(number, count)
        found.append(_proven(folder, plan, asker, table, shares, labels == number, number, asked))
    progress(count, count)
    ordered = sorted(found, key=lambda one: (not one.finding, not one.proven, -one.strength))
    findings = Findings(
        bundle=plan.asked.sha256, explained=len(labels), unlike=int((labels == NONE).sum()), clusters=ordered
    )
    write_atomic(folder / FINDINGS, [msgspec.json.format(msgspec.json.encode(findings)), b"\n"])
    return findings


def _proven(
    folder: Path,
    plan: Plan,
    asker: Asker,
    table: Any,
    shares: NDArray[np.float32],
    members: NDArray[np.bool_],
    number: int,
    asked: int,
) -> Cluster:
    inside = np.flatnonzero(members)
    mean = shares[inside].mean(axis=0)
    mask = clustering.place_of(mean)
    place = clustering.rectangles(mask)
    other_place = clustering.elsewhere(mean, place)
    near = inside[np.argsort(np.abs(shares[inside] - mean).sum(axis=(1, 2)), kind="stable")]
    kinds, names = codes(table, "verdict")
    counted = np.bincount(kinds[inside], minlength=len(names))
    verdict = names[int(counted.argmax())]
    rows = table["row"].to_numpy()
    same = inside[kinds[inside] == counted.argmax()]
    parts = _parts(folder, plan, asker, rows[_spread(same, asked)], lambda said: said == verdict)
    others = _others(folder, plan, asker, verdict, asked)
    covered, becomes = intervention.covering(asker, parts, place)
    covered_elsewhere, _ = intervention.covering(asker, parts, other_place)
    pasted = _pasted(asker, others, parts, place, verdict)
    pasted_elsewhere = _pasted(asker, others, parts, other_place, verdict)
    stations, days = table["station"].take(inside).to_pylist(), table["time"].take(inside).to_pylist()
    proven = covered.above(covered_elsewhere) or pasted.above(pasted_elsewhere)
    share = Rate(len(same), int((kinds == counted.argmax()).sum()))
    area = clustering.area(mask, shares[kinds == counted.argmax()])
    known = sorted(f"{day:%Y-%m-%d}" for day in days if day is not None)
    return Cluster(
        number=number,
        images=len(inside),
        where=clustering.in_words(mask),
        verdict=verdict,
        verdicts={names[code]: int(counted[code]) for code in np.argsort(-counted) if counted[code]},
        stations=dict(Counter(one for one in stations if one).most_common(10)),
        first=known[0] if known else "",
        last=known[-1] if known else "",
        place=place,
        mean=np.round(mean, 5).tolist(),
        covered=covered,
        covered_elsewhere=covered_elsewhere,
        becomes=becomes,
        pasted=pasted,
        pasted_elsewhere=pasted_elsewhere,
        proven=proven,
        share=share,
        area=area,
        finding=proven and share.interval[0] > area,
        rows=rows[near[:SHOWN]].tolist(),
    )


def _pasted(
    asker: Asker, others: Sequence[Part], parts: Sequence[Part], places: Sequence[Rectangle], verdict: str
) -> Rate:
    """Return how many ``others`` get the answer ``verdict`` with ``places`` of ``parts`` on them."""
    said = intervention.pasting(asker, others, parts, places)
    return Rate(said.count(verdict), len(said))


def _others(folder: Path, plan: Plan, asker: Asker, verdict: str, asked: int) -> list[Part]:
    """Return parts of other answers, good ones where it is known which are good."""
    table = read(folder, ["row", "verdict", "ng"], "answered")
    kinds, names = codes(table, "verdict")
    other = kinds != names.index(verdict)
    good = other & ~table["ng"].fill_null(True).to_numpy()
    chosen = np.flatnonzero(good if good.any() else other)
    rows = table["row"].to_numpy()[_spread(chosen, asked)]
    return _parts(folder, plan, asker, rows, lambda said: said != verdict)


def _parts(
    folder: Path, plan: Plan, asker: Asker, rows: NDArray[np.int64], keep: Callable[[str], bool]
) -> list[Part]:
    paths = [items_of_shard(folder, int(row) // plan.shard)[int(row) % plan.shard].path for row in rows]
    return intervention.parts_of(asker, paths, keep)


def _spread(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of ``indices``, evenly."""
    chosen = np.linspace(0, len(indices) - 1, min(most, len(indices))).round().astype(np.int64)
    found: NDArray[np.int64] = indices[chosen]
    return found
