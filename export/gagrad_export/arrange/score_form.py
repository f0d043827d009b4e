"""What makes probabilities of a detector's scores, and which class is none, by their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_export.arrange.layout import Activation

    Array = NDArray[np.float32]

_SUM_SLACK = 1e-3
_DOMINATED = 0.8
"""Share of the candidates in which a background is the largest score; by chance one in C is."""
_RARE = 0.9
"""Share of the logits that are negative where each class has a sigmoid of its own: most are of nothing."""


@dataclass(frozen=True)
class ScoreForm:
    """What scores can be, and the evidence for it."""

    activation: Activation
    logits: bool
    background: int | None
    evidence: str


def score_forms(scores: Array, sigmoid: NDArray[np.bool_], classes: int | None) -> list[ScoreForm]:
    """Return what ``scores [F, A, C]`` can be.

    ``sigmoid`` says for each column whether it is behind one, ``classes`` how many names there are.
    """
    extent = scores.shape[2]
    if sigmoid.all():
        fits = classes in (None, extent)
        return [ScoreForm("sigmoid", False, None, "behind a sigmoid")] if fits else []
    low, high = float(scores.min()), float(scores.max())
    if low >= -1e-6 and high <= 1 + 1e-6:
        if extent > 1 and np.abs(scores.sum(axis=2) - 1).max() <= _SUM_SLACK:
            return _with_background(scores, classes, logits=False)
        if classes in (None, extent):
            return [ScoreForm("sigmoid", False, None, "in 0..1, each by itself")]
        return []
    return _logits(scores, classes)


def _logits(scores: Array, classes: int | None) -> list[ScoreForm]:
    extent = scores.shape[2]
    each = ScoreForm("sigmoid", True, None, "in front of a sigmoid")
    shared = _with_background(scores, classes, logits=True)
    if extent == 1:
        return [each] if classes in (None, 1) else []
    if classes == extent:
        return [_because(each, f"as many as the {classes} class names")]
    if classes == extent - 1:
        return [_because(one, f"one more than the {classes} class names") for one in shared]
    if classes is not None:
        return []
    return [each, *shared]


def _with_background(scores: Array, classes: int | None, *, logits: bool) -> list[ScoreForm]:
    """Return the softmaxes that the scores can be of: with the background last, as DETR, or first, as SSD."""
    extent = scores.shape[2]
    if classes not in (None, extent, extent - 1):
        return []
    where = "in front of a softmax" if logits else "behind a softmax"
    largest = scores.argmax(axis=2)
    last, first = float((largest == extent - 1).mean()), float((largest == 0).mean())
    sides = [(extent - 1, last, "last"), (0, first, "first")]
    clear = [side for side in sides if side[1] >= _DOMINATED]
    if clear:
        index, share, word = clear[0]
        return [
            ScoreForm(
                "softmax",
                logits,
                index,
                f"{where}; the {word} is the largest of {share:.0%} of the candidates and stands for nothing",
            )
        ]
    return [
        ScoreForm("softmax", logits, index, f"{where}, with the {word} for nothing")
        for index, _, word in sides
    ]


def _because(form: ScoreForm, why: str) -> ScoreForm:
    return ScoreForm(form.activation, form.logits, form.background, f"{form.evidence}: {why}")
