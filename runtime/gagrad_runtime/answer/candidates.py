"""Candidates of a detector: which are detections, and how much two boxes overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import DetectionSpec

    Array = NDArray[np.float32]
    Indices = NDArray[np.intp]


def best_classes(scores: Array, background: int | None) -> Indices:
    """Return the class with the highest of ``scores [K, A]`` for each candidate, the background left out."""
    if background is not None:
        scores = scores.copy()
        scores[background] = -np.inf
    best: Indices = scores.argmax(axis=0)
    return best


def detected(
    scores: Array, chances: Array, boxes: Array, candidates: Indices, spec: DetectionSpec
) -> list[tuple[int, int]]:
    """Return (class, candidate) of the detections among ``candidates``, best first, at most ``spec.most``.

    ``scores`` and their probabilities ``chances`` are [K, A], ``boxes`` [A, 4]. Each candidate has one class,
    its best. Where the model has not taken out doubles, the weaker of two candidates of one class that
    overlap is one.
    """
    classes = best_classes(scores, spec.background)[candidates]
    likely = chances[classes, candidates] >= spec.threshold
    classes, candidates = classes[likely], candidates[likely]
    chance = chances[classes, candidates]
    # Several probabilities may round to one: then the score decides, then the candidate's number.
    order = np.lexsort((candidates, -scores[classes, candidates], -chance))
    classes, candidates, chance = classes[order], candidates[order], chance[order]
    if not spec.suppressed:
        kept = _suppress(boxes[candidates], chance, classes, spec)
        classes, candidates = classes[kept], candidates[kept]
    return [(int(k), int(a)) for k, a in zip(classes[: spec.most], candidates[: spec.most], strict=True)]


def _suppress(boxes: Array, chance: Array, classes: Indices, spec: DetectionSpec) -> Indices:
    """Return which of the candidates, given best first, are no doubles of a better one of their class.

    The work grows with the square of the candidates, and a weaker one never changes what becomes of a better
    one: so twice as many as wanted are looked at first, and more only where these were not enough.
    """
    corners = boxes.astype(np.float64)
    sized = np.concatenate([corners[:, :2], np.maximum(corners[:, 2:] - corners[:, :2], 0)], axis=1)
    first = 2 * spec.most
    while True:
        part = slice(0, first)
        # Without candidates OpenCV returns an empty tuple.
        found: Any = cv2.dnn.NMSBoxesBatched(
            sized[part],  # type: ignore[arg-type]
            chance[part].astype(np.float64),  # type: ignore[arg-type]
            classes[part].astype(np.int32),  # type: ignore[arg-type]
            0.0,
            spec.overlap,
        )
        kept = np.sort(np.asarray(found, np.intp))
        if len(kept) >= spec.most or first >= len(chance):
            return kept
        first *= 2


def overlaps(box: Any, boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the intersection over union of ``box`` with each of ``boxes [n, 4]``; 0 for one without area."""
    one, many = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    size = np.maximum(np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2]), 0)
    shared = size.prod(axis=1)
    whole = area(one[None]) + area(many) - shared
    found: NDArray[np.float64] = np.divide(shared, whole, out=np.zeros(len(many)), where=whole > 0)
    return found


def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of each of ``boxes [n, 4]``; 0 for a box that is inside out."""
    found: NDArray[np.float64] = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return found
