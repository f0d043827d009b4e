"""Which figures beside a map tell a right place from a wrong one: ``python -m benchmarks.where.trust [NAME …]``.

Each figure is judged on the selection parts by the area under its curve and by what it catches where ten per cent of
the right places may be false alarms, all networks together.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.table import markdown
from benchmarks.where.aligning import sent
from benchmarks.where.covering import goods, probabilities, tried
from benchmarks.where.drawing import SIZE
from benchmarks.where.formulas import CHOSEN, CONTRAST, FORMULAS, POOL, apart, peak, pooled, second, strength
from benchmarks.where.gathering import SHUFFLED, Subject
from benchmarks.where.networks import MAKERS
from benchmarks.where.study import rows
from benchmarks.where.training import kept

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
    cam = row.sight.against_ok
    cam_place = second(row.sight.g(CONTRAST, pool=0.06) * row.sight.cam("last-grad-contrast"), place)
    gradient_place, activation_place = peak(row.sight.g(CONTRAST)), peak(cam)
    p = np.sort(probabilities(found.logits[None])[0])[::-1]
    instead = None if row.warp is None else sent(medians[row.part.design.name], row.warp)
    there, elsewhere = tried(subject, row, place, *COVER, values, instead)
    other, _ = tried(subject, row, cam_place, *COVER, values, instead)
    t = found.target
    copies = found.magnitude[CONTRAST]
    halves = [peak(pooled(strength(copies[pick]), POOL) * cam) for pick in ([0, 2, 4], [1, 3])]
    singles = [peak(pooled(strength(copies[i : i + 1]), POOL) * cam) for i in range(len(copies))]
    total = max(float(values.sum()), 1e-12)
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


ALARM = 0.10
"""False alarms on right places that a figure may cost."""


def table(names: Sequence[str], *, only_kept: bool = False) -> str:
    """Return for each figure its area and what it catches, for wrong places, wrong answers, shuffled networks."""
    found = [
        kept(f"trust-{name}", None if only_kept else partial(_as_json, name))
        for plain in names
        for name in (plain, plain + SHUFFLED)
    ]
    whole = [Judged(**one) for some in found if some for one in some]
    trained = [one for one in whole if not one.network.endswith(SHUFFLED)]
    if not trained:
        return ""
    right = [one for one in trained if one.right_answer and one.one]
    groups = {
        "place 1 wrong": [one for one in trained if one.right_answer and not one.one],
        "answer wrong": [one for one in trained if not one.right_answer],
        "shuffled network": [one for one in whole if one.network.endswith(SHUFFLED)],
    }
    rows = []
    for key in right[0].figures:
        cells = []
        good = [one.figures[key] for one in right]
        for group in groups.values():
            bad = [one.figures[key] for one in group]
            cells.append(f"{area(good, bad):.2f}: {caught(good, bad, ALARM)[1]:.2f}")
        rows.append([key, *cells])
    header = [f"{title} ({len(group)})" for title, group in groups.items()]
    return markdown([f"figure, against {len(right)} right places", *header], rows)


def _as_json(name: str) -> list[dict[str, Any]]:
    return [asdict(one) for one in judged(name)]


if __name__ == "__main__":
    print(table(sys.argv[1:] or list(MAKERS)))
