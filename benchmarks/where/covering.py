"""The study's covering test: a place is hidden, the network asked again, and the same done elsewhere.

``python -m benchmarks.where.covering [NAME …]`` compares fills and sizes on the selection parts.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.where.aligning import good, sent
from benchmarks.where.data import SELECTION, references
from benchmarks.where.designs import DESIGNS
from benchmarks.where.drawing import SIZE
from benchmarks.where.formulas import CHOSEN, FORMULAS, peak
from benchmarks.where.gathering import Subject
from benchmarks.where.networks import MAKERS
from benchmarks.where.study import Row, rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

FILLS = ("ring", "inpainted", "good")
SHARES = (0.08, 0.12, 0.16, 0.20, 0.25, 0.30)
"""Side of the cover relative to the side of the picture."""
CONTROLS = 4


def box(place: tuple[int, int], share: float) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a square cover, moved inside the picture."""
    side = round(share * SIZE)
    top = min(max(place[0] - side // 2, 0), SIZE - side)
    left = min(max(place[1] - side // 2, 0), SIZE - side)
    return top, top + side, left, left + side


def covered(
    image: Array, place: tuple[int, int], share: float, fill: str, instead: Array | None = None
) -> Array:
    """Return ``image [H, W, 3]`` with the place hidden; ``instead`` is the good part in this pose."""
    top, bottom, left, right = box(place, share)
    hole = np.zeros((SIZE, SIZE), np.uint8)
    hole[top:bottom, left:right] = 1
    if fill == "inpainted":
        return cv2.inpaint(image.astype(np.uint8), hole, 3, cv2.INPAINT_TELEA).astype(np.float32)
    ring = cv2.dilate(hole, np.ones((9, 9), np.uint8)) - hole
    soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.0)[..., None]
    if fill == "good" and instead is not None:
        # Brought to this part's light: same mean around the cover.
        shift = image[ring > 0].mean(0) - instead[ring > 0].mean(0)
        other = np.clip(instead + shift, 0, 255)
    else:
        other = np.broadcast_to(image[ring > 0].mean(0), image.shape)
    soft = np.maximum(soft, hole[..., None])
    return np.asarray(image * (1 - soft) + other * soft, np.float32)


def controls(
    place: tuple[int, int], share: float, values: Array, count: int = CONTROLS
) -> list[tuple[int, int]]:
    """Return places where the map is low, as far from ``place`` and from each other as the cover is wide."""
    low = cv2.blur(values, (round(share * SIZE),) * 2)
    margin = round(share * SIZE / 2)
    inner = np.full_like(low, np.inf)
    inner[margin : SIZE - margin, margin : SIZE - margin] = low[
        margin : SIZE - margin, margin : SIZE - margin
    ]
    cv2.circle(inner, (place[1], place[0]), round(1.5 * share * SIZE), float("inf"), -1)
    found = []
    # Not the lowest, which would be the empty belt: the places around the median of the map.
    finite = inner[np.isfinite(inner)]
    gap = np.abs(inner - np.median(finite)) if finite.size else inner
    for _ in range(count):
        row, column = np.unravel_index(int(gap.argmin()), gap.shape)
        found.append((int(row), int(column)))
        cv2.circle(gap, (int(column), int(row)), round(share * SIZE), float("inf"), -1)
    return found


def probabilities(logits: Array) -> Array:
    """Return the softmax of ``[N, K]``."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def goods() -> dict[str, Array]:
    """Return the median picture of the good parts of each design."""
    return {design.name: good(references(SELECTION, design)).colour for design in DESIGNS}


def tried(
    subject: Subject,
    row: Row,
    place: tuple[int, int],
    share: float,
    fill: str,
    values: Array,
    instead: Array | None,
) -> tuple[Array, Array]:
    """Return the probabilities ``[K]`` with the place covered, and ``[CONTROLS, K]`` with the controls covered."""
    image = row.part.image.astype(np.float32)
    images = [covered(image, at, share, fill, instead) for at in (place, *controls(place, share, values))]
    found = probabilities(subject.logits(np.stack(images)))
    return found[0], found[1:]


def main() -> None:
    """Print for each fill and size how often covering the right place, a wrong one and a control flips the answer."""
    formula, medians = FORMULAS[CHOSEN], goods()
    for name in sys.argv[1:] or MAKERS:
        subject = Subject(name)
        every = list(rows(name))
        for fill in FILLS:
            for share in SHARES:
                flips: dict[str, list[float]] = {}
                for row in every:
                    instead = None if row.warp is None else sent(medians[row.part.design.name], row.warp)
                    if fill == "good" and instead is None:
                        continue
                    values = formula(row.sight)
                    place = peak(values)
                    there, elsewhere = tried(subject, row, place, share, fill, values, instead)
                    kind = row.part.kind + (" right" if row.near[place] else " wrong")
                    flips.setdefault(kind, []).append(float(there.argmax() != row.found.target))
                    flips.setdefault("control", []).append(
                        float(np.mean(elsewhere.argmax(1) != row.found.target))
                    )
                print(
                    f"{name:10} {fill:10} {share:.2f} "
                    + "  ".join(f"{k} {np.mean(v):.2f} of {len(v)}" for k, v in sorted(flips.items())),
                    flush=True,
                )


if __name__ == "__main__":
    main()
