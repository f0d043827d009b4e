"""Which figures beside a map tell a right place from a wrong one: ``python -m benchmarks.where.trust [NAME …]``.

Each figure is judged on the selection parts by the area under its curve and by what it catches at a false alarm rate
of five and of ten per cent, all networks together.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.where.aligning import sent
from benchmarks.where.covering import goods, probabilities, tried
from benchmarks.where.drawing import SIZE
from benchmarks.where.formulas import CHOSEN, FORMULAS, POOL, apart, peak, pooled, second, strength
from benchmarks.where.gathering import SHUFFLED, Subject
from benchmarks.where.networks import MAKERS
from benchmarks.where.study import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.where.study import Row

    Array = NDArray[np.float32]

COVER = (0.20, "inpainted")
"""Share of the side, and fill."""


@dataclass(frozen=True)
class Judged:
    """One explained part: what it is, whether its places are right, and the figures beside its map."""

    network: str
    kind: str
    right_answer: bool
    one: bool
    """Place 1 is on the reason."""
    two: bool
    """Place 1 or the peak of the class activation map is."""
    figures: dict[str, float]
    """Low values speak for a caution."""


def judged(name: str) -> list[Judged]:
    """Return every selection part that ``name`` calls defective, judged."""
    subject, medians = Subject(name), goods()
    return [_one(name, row, subject, medians) for row in rows(name, right=False) if row.found.target != 0]


def _one(name: str, row: Row, subject: Subject, medians: dict[str, Array]) -> Judged:
    found = row.found
    values = FORMULAS[CHOSEN](row.sight)
    place = peak(values)
    cam = np.maximum(row.sight.c, row.sight.l)
    cam_place = second(row.sight.g(pool=0.06) * cam, place)
    gradient_place, activation_place = peak(row.sight.g()), peak(cam)
    p = np.sort(probabilities(found.logits[None])[0])[::-1]
    instead = None if row.warp is None else sent(medians[row.part.design.name], row.warp)
    there, elsewhere = tried(subject, row, place, *COVER, values, instead)
    other, _ = tried(subject, row, cam_place, *COVER, values, instead)
    t = found.target
    copies = found.magnitude[1]
    halves = [peak(pooled(strength(copies[pick]), POOL) * cam) for pick in ([0, 2, 4], [1, 3])]
    singles = [peak(pooled(strength(copies[i : i + 1]), POOL) * cam) for i in range(len(copies))]
    total = values.sum()
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    disc = np.hypot(y - place[0], x - place[1]) < 0.1 * SIZE
    figures = {
        "probability": float(p[0]),
        "margin of probabilities": float(p[0] - p[1]),
        "margin of logits": float(np.diff(np.sort(found.logits)[-2:])[0]),
        "covering place 1 drops p": float(p[0] - there[t]),
        "… less the worst control": float(elsewhere[:, t].min() - there[t]),
        "… less the mean control": float(elsewhere[:, t].mean() - there[t]),
        "covering place 1 or 2 drops p": float(p[0] - min(there[t], other[t])),
        "covering place 1 flips": float(there.argmax() != t),
        "covering place 1 gives ok": float(there[0]),
        "covering place 1 or 2 gives ok": float(max(there[0], other[0])),
        "controls keep the answer": float(np.mean(elsewhere.argmax(1) == t)),
        "product and CAM are near": -apart(place, activation_place),
        "gradient and CAM are near": -apart(gradient_place, activation_place),
        "gradient and product are near": -apart(gradient_place, place),
        "halves' places are near": -apart(*halves),
        "copies agree on place 1": float(np.mean([apart(one, place) < 0.1 for one in singles])),
        "spread of the copies' places": -float(np.mean([apart(one, place) for one in singles])),
        "copies keep the answer, 0.05": float(np.mean(found.copies[1].argmax(1) == t)),
        "copies keep the answer, 0.15": float(np.mean(found.copies[3].argmax(1) == t)),
        "copies' least margin, 0.05": float(
            (found.copies[1][:, t] - np.delete(found.copies[1], t, 1).max(1)).min()
        ),
        "map near place 1": float(values[disc].sum() / total),
        "place 1 above place 2": float(1 - values[second(values, place)] / max(float(values[place]), 1e-12)),
        "CAM at place 1": float(cam[place]),
    }
    return Judged(
        name,
        row.part.kind,
        found.target == row.part.label,
        bool(row.near[place]),
        bool(row.near[place] or row.near[cam_place]),
        figures,
    )


def area(good: Sequence[float], bad: Sequence[float]) -> float:
    """Return the chance that a good one has a higher figure than a bad one, ties halved."""
    a, b = np.asarray(good)[:, None], np.asarray(bad)[None]
    return float(np.mean((a > b) + 0.5 * (a == b))) if a.size and b.size else float("nan")


def caught(good: Sequence[float], bad: Sequence[float], alarm: float) -> tuple[float, float, float]:
    """Return the threshold with at most ``alarm`` false alarms, the share of bad ones below it, and the alarms."""
    for threshold in sorted({*good, *bad, max([*good, *bad]) + 1e-9}, reverse=True):
        false = float(np.mean(np.asarray(good) < threshold))
        if false <= alarm:
            return threshold, float(np.mean(np.asarray(bad) < threshold)), false
    return float("nan"), 0.0, 0.0


def main() -> None:
    """Print the figures' areas and catches for three questions."""
    names = sys.argv[1:] or list(MAKERS)
    whole = [one for name in names for one in judged(name)]
    shuffled = [one for name in names for one in judged(name + SHUFFLED)]
    right = [one for one in whole if one.right_answer and one.two]
    questions = {
        "place wrong (right answer, place 1)": (
            [o for o in whole if o.right_answer and o.one],
            [o for o in whole if o.right_answer and not o.one],
        ),
        "no place right (right answer, 1 or 2)": (right, [o for o in whole if o.right_answer and not o.two]),
        "place wrong or answer wrong": (
            [o for o in whole if o.right_answer and o.one],
            [o for o in whole if not (o.right_answer and o.one)],
        ),
        "answer wrong": (right, [o for o in whole if not o.right_answer]),
        "shuffled network": (right, shuffled),
    }
    for title, (good, bad) in questions.items():
        print(f"\n{title}: {len(good)} good, {len(bad)} bad")
        for key in right[0].figures:
            a, b = [o.figures[key] for o in good], [o.figures[key] for o in bad]
            parts = [
                f"at {alarm:.0%}: < {t:.3f} catches {c:.2f} (false {f:.2f})"
                for alarm in (0.05, 0.10)
                for t, c, f in [caught(a, b, alarm)]
            ]
            print(f"  {key:34} area {area(a, b):.2f}  " + "   ".join(parts))


if __name__ == "__main__":
    main()
