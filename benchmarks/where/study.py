"""Compares formulas on the selection parts: ``python -m benchmarks.where.study [NAME …]``; prints a table.

Nothing here is reported as the product's: it is how the product's formula was chosen.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.where.aligning import differences, good, sent
from benchmarks.where.data import SELECTION, Part, near, references
from benchmarks.where.designs import DESIGNS
from benchmarks.where.formulas import CONTRAST, Formula, enlarged, peak, peaks, saliency
from benchmarks.where.gathering import Gathered, gathered, reference_gradients, selection
from benchmarks.where.networks import MAKERS
from benchmarks.where.training import STORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PLAIN = Formula()
FORMULAS: dict[str, Formula] = {
    "√E[g²], not pooled": replace(PLAIN, power=0, pool=0),
    "√E[g²]": replace(PLAIN, power=0),
    "√E[g²], noise 0.15": replace(PLAIN, power=0, level=3),
    "√E[g²], noise 0.02": replace(PLAIN, power=0, level=0),
    "Grad-CAM": replace(PLAIN, level=None),
    "LayerCAM": replace(PLAIN, level=None, cam="last-layer"),
    "element-wise": replace(PLAIN, level=None, cam="last-element"),
    "√E[g²]·CAM": PLAIN,
    "… not pooled": replace(PLAIN, pool=0),
    "… pooled 0.01": replace(PLAIN, pool=0.01),
    "… pooled 0.04": replace(PLAIN, pool=0.04),
    "… pooled 0.06": replace(PLAIN, pool=0.06),
    "… noise 0.02": replace(PLAIN, level=0),
    "… noise 0.1": replace(PLAIN, level=2),
    "… noise 0.15": replace(PLAIN, level=3),
    "… T = 1": replace(PLAIN, samples=1),
    "… T = 2": replace(PLAIN, samples=2),
    "… T = 4": replace(PLAIN, samples=4),
    "… √CAM": replace(PLAIN, power=0.5),
    "… CAM²": replace(PLAIN, power=2),
    "… CAM + 0.1": replace(PLAIN, floor=0.1),
    "… LayerCAM": replace(PLAIN, cam="last-layer"),
    "… element-wise": replace(PLAIN, cam="last-element"),
    "… LayerCAM of the middle": replace(PLAIN, cam="middle-layer"),
    "… element-wise of the middle": replace(PLAIN, cam="middle-element"),
    "… CAM against ok": replace(PLAIN, cam="last-grad-contrast"),
    "… element-wise against ok": replace(PLAIN, cam="last-element-contrast"),
    "… both against ok": replace(PLAIN, level=CONTRAST, cam="last-grad-contrast"),
}
"""Without good parts."""
GOOD: dict[str, Formula] = {
    "d": replace(PLAIN, good=True, level=None, power=0),
    "d, spread + 0.1": replace(PLAIN, good=True, level=None, power=0, seen="grey 0.1"),
    "d in colour": replace(PLAIN, good=True, level=None, power=0, seen="colour 0.3"),
    "d of the detail": replace(PLAIN, good=True, level=None, power=0, seen="detail 0.3"),
    "d of the detail, spread + 0.1": replace(PLAIN, good=True, level=None, power=0, seen="detail 0.1"),
    "g·d": replace(PLAIN, power=0, good=True),
    "CAM·d": replace(PLAIN, level=None, good=True),
    "√CAM·d": replace(PLAIN, level=None, good=True, power=0.5),
    "element-wise·d": replace(PLAIN, level=None, good=True, cam="last-element"),
    "(g + g_ref)·d·√CAM": replace(PLAIN, good=True, power=0.5),
    "(g + g_ref)·d·CAM": replace(PLAIN, good=True),
    "(g + g_ref)·d·√(CAM + 0.1)": replace(PLAIN, good=True, power=0.5, floor=0.1),
    "(g + g_ref)·d²·√CAM": replace(PLAIN, good=True, power=0.5, difference=2),
    "(g + g_ref)·√d·√CAM": replace(PLAIN, good=True, power=0.5, difference=0.5),
    "(g + g_ref)·d·√element-wise": replace(PLAIN, good=True, power=0.5, cam="last-element"),
    "… d in colour": replace(PLAIN, good=True, power=0.5, seen="colour 0.3"),
    "… d of the detail": replace(PLAIN, good=True, power=0.5, seen="detail 0.3"),
    "… d of the detail, spread + 0.1": replace(PLAIN, good=True, power=0.5, seen="detail 0.1"),
    "√(CAM + 0.1)·d": replace(PLAIN, level=None, good=True, power=0.5, floor=0.1),
}
"""With good parts."""
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
    """One part that the network names rightly, and everything known of it."""

    part: Part
    found: Gathered
    d: dict[str, Array] | None
    """None where the part does not fit the good ones."""
    warp: Array | None
    """From the pose of the good parts to this part's."""
    g_good: Array | None
    near: NDArray[np.bool_]


