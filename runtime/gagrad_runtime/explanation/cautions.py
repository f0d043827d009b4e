"""Cautions: what to know before trusting a map, as a code for programs and a sentence for people.

Here are those about the map and its evidence; ``input_cautions`` has those about the frame, ``doubts`` those
about an answer that the model is not sure of. docs/cautions.md says how often each is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_runtime.language import Phrase, listed, phrase
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.sampling.estimation import MIN_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place
    from gagrad_runtime.question.target import Target

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Caution:
    """One thing to know before trusting the map: a stable ``code`` for programs, ``text`` for people."""

    code: str
    """Stable name, e.g. ``unsure``; docs/cautions.md lists them."""
    text: str
    """The caution as a sentence, in English; ``gagrad_runtime.language.shown`` has it in another language."""


UNCALIBRATED = "uncalibrated"
"""Code of the caution that goes where a scale of good parts is given with the picture."""
COVERED = -0.005
"""Share of the confidence that covering place 1 takes, up to which the place is no reason: the model is surer
without it. That the answer does not become another one is less telling: many defects are larger than their
place on the map. This limit and the next ones are chosen together (docs/where.md)."""
MORE = 0.05
"""By how much more of the confidence covering the other place must take, where the evidence disagrees."""
APART = 0.15
"""Distance of the gradient's own highest place from place 1, as a share of the image's side."""
PLACE_AGREES = 0.7
"""Share of the samples' parts that agree on place 1, below which another run may point elsewhere."""
_LITTLE, _MOST = 0.05, 0.8
"""Shares of the confidence that covering place 1 takes: with less it finds nothing, with more it settles."""
_SURE = 0.8
"""Confidence below which even a little that covering takes is nothing: the answer may hang by no place."""
COPIES_KEPT = 0.7
"""Share of the noisy copies that keep the image's answer, below which the map is of several answers."""
UNSTABLE = 0.5
"""Stability below which two maps of other samples would differ in more than they share."""


def constant_map(saliency: Array, *, dead: bool, cam: bool = False) -> list[Caution]:
    """Caution for a map without differences; ``dead`` when the model did not react at all.

    A class activation map (``cam``) is cut off at 0: where every feature speaks against the target, the map
    is empty.
    """
    if saliency.max() > saliency.min():
        return []
    if cam:
        text = phrase("At the layer of this method nothing speaks for the result, so the map is empty.")
        return [Caution("no-evidence", text)]
    if dead:
        text = phrase("The result does not react to any part of the image, so the map shows nothing.")
        return [Caution("dead-gradient", text)]
    text = phrase("All parts of the image count the same, so the map shows nothing.")
    return [Caution("constant-map", text)]


def saturated(low: Array, high: Array, target: Target, samples: int) -> list[Caution]:
    """Caution when no noise moves the score: ``low`` and ``high [K…]`` are the samples' extreme scores."""
    moved = target.reading(high) != target.reading(low)
    if moved or samples < MIN_SAMPLES:
        return []
    text = phrase(
        "The score does not move when the image changes a little: it is at its limit, and the map may "
        "show nothing of the reason."
    )
    return [Caution("saturated-score", text)]


def unstable(stability: float | None) -> list[Caution]:
    """Caution for a map whose order of pixels other samples would change; ``stability`` as in 0..1."""
    if stability is None or stability >= UNSTABLE:
        return []
    text = phrase("The map has not settled: another run would look different. Take more samples.")
    return [Caution("unstable", text)]


def not_settled(stability: float | None, wanted: float | None) -> list[Caution]:
    """Caution for a map that is less stable than ``wanted`` (0..1)."""
    if wanted is None or (stability is not None and stability >= wanted):
        return []
    if stability is None:
        text = phrase("The samples ended before the map was as stable as asked.")
    else:
        text = phrase(
            "The samples ended before the map was as stable as asked ({reached} of {wanted}).",
            reached=f"{stability:.2f}",
            wanted=f"{wanted:g}",
        )
    return [Caution("not-settled", text)]


def late(seconds: float, budget_ms: float | None, samples: int) -> list[Caution]:
    """Caution when the explanation took longer than ``budget_ms``."""
    if budget_ms is None or seconds * 1000 <= budget_ms:
        return []
    took, asked = f"{seconds * 1000:.0f}", f"{budget_ms:g}"
    text = phrase("This took {took} ms and not {asked} ms as asked.", took=took, asked=asked)
    if samples <= MIN_SAMPLES:
        text = phrase(
            "This took {took} ms and not {asked} ms as asked: {least} samples are the least.",
            took=took,
            asked=asked,
            least=samples,
        )
    return [Caution("late", text)]


