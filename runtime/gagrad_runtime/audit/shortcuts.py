"""The clusters of an audit with their proof: which place, once covered or pasted, changes the answer."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.atomic import write_atomic
from gagrad_runtime.audit import clustering, intervention
from gagrad_runtime.audit.clustering import NONE
from gagrad_runtime.audit.decisions import (
    FINDINGS,
    Cluster,
    Findings,
    Image,
    carried_over,
    read_findings,
    write_findings,
)
from gagrad_runtime.audit.exclusion import write_members
from gagrad_runtime.audit.intervention import Rate, pixels
from gagrad_runtime.audit.plan import items_of_shard
from gagrad_runtime.audit.quality import unpacked
from gagrad_runtime.audit.reading import codes, maps, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.audit.intervention import Asker, Part, Where
    from gagrad_runtime.audit.plan import Plan

SHOWN = 12
"""Images of a cluster that are shown, and other parts that its place is pasted onto at least."""
_CLUSTERS = 40
"""Clusters that are proven, the largest ones."""


def find(
    folder: Path,
    plan: Plan,
    asker: Asker,
    spec: InputSpec,
    *,
    asked: int = 60,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Findings, Path | None]:
    """Return the clusters of the audit in ``folder`` with their proof, and write ``findings.json``.

    The model, whose input is ``spec``, is asked about ``asked`` members of each cluster, and as many other
    parts. Decisions in an earlier ``findings.json`` are kept. Where there are some on places that are not
    found again, that file is kept under another name, which is returned, too. Raises InputError for too few
    explanations, and for an earlier file that is damaged.
    """
    earlier = read_findings(folder / FINDINGS) if (folder / FINDINGS).exists() else None
    table = read(folder, ["row", "path", "sha256", "time", "station", "verdict", "map"], "explained")
    shares = unpacked(maps(table))
    labels = clustering.clustered(shares)
    count = min(int(labels.max()) + 1, _CLUSTERS)
    found = []
    others: dict[str, list[Image]] = {}
    for number in range(count):
        progress(number, count)
        found.append(_proven(folder, plan, asker, table, shares, labels == number, number, asked, others))
    progress(count, count)
    ordered = sorted(found, key=lambda one: (not one.finding, not one.proven, -one.strength))
    findings = Findings(
        bundle=plan.asked.sha256,
        input=spec,
        explained=len(labels),
        unlike=int((labels == NONE).sum()),
        clusters=ordered,
        others=others,
    )
    kept = None
    if earlier is not None:
        findings, lost = carried_over(findings, earlier)
        kept = _kept(folder) if lost else None
    write_members(folder, table["row"].to_numpy(), labels)
    write_findings(folder / FINDINGS, findings)
    return findings, kept


def _kept(folder: Path) -> Path:
    """Write the earlier ``findings.json`` under a name that is free, and return it."""
    path = folder / FINDINGS
    number = next(one for one in range(1, 10_000) if not path.with_suffix(f".{one}.json").exists())
    kept = path.with_suffix(f".{number}.json")
    write_atomic(kept, [path.read_bytes()])
    return kept


def _proven(
    folder: Path,
    plan: Plan,
    asker: Asker,
    table: Any,
    shares: NDArray[np.float32],
    members: NDArray[np.bool_],
    number: int,
    asked: int,
    others: dict[str, list[Image]],
) -> Cluster:
    """Return one cluster; parts of other answers that were asked about go to ``others`` by its answer."""
    inside = np.flatnonzero(members)
    mean = shares[inside].mean(axis=0)
    mask = clustering.place_of(mean)
    place = clustering.rectangles(mask)
    where, beside = partial(pixels, place), partial(pixels, clustering.elsewhere(mean, place))
    near = inside[np.argsort(np.abs(shares[inside] - mean).sum(axis=(1, 2)), kind="stable")]
    kinds, names = codes(table, "verdict")
    counted = np.bincount(kinds[inside], minlength=len(names))
    verdict = names[int(counted.argmax())]
    same = inside[kinds[inside] == counted.argmax()]
    chosen = table.take(_spread(same, asked))
    parts, images = _parts(folder, plan, asker, chosen, lambda said: said == verdict)
    rest, others[verdict] = _others(folder, plan, asker, verdict, asked)
    covered, becomes = intervention.covering(asker, parts, where)
    covered_elsewhere, _ = intervention.covering(asker, parts, beside)
    pasted = _pasted(asker, rest, parts, where, verdict)
    pasted_elsewhere = _pasted(asker, rest, parts, beside, verdict)
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
        mean=np.round(mean.astype(np.float64), 5).tolist(),
        covered=covered,
        covered_elsewhere=covered_elsewhere,
        becomes=becomes,
        pasted=pasted,
        pasted_elsewhere=pasted_elsewhere,
        proven=proven,
        share=share,
        area=area,
        finding=proven and share.interval[0] > area,
        rows=table["row"].take(near[:SHOWN]).to_pylist(),
        members=images,
    )


def _pasted(asker: Asker, others: Sequence[Part], parts: Sequence[Part], where: Where, verdict: str) -> Rate:
    """Return how many ``others`` get the answer ``verdict`` with the place of ``parts`` on them."""
    said = [after for _, after in intervention.pasting(asker, others, parts, where)]
    return Rate(said.count(verdict), len(said))


def _others(
    folder: Path, plan: Plan, asker: Asker, verdict: str, asked: int
) -> tuple[list[Part], list[Image]]:
    """Return parts of other answers, good ones where it is known which are good."""
    table = read(folder, ["row", "path", "sha256", "verdict", "ng"], "answered")
    kinds, names = codes(table, "verdict")
    other = kinds != names.index(verdict)
    good = other & ~table["ng"].fill_null(True).to_numpy()
    chosen = np.flatnonzero(good if good.any() else other)
    return _parts(folder, plan, asker, table.take(_spread(chosen, asked)), lambda said: said != verdict)


def _parts(
    folder: Path, plan: Plan, asker: Asker, chosen: Any, keep: Callable[[str], bool]
) -> tuple[list[Part], list[Image]]:
    """Return the images of the rows ``chosen`` that still are there and whose answer is one to ``keep``."""
    parts, images = [], []
    for row in chosen.select(["row", "path", "sha256"]).to_pylist():
        item = items_of_shard(folder, row["row"] // plan.shard, plan.shard)[row["row"] % plan.shard]
        part = intervention.part_of(asker, item.path)
        if part is not None and keep(part.verdict):
            parts.append(part)
            images.append(Image(path=row["path"], sha256=row["sha256"]))
    return parts, images


def _spread(indices: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of ``indices``, evenly."""
    chosen = np.linspace(0, len(indices) - 1, min(most, len(indices))).round().astype(np.int64)
    found: NDArray[np.int64] = indices[chosen]
    return found
