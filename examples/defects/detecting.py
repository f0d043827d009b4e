"""How well detections meet the truth: suppression, average precision at an overlap of one half."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from examples.defects.answers import answers
from examples.defects.parts import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from examples.defects.defective import DefectiveParts

    Boxes = NDArray[np.float32]

OVERLAP = 0.5


class Detected(NamedTuple):
    """The detections of one picture, best first."""

    boxes: Boxes
    """``[D, 4]``: left, top, right, bottom in pixels."""
    labels: NDArray[np.int64]
    """``[D]``: indices into CLASSES."""
    scores: NDArray[np.float32]


def suppressed(output: NDArray[np.float32], least: float = 0.01) -> Detected:
    """Return the detections in ``output [4 + K, A]`` with a score of at least ``least``.

    Of the boxes of one class that overlap by more than a half, the best is kept.
    """
    scores, labels = output[4:].max(0), output[4:].argmax(0) + 1
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= least]
    centre, size = output[:2, order].T, output[2:4, order].T
    boxes, labels, scores = np.hstack([centre - size / 2, centre + size / 2]), labels[order], scores[order]
    kept: list[int] = []
    for place in range(len(order)):
        rivals = [other for other in kept if labels[other] == labels[place]]
        if not rivals or overlap(boxes[place], boxes[rivals]).max() <= OVERLAP:
            kept.append(place)
    return Detected(boxes[kept], labels[kept], scores[kept])


def overlap(box: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Return the IoU ``[M]`` of ``box [4]`` with ``others [M, 4]``."""
    common = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(common, 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def average_precision(found: Sequence[Detected], truths: Sequence[Detected], label: int) -> float:
    """Return the area under precision over recall of one class, over all pictures.

    A detection is right if it overlaps by half or more with a box of its class that no better one has taken.
    Precision at a recall is the best at that recall or a higher one, as in PASCAL VOC 2010.
    """
    ranked = []
    wanted = 0
    for detected, truth in zip(found, truths, strict=True):
        boxes = truth.boxes[truth.labels == label]
        wanted += len(boxes)
        free = np.ones(len(boxes), bool)
        for box, score in zip(
            detected.boxes[detected.labels == label], detected.scores[detected.labels == label], strict=True
        ):
            shared = overlap(box, boxes) * free if len(boxes) else np.zeros(1)
            right = bool(shared.max() >= OVERLAP)
            if right:
                free[shared.argmax()] = False
            ranked.append((float(score), right))
    ranked.sort(key=lambda one: -one[0])
    hits = np.cumsum([right for _, right in ranked]) if ranked else np.zeros(1)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0], hits])) * precision) / max(wanted, 1))


def truths_of(parts: DefectiveParts) -> list[Detected]:
    """Return the true boxes of each part, each with score 1."""
    known = []
    for boxes, labels in zip(parts.boxes.numpy(), parts.labels.numpy(), strict=True):
        there = labels >= 0
        known.append(Detected(boxes[there], labels[there], np.ones(there.sum(), np.float32)))
    return known


def average_precisions(model: Path, parts: DefectiveParts) -> dict[str, float]:
    """Return the average precision of the detector in the file ``model`` for each class."""
    (output,) = answers(model, parts.images.numpy(), ("output0",))
    found, truths = [suppressed(one) for one in output], truths_of(parts)
    return {name: average_precision(found, truths, label) for label, name in enumerate(CLASSES[1:], start=1)}


def report(model: Path, parts: DefectiveParts) -> str:
    """Return the detector's figures on ``parts``, as a Markdown table."""
    precisions = average_precisions(model, parts)
    rows = ["| class | boxes | AP50 |", "|---|---|---|"]
    for label, (name, precision) in enumerate(precisions.items(), start=1):
        rows.append(f"| {name} | {int((parts.labels == label).sum())} | {precision:.3f} |")
    count, mean = int((parts.labels > 0).sum()), np.mean(list(precisions.values()))
    rows.append(f"| all: mAP50 | {count} on {len(parts)} parts | {mean:.3f} |")
    return "\n".join(rows)
