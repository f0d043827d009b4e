"""How the model's output is read: its task, and what turns its scores into probabilities, with the evidence.

A softmax that is assumed shows a percentage where the model measures millimetres, and a second softmax behind
the model's own turns 1.000 into 0.405. So each decision has a sentence that says what it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.output import derived_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.output import Activation, Task
    from gagrad_export.arrange import Stated
    from gagrad_export.canonicalise import Canonical

    Scores = Callable[[], NDArray[np.float32]]

_SLACK = 1e-6
"""How far from 0..1 the rounding of a probability may lie."""
_SUM_SLACK = 1e-3
"""How far from their mean the sums of the classes may be, relative to it."""


@dataclass(frozen=True)
class Reading:
    """What was decided about an output."""

    activation: Activation
    task: Task
    evidence: str
    """What the decision rests on, as a sentence for the user."""


def read_output(
    model: Canonical,
    *,
    activation: Activation | None,
    task: Task | None,
    named: bool,
    scores: Scores,
    stated: Stated | None = None,
) -> Reading:
    """Return how the output of ``model`` is read. Raises SettingError where ``task`` does not fit the output.

    ``activation`` and ``task`` are what the user asks for, None to decide here; ``named`` is whether the
    classes have names. ``scores`` returns ``[F, K…]`` for F test frames, and is called only where the graph
    does not tell. The task that the model's files have ``stated`` is followed where it fits the output.
    """
    reading_as = partial(_read, model, activation=activation, named=named, scores=cache(scores))
    if task is not None:
        return reading_as(task=task, why="the task is as asked for")
    if stated is None or stated.task is None:
        return reading_as(task=None, why="")
    try:
        if len(model.score_shape) > 1:
            raise SettingError(f"the output is a map of {_size(model.score_shape)} scores")
        why = f"the task is as stated by {stated.stated_by} (`task` decides otherwise)"
        return reading_as(task=stated.task, why=why)
    except SettingError as refused:
        reading = reading_as(task=None, why="")
        said = f"{stated.stated_by} states {stated.task}, which is not followed: {refused.what}"
        return replace(reading, evidence=f"{reading.evidence}; {said}")


def _read(
    model: Canonical,
    *,
    activation: Activation | None,
    task: Task | None,
    why: str,
    named: bool,
    scores: Scores,
) -> Reading:
    """Return the reading for the ``task`` that is known, ``why`` in words; None decides."""
    shape = model.score_shape
    decided = _asked(activation) or _of_graph(model, task) or _of_scores(scores(), shape, task, named=named)
    found = decided.activation
    if task is None:
        return Reading(found, _task(shape, found, named=named, alike=decided.alike), decided.evidence)
    _require_task(task, shape, found, tail=model.tail if activation is None else None)
    return Reading(found, task, f"{decided.evidence}; {why}")


@dataclass(frozen=True)
class _Decided:
    """An activation, and the evidence for it."""

    activation: Activation
    evidence: str
    alike: Task | None = None
    """The task whose probabilities the scores look like."""


def _asked(activation: Activation | None) -> _Decided | None:
    """Return the activation that the user asks for; None where there is none."""
    return (
        None if activation is None else _Decided(activation, f"the activation is as asked for ({activation})")
    )


def _of_graph(model: Canonical, task: Task | None) -> _Decided | None:
    """Return what the graph tells; None where the scores have to tell."""
    if model.tail is not None:
        return _Decided(model.tail, f"a {model.tail} lies at the model's end")
    if model.plain is not None:
        return _Decided("none", f"the output is a plain score: {model.plain}")
    if model.score_shape[0] == 1:
        return _Decided("none", "there is one score and no activation in the graph, so no probability")
    if task == "regression":
        return _Decided("none", "there is no activation in the graph, so each score is a plain value")
    return None


def _of_scores(
    values: NDArray[np.float32], shape: tuple[int, ...], task: Task | None, *, named: bool
) -> _Decided:
    """Return what several scores without an activation are, by their ``values [F, K…]``."""
    alike = _probabilities(values)
    # A map of depths in 0..1 has two axes as well: labels are named, or the user says that there are some.
    unsaid = len(shape) == 2 and not named and task is None
    if alike is not None and not (unsaid and alike[0] == "multilabel"):
        evidence = (
            f"on {len(values)} test frames {alike[1]}: they look like probabilities already, are shown as "
            "they are, and get no second softmax (`activation` decides otherwise)"
        )
        return _Decided("none", evidence, alike[0])
    if task == "multilabel":
        return _Decided("sigmoid", "there is no activation in the graph; the scores are no probabilities yet")
    if unsaid:
        evidence = (
            f"nothing tells which axis of {shape[0]}×{shape[1]} scores without an activation or class names "
            "holds classes, so they are plain values (`activation=softmax` reads the first as classes)"
        )
        return _Decided("none", evidence)
    if named or task is not None:
        why = "the classes have names" if named else "the task is a classifier's"
        return _Decided("softmax", f"no activation is in the graph; a softmax is taken because {why}")
    if len(shape) == 3:
        evidence = (
            f"ASSUMED: {shape[0]} scores at each of {_size(shape[1:])} places, without an activation in the "
            "graph and without class names, are taken for the logits of classes of which each place has one, "
            "and percentages are their softmax. If a place can belong to several, give `activation=sigmoid`"
        )
        return _Decided("softmax", evidence)
    evidence = (
        f"ASSUMED: {shape[0]} scores without an activation in the graph and without class names are taken "
        "for a classifier's logits, and percentages are their softmax. If they are measured values, give "
        "`task=regression`; if each is a label of its own, `task=multilabel`"
    )
    return _Decided("softmax", evidence)


def _probabilities(scores: NDArray[np.float32]) -> tuple[Task, str] | None:
    """Return what scores that look like probabilities are, and why; None for other scores.

    ``scores`` is [F, K…] with the classes as axis 1. Shares of one total, whatever it is, are of classes;
    other scores in 0..1, of labels. Scores that are the same on all frames tell nothing.
    """
    if not np.isfinite(scores).all() or scores.min() < -_SLACK or np.ptp(scores, axis=0).max() == 0:
        return None
    totals = scores.sum(axis=1, dtype=np.float64)
    total = float(totals.mean())
    if np.abs(totals - total).max() <= _SUM_SLACK * total:
        return "classification", f"the scores are at least 0 and sum to {total:.3g} over the classes"
    return ("multilabel", "the scores lie in 0..1") if scores.max() <= 1 + _SLACK else None


def _task(shape: tuple[int, ...], activation: Activation, *, named: bool, alike: Task | None) -> Task:
    """Return the task that shape, activation and names tell."""
    if len(shape) == 3 and shape[0] > 1:
        return "segmentation"
    if activation == "none" and shape[0] > 1 and (alike is not None or named):
        return alike or "classification"
    return derived_task(shape, activation)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _require_task(
    task: Task, shape: tuple[int, ...], activation: Activation, *, tail: Activation | None
) -> None:
    """Raise SettingError where ``task`` contradicts the output; ``tail`` is the activation of the graph."""
    size = _size(shape)
    if task == "segmentation" and len(shape) != 3:
        raise SettingError(
            f"a segmentation has scores [classes, height, width], and these are {size}",
            where="task",
            hint="choose the map of scores with `output_name`, or leave `task` out",
        )
    if task == "regression" and tail is not None:
        raise SettingError(
            f"the model ends in a {tail}, whose output is a probability and no measured value",
            where="task",
            hint="leave `task` out; or give `activation=none`, which explains the score in front of it",
        )
    if task == "regression" and activation != "none":
        raise SettingError(
            f"a {activation} makes probabilities, and a regression's value is shown as the model gives it",
            where="activation",
            hint="leave `activation` out, or give `activation=none`; or leave `task` out",
        )
    if task == "multilabel" and activation == "softmax":
        raise SettingError(
            "a softmax lets the classes share one probability, and labels each have their own",
            where="task",
            hint="leave `task` out, or give `activation=sigmoid`",
        )
    if task in ("classification", "multilabel") and activation == "none" and shape[0] == 1:
        raise SettingError(
            "there is one score and no activation in the graph: it may be a plain value, which is "
            "`task=regression`, or the logit of one class, which is `activation=sigmoid`",
            where="task",
            hint="give `activation=sigmoid` if 0 is a probability of one half, else `task=regression`",
        )
