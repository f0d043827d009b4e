"""Verdict: NG or OK, where it is known.

It is known where an anomaly scorer has a limit, and where a classifier has a class for good parts or for bad
ones. Which names are such classes stands here and nowhere else. Of any other model the picture says the
class alone: nobody has told which classes are good.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.output import Task
    from gagrad_runtime.explanation.explanation import Explanation

Verdict = Literal["OK", "NG"]

OK_NAMES = (
    "ok", "okay", "good", "good part", "ok part", "pass", "passed", "accept", "accepted", "normal", "healthy",
    "undamaged", "no defect", "without defect", "defect free", "not defective", "non defective", "i.O.",
    "gut", "良品", "合格", "正常", "良", "양품", "정상",
)  # fmt: skip
"""Names of classes for good parts, in any case and with any signs between the words."""
NG_NAMES = (
    "ng", "not ok", "nok", "not good", "no good", "bad", "bad part", "fail", "failed", "reject", "rejected",
    "faulty", "defect", "defective", "anomaly", "anomalous", "abnormal", "n.i.O.", "schlecht", "不良",
    "不良品", "不合格", "異常", "异常", "불량",
)  # fmt: skip
"""Names of classes for bad parts."""


def _plain(name: str) -> str:
    """Return the letters and digits of ``name`` behind its last slash, all in one case."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFKC", name))[-1]
    return re.sub(r"[\W_]+", "", last.casefold())


_OK, _NG = frozenset(map(_plain, OK_NAMES)), frozenset(map(_plain, NG_NAMES))


def verdict_of_class(name: str, classes: Sequence[str]) -> Verdict | None:
    """Return the verdict of the answer ``name`` of a model with ``classes``; None where it is not known.

    Where one of the classes is for good parts, every other one is NG.
    """
    plain = _plain(name)
    if plain in _OK:
        return "OK"
    if plain in _NG or any(_plain(other) in _OK for other in classes):
        return "NG"
    return None


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