def rows(name: str, *, right: bool = True) -> Iterator[Row]:
    """Yield the parts with a reason in them that ``name`` gives their class; with ``right=False``, all parts."""
    g_good = reference_gradients(name)
    numbers = {design.name: number for number, design in enumerate(DESIGNS)}
    for (one, found), other in zip(gathered(name), beside(), strict=True):
        if right and (one.kind == "ok" or found.target != one.label):
            continue
        fits = other.fit >= FIT
        g, d, warp = None, other.d if fits else None, other.warp if fits else None
        if warp is not None:
            mean = g_good[numbers[one.design.name], :, found.target].astype(np.float32).mean(0)
            g = sent(mean, warp)
        yield Row(one, found, d, warp, g, near(one.mask))


KINDS = ("present", "absent", "shortcut")


def scored(formula: Formula, chosen: list[Row]) -> dict[str, float]:
    """Return the share of right places: place 1 by kind, and ``2`` when the peak of the CAM counts as well."""
    hits: dict[str, list[bool]] = {}
    for row in chosen:
        if formula.good and row.d is None:
            continue
        values = saliency(formula, row.found, None if row.d is None else row.d[formula.seen], row.g_good)
        one = bool(row.near[peak(values)])
        two = one or bool(row.near[peak(enlarged(row.found.cams["last-grad"]))])
        three = any(row.near[place] for place in peaks(values, 2))
        hits.setdefault(row.part.kind, []).append(one)
        hits.setdefault(row.part.kind + "+cam", []).append(two)
        hits.setdefault(row.part.kind + "+2", []).append(three)
    return {key: float(np.mean(value)) for key, value in hits.items()}


def main() -> None:
    """Print one table for each network, and the means."""
    names = sys.argv[1:] or list(MAKERS)
    total: dict[str, list[dict[str, float]]] = {}
    for name in names:
        chosen = list(rows(name))
        every = [(one.kind, found.target == one.label) for one, found in gathered(name)]
        print(
            name,
            {
                kind: f"{np.mean([r for k, r in every if k == kind]):.2f} of {sum(k == kind for k, _ in every)}"
                for kind in (*KINDS, "ok")
            },
        )
        for title, formula in {**FORMULAS, **GOOD}.items():
            total.setdefault(title, []).append(scored(formula, chosen))
    columns = [f"{kind}{more}" for kind in KINDS for more in ("", "+2", "+cam")]
    print(
        f"{'':32}" + "".join(f"{column:>13}" for column in columns) + "   place 1 present/absent by network"
    )
    for title, values in total.items():
        print(
            f"{title:32}" + "".join(f"{np.mean([v.get(c, np.nan) for v in values]):13.3f}" for c in columns),
            " ".join(f"{v['present']:.2f}/{v['absent']:.2f}" for v in values),
        )


if __name__ == "__main__":
    main()
