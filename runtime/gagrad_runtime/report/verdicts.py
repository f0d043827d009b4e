"""Verdict: NG or OK, where it is known.

It is known where an anomaly scorer has a limit, and where a classifier has a class for good parts or for bad
ones: ``answer.good`` has their names. Of any other model the picture says the
class alone: nobody has told which classes are good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gagrad_runtime.answer.good import good_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.output import Task
    from gagrad_runtime.explanation.explanation import Explanation

Verdict = Literal["OK", "NG"]


def verdict_of_class(name: str, classes: Sequence[str]) -> Verdict | None:
    """Return the verdict of the answer ``name`` of a model with ``classes``; None where it is not known.

    Where one of the classes is for good parts, every other one is NG.
    """
    good = good_name(name, classes)
    return None if good is None else "OK" if good else "NG"


def verdict_of(task: Task, ng: bool | None, name: str, classes: Sequence[str]) -> Verdict | None:
    """Return the verdict of a model of ``task`` whose answer is ``name``; ``ng`` is that of a limit."""
    if ng is not None:
        return "NG" if ng else "OK"
    return verdict_of_class(name, classes) if task == "classification" and classes else None


def verdict(explanation: Explanation) -> Verdict | None:
    """Return the verdict of the model's own answer, whatever ``explanation`` explains."""
    said = explanation.prediction
    if explanation.scores.ndim != 1:
        return None if said is None else verdict_of(said.task, said.ng, "", ())
    task: Task = "classification" if said is None else said.task
    # A single score has one name, whatever its value: the name is no answer.
    classes = explanation.classes if explanation.scores.size > 1 else ()
    return verdict_of(task, None if said is None else said.ng, explanation.predicted.name, classes)
