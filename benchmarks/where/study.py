"""Compares formulas on the selection parts: ``python -m benchmarks.where.study [NAME …]``; prints a table.

Nothing here is reported as the product's: it is how the product's formula was chosen.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.table import markdown
from benchmarks.where.aligning import differences, good, sent
from benchmarks.where.data import SELECTION, Part, near, references
from benchmarks.where.designs import DESIGNS
from benchmarks.where.formulas import CHOSEN, FORMULAS, GOOD, SECOND, Sight, peak, second
from benchmarks.where.gathering import SHUFFLED, Gathered, gathered, reference_gradients, selection
from benchmarks.where.networks import MAKERS, TITLES
from benchmarks.where.training import STORE, kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

FIT = 0.5
"""Correlation below which parts do not fit the reference, so that there is none."""


@dataclass(frozen=True)
class Beside:
    """What the good parts say of a selection part."""

    d: dict[str, Array]
    """By representation, see ``aligning.differences``."""
    warp: Array
    fit: float


@cache
def beside() -> tuple[Beside, ...]:
    """Return what the good parts say of each selection part."""
    path = STORE / "beside.npz"
    if not path.exists():
        known = {design.name: good(references(SELECTION, design)) for design in DESIGNS}
        rows = [differences(known[one.design.name], one.image) for one in selection()]
        columns: dict[str, Any] = {f"d:{key}": np.stack([row[0][key] for row in rows]) for key in rows[0][0]}
        np.savez(path, warp=np.stack([row[1] for row in rows]), fit=[row[2] for row in rows], **columns)
    with np.load(path) as kept:
        whole = {key: kept[key] for key in kept.files}
    return tuple(
        Beside({key[2:]: value[i] for key, value in whole.items() if key.startswith("d:")}, warp, float(fit))
        for i, (warp, fit) in enumerate(zip(whole["warp"], whole["fit"], strict=True))
    )


@dataclass(frozen=True)
class Row:
    """One selection part and what is known of it."""

    part: Part
    sight: Sight
    warp: Array | None
    """From the pose of the good parts to this part's; None where it does not fit them."""
    near: NDArray[np.bool_]

    @property
    def found(self) -> Gathered:
        """What the network says of it."""
        return self.sight.found


def rows(name: str, *, right: bool = True) -> Iterator[Row]:
    """Yield the parts with a reason in them that ``name`` gives their class; with ``right=False``, all parts."""
    if name.endswith(SHUFFLED):
        for one, found in gathered(name):
            yield Row(one, Sight(found), None, near(one.mask))
        return
    g_good = reference_gradients(name)
    numbers = {design.name: number for number, design in enumerate(DESIGNS)}
    for (one, found), other in zip(gathered(name), beside(), strict=True):
        if right and (one.kind == "ok" or found.target != one.label):
            continue
        if other.fit < FIT:
            yield Row(one, Sight(found), None, near(one.mask))
            continue
        mean = g_good[numbers[one.design.name], :, found.target].astype(np.float32).mean(0)
        yield Row(one, Sight(found, other.d, sent(mean, other.warp)), other.warp, near(one.mask))


KINDS = ("present", "absent", "shortcut")


def scored(name: str) -> dict[str, dict[str, float]]:
    """Return by formula the share of right places of each kind; of SECOND, of place 1 or 2."""
    hits: dict[str, dict[str, list[bool]]] = {}
    for row in rows(name):
        named = FORMULAS if row.sight.difference is None else {**FORMULAS, **GOOD}
        for title, formula in named.items():
            hits.setdefault(title, {}).setdefault(row.part.kind, []).append(
                bool(row.near[peak(formula(row.sight))])
            )
        first = peak(FORMULAS[CHOSEN](row.sight))
        for title, formula in SECOND.items():
            hit = row.near[first] or row.near[second(formula(row.sight), first)]
            hits.setdefault(f"or 2: {title}", {}).setdefault(row.part.kind, []).append(bool(hit))
    return {title: {kind: float(np.mean(found)) for kind, found in by.items()} for title, by in hits.items()}


def table(names: Sequence[str], *, only_kept: bool = False) -> str:
    """Return the table of formulas: means over the networks ``names``, and each network's present / absent."""
    found = {name: kept(f"formulas-{name}", None if only_kept else partial(scored, name)) for name in names}
    by_name = {name: by for name, by in found.items() if by}
    lines = []
    for title in [*FORMULAS, *GOOD, *(f"or 2: {key}" for key in SECOND)]:
        means = [
            f"{np.mean([by[title][kind] for by in by_name.values() if kind in by[title]]):.2f}"
            for kind in KINDS
        ]
        each = ", ".join(
            " / ".join(f"{by[title][kind]:.2f}" if kind in by[title] else "–" for kind in KINDS[:2])
            for by in by_name.values()
        )
        lines.append([title, *means, each])
    return markdown(
        ["map", *KINDS, "present / absent: " + ", ".join(TITLES[name] for name in by_name)], lines
    )


if __name__ == "__main__":
    print(table(sys.argv[1:] or list(MAKERS)))