def not_detected(target: Target, prediction: Prediction) -> list[Caution]:
    """Caution for a candidate that a detector does not list: its map tells of something that is not found."""
    if target.detection is not None:
        return []
    listed = {one.index[0] for one in prediction.detections}
    if target.index[0] in listed:
        text = phrase(
            "The model does not list this candidate: it is too weak, or the double of a stronger one."
        )
    elif target.index == prediction.target.index:
        text = phrase("The model found nothing in this image. The map is of its strongest candidate.")
    elif listed:
        text = phrase(
            "The model found no {name} in this image. The map is of a candidate that is too weak to count.",
            name=target.name,
        )
    else:
        text = phrase(
            "The model found nothing in this image. The map is of a candidate that is too weak to count."
        )
    return [Caution("not-detected", text)]


def covering_finds_nothing(covering: Covering | None) -> list[Caution]:
    """Caution where covering place 1 leaves the answer as it was, and no other place changes it.

    It is for an answer that something is there: a good part is good without any of its places.
    """
    if covering is None or not covering.decidable or covering.decides is not None:
        return []
    sure = covering.before >= _SURE
    if covering.lost > (COVERED if sure else _LITTLE):
        return []
    text = phrase(
        "Covering place 1 leaves the answer as it was, so no single place decides. Something may be missing "
        "from the part, or the reason is spread out."
    )
    return [Caution("covering-finds-nothing", text)]


def peaks_disagree(
    places: tuple[Place, ...], covering: Covering | None = None, apart: float | None = None
) -> list[Caution]:
    """Caution where the evidence points at two places, and covering place 1 does not settle it.

    The other one is where the gradient alone is highest, ``apart`` from place 1 in shares of the side; or a
    place that is not on the map's own evidence, and that takes more of the confidence when it is covered.
    Place 1 is that of the map: another comes first only where covering finds nothing, which has its caution.
    """
    if _settled(covering) or (places and places[0].evidence != "map"):
        return []
    if apart is not None and apart > APART:
        return [Caution("peaks-disagree", _elsewhere(phrase("the gradient alone")))]
    if covering is None:
        return []
    tested = zip(places[1:], covering.places[1:], strict=False)
    named = {
        "activation": phrase("the class activation"),
        "finer activation": phrase("the class activation"),
        "reference": phrase("the difference to good parts"),
    }
    for place, left in tested:
        if place.evidence in named and covering.places[0] - left > MORE * covering.before:
            return [Caution("peaks-disagree", _elsewhere(named[place.evidence]))]
    return []


def _elsewhere(evidence: Phrase) -> Phrase:
    """Return the sentence that ``evidence`` points elsewhere."""
    return phrase(
        "The evidence does not agree on place 1: {evidence} is highest elsewhere. Look at the whole part.",
        evidence=evidence,
    )


def place_unstable(share: float | None, covering: Covering | None = None) -> list[Caution]:
    """Caution where parts of the samples point elsewhere, and covering place 1 does not settle it.

    ``share`` is how often they agree on place 1.
    """
    if share is None or share >= PLACE_AGREES:
        return []
    if covering is not None and not _LITTLE < covering.lost < _MOST:
        return []  # then covering has told already whether the answer hangs on the place
    text = phrase(
        "Place 1 may be elsewhere in another run: parts of the samples agree on it in {share}.",
        share=share_text(share),
    )
    return [Caution("place-unstable", text)]


def copies_lose_answer(kept: float | None, covering: Covering | None = None) -> list[Caution]:
    """Caution where noise changes the answer, and covering place 1 does not settle where the reason is.

    ``kept`` is the share of the noisy copies that keep the answer.
    """
    if kept is None or kept >= COPIES_KEPT or _settled(covering):
        return []
    text = phrase(
        "Only {share} of the noisy copies that the map is made from get the same answer, so the "
        "map is of other answers, too.",
        share=share_text(kept),
    )
    return [Caution("copies-lose-answer", text)]


def _settled(covering: Covering | None) -> bool:
    """Whether covering place 1 changes the answer: then that is the place, whatever else is doubtful."""
    return covering is not None and covering.decides == 1


def answer_unusual(phrases: Sequence[str]) -> list[Caution]:
    """Caution where the answer is unlike those that good parts got at calibration; ``phrases`` say how."""
    if not phrases:
        return []
    text = phrase("The answer is unlike any at calibration: {how}.", how=listed(phrases, "; "))
    return [Caution("answer-unusual", text)]


def uncalibrated(good: bool | None, *, calibrated: bool) -> list[Caution]:
    """Caution for the map of a part that is called good, where nothing is known of other good parts."""
    if calibrated or not good:
        return []
    text = phrase(
        "The model says that the part is good. A good part's map always has a brightest place; only a "
        "calibration with good parts tells how bright it may be."
    )
    return [Caution(UNCALIBRATED, text)]
