"""Whether the model's answer is that the part is good: by the name of the class, or as nothing is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gagrad_runtime.answer.prediction import Prediction

GOOD = frozenset({"ok", "okay", "good", "pass", "passed", "normal", "healthy", "fine", "accept", "accepted",
                  "no defect", "defect free", "without defect", "non defective", "not defective", "undamaged",
                  "良品", "正常"})  # fmt: skip
"""Names of a class of good parts, in lower case, with spaces for hyphens and underscores."""
BAD = frozenset({"ng", "bad", "fail", "failed", "reject", "rejected", "defect", "defective", "anomaly",
                 "abnormal", "nok", "not ok", "faulty", "不良", "不良品"})  # fmt: skip
"""Names of a class of parts that are not good, whatever is wrong with them."""


def says_good(said: Prediction) -> bool | None:
    """Return whether the model says that the part is good; None where its answers do not tell.

    A detector, a segmenter or a model of labels says so when it finds nothing, and also when all that it
    finds is called good. A classifier's answer tells when one of its classes has a name of GOOD or BAD: then
    all others are the opposite.
    """
    if said.task == "anomaly":
        return None if said.ng is None else not said.ng
    if said.task in ("detection", "segmentation", "multilabel"):
        return all(_key(name) in GOOD for name in said.present)
    if said.task != "classification":
        return None
    name, names = _key(said.target.name), {_key(one) for one in said.class_names}
    if len(said.class_names) == 1:  # one label, which is there or not
        there = said.probability is None or said.probability >= 0.5
        return None if name not in GOOD | BAD else (name in GOOD) == there
    if names & GOOD:
        return name in GOOD
    return name not in BAD if names & BAD else None


def _key(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()
