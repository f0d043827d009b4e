"""Words of the covering test: what covering a place does to the answer, and how strong that evidence is."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Literal

from gagrad_runtime.language import text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.explanation import Explanation

Strength = Literal["strong", "weak", "none"]

FINDS_NOTHING = "covering-finds-nothing"
"""Code of the caution that says that no single place decides."""
_WEAKENED, _HALVED = 0.2, 0.5
"""Share of its confidence that the answer loses when the place that it hangs on most is covered: with less
than the first, nothing is found; a value that has no other answer is strongly shown from the second on."""


def strength(explanation: Explanation) -> Strength | None:
    """Return how strong the evidence is that a place is the reason; None where nothing was tested.

    Strong: with the place covered the model gives another answer, and with as much covered elsewhere it does
    not. Weak: it does so there too, or it only becomes less sure. None: covering finds nothing. An OK part
    has no place that makes it OK, so there is no strength either. A value has no other answer to change to:
    it is strong from half of it on.
    """
    covering = explanation.covering
    if covering is None or not covering.places or verdict(explanation) == "OK":
        return None
    if covering.decides is not None:
        return "weak" if covering.changed_elsewhere else "strong"
    if not _loses(covering):
        return "none"
    halved = min(covering.places) <= (1 - _HALVED) * covering.before
    return "strong" if halved and not _decidable(explanation) else "weak"


def cited(covering: Covering) -> int:
    """Return the number of the place that the sentence is about."""
    if covering.decides is not None:
        return covering.decides
    return 1 + covering.places.index(min(covering.places)) if _loses(covering) else 1


def covering_line(explanation: Explanation, margin: str | None) -> str | None:
    """Return the sentence on the covering test, with the same for as much covered elsewhere beside it.

    Where no place decides, ``margin`` says how far ahead the answer is. None where nothing was tested.
    """
    covering = explanation.covering
    if covering is None or not covering.places:
        return None
    number = cited(covering)
    change = _change(explanation, covering.before, covering.places[number - 1])
    if covering.controls:
        elsewhere = _elsewhere(explanation, covering)
        change = text("{change}; {elsewhere}", change=change, elsewhere=elsewhere)
    if covering.decides is not None:
        return text("Covering place {number} changes the answer: {change}.", number=number, change=change)
    if not _decidable(explanation):
        return text("With place {number} covered: {change}.", number=number, change=change)
    if verdict(explanation) == "OK":
        return text(
            "Covering place {number} does not change the answer: {change}.", number=number, change=change
        )
    if _loses(covering):
        return text(
            "Covering place {number} weakens the answer without changing it: {change}.",
            number=number,
            change=change,
        )
    told = any(one.code == FINDS_NOTHING for one in explanation.cautions)
    parts = [
        "" if told else text("No single place decides; something may be missing."),
        text("With place {number} covered: {change}.", number=number, change=change),
        margin or "",
    ]
    return joined_sentences(part for part in parts if part)


def joined_sentences(sentences: Iterable[str]) -> str:
    """Return ``sentences`` behind each other, with a space between them where the language has one."""
    whole = ""
    for one in sentences:
        whole = text("{before} {sentence}", before=whole, sentence=one) if whole else one
    return whole


def _elsewhere(explanation: Explanation, covering: Covering) -> str:
    """Return what covering as much elsewhere does: in the middle of the control places, and to how many."""
    changed, controls = sum(covering.controls_changed), len(covering.controls)
    change = _change(explanation, covering.before, median(covering.controls))
    if covering.decides is None or not changed:
        return text("as much elsewhere: {change}", change=change)
    if covering.changed_elsewhere:
        return text("but as much elsewhere changes it too: {change}", change=change)
    return text(
        "as much elsewhere: {change} ({changed} of {controls} change it too)",
        change=change,
        changed=changed,
        controls=controls,
    )


def _loses(covering: Covering) -> bool:
    """Whether covering a place takes more of the confidence than covering as much elsewhere does."""
    lost = covering.before - min(covering.places)
    elsewhere = covering.before - min(covering.controls, default=covering.before)
    return lost >= _WEAKENED * covering.before and lost > 2 * max(elsewhere, 0.0)


def _decidable(explanation: Explanation) -> bool:
    """Whether the model has an answer that could change: a value has none, nor a score without a limit."""
    said = explanation.prediction
    return said is None or not (said.task == "regression" or (said.task == "anomaly" and said.ng is None))


def _change(explanation: Explanation, before: float, after: float) -> str:
    if explanation.probabilities is None:  # of a plain score: the share of it that is left
        return text("{share} of the score is left", share=percent(after))
    return text("{before} → {after}", before=percent(before), after=percent(after))
