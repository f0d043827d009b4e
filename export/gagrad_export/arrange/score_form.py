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


@dataclass(frozen=True)
class ScoreForm:
    """What scores can be, and the evidence for it."""

    activation: Activation
    logits: bool
    background: int | None
    evidence: str
    sure: bool = False
    """Whether the scores are known to be probabilities of all classes; those of the best class look alike."""


@dataclass(frozen=True)
class Hints:
    """What is known of the scores besides their values."""

    classes: int | None = None
    """How many class names there are."""
    chosen: bool = False
    """Whether the network chooses its queries by score, as those with a sigmoid for each class do."""
    last: bool = False
    """Whether a class that stands for nothing can only be the last, as Hugging Face has it."""
    skipped: int | None = None
    """Class that the model leaves out when it selects its detections."""


def score_forms(scores: Array, sigmoid: NDArray[np.bool_], hints: Hints) -> list[ScoreForm]:
    """Return what ``scores [F, A, C]`` can be; ``sigmoid`` says for each column whether it is behind one."""
    classes = hints.classes
    if (scores == np.rint(scores)).all():
        return []  # the index of the best class, or a flag
    extent = scores.shape[2]
    if sigmoid.all():
        fits = classes in (None, extent)
        return [ScoreForm("sigmoid", False, None, "behind a sigmoid", sure=True)] if fits else []
    low, high = float(scores.min()), float(scores.max())
    if low >= -1e-6 and high <= 1 + 1e-6:
        if extent > 1 and np.abs(scores.sum(axis=2) - 1).max() <= _SUM_SLACK:
            return _with_background(scores, hints, logits=False)
        if classes in (None, extent):
            return [ScoreForm("sigmoid", False, None, "in 0..1, each by itself")]
        return []
    return _logits(scores, hints)


def _logits(scores: Array, hints: Hints) -> list[ScoreForm]:
    extent, classes = scores.shape[2], hints.classes
    each = ScoreForm("sigmoid", True, None, "in front of a sigmoid")
    shared = _with_background(scores, hints, logits=True)
    if hints.chosen and extent > 1:
        return _of_chosen(each, extent, classes)
    if classes is None:
        # A sigmoid each would call every candidate an object of a class whose score is above 0.
        clear = len(shared) == 1 and scores[..., shared[0].background].mean() > 0
        return shared if clear and extent > 1 else [each, *shared] if extent > 1 else [each]
    if classes == extent:
        return [_because(each, f"as many as the {classes} class names")]
    one_more = classes == extent - 1 and extent > 1
    return [_because(one, f"one more than the {classes} class names") for one in shared] if one_more else []


def _of_chosen(each: ScoreForm, extent: int, classes: int | None) -> list[ScoreForm]:
    """Return the reading of a network that chooses its queries; RF-DETR has one score more than classes."""
    text = "the network chooses its queries by score, as RT-DETR, D-FINE and RF-DETR do"
    if classes in (None, extent):
        return [_because(each, text)]
    if classes != extent - 1:
        return []
    more = f"{text}; there are {classes} class names, so the last score is of no class"
    return [ScoreForm("sigmoid", True, extent - 1, f"{each.evidence}: {more}")]


def _with_background(scores: Array, hints: Hints, *, logits: bool) -> list[ScoreForm]:
    """Return the softmaxes that the scores can be of: with the background last, as DETR, or first, as SSD."""
    extent, classes = scores.shape[2], hints.classes
    if classes not in (None, extent, extent - 1):
        return []
    where = "in front of a softmax" if logits else "behind a softmax"
    if hints.skipped is not None:
        text = f"{where}; the model leaves {hints.skipped} out"
        return [ScoreForm("softmax", logits, hints.skipped, text, sure=not logits)]
    largest = scores.argmax(axis=2)
    last, first = float((largest == extent - 1).mean()), float((largest == 0).mean())
    sides = [(extent - 1, last, "last"), (0, first, "first")][: 1 if hints.last else 2]
    clear = [side for side in sides if side[1] >= _DOMINATED]
    if clear:
        index, share, word = clear[0]
        return [
            ScoreForm(
                "softmax",
                logits,
                index,
                f"{where}; the {word} is the largest of {share:.0%} of the candidates and stands for nothing",
                sure=not logits,
            )
        ]
    return [
        ScoreForm("softmax", logits, index, f"{where}, with the {word} for nothing", sure=not logits)
        for index, _, word in sides
    ]


def _because(form: ScoreForm, why: str) -> ScoreForm:
    return ScoreForm(form.activation, form.logits, form.background, f"{form.evidence}: {why}")
