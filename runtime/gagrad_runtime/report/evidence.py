"""Evidence: what speaks for the places, in words: covering, agreement, repetition.

RCAP is not among it: it does not tell a right map from a wrong one. It stands in the small print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.language import marked, phrase, text
from gagrad_runtime.language.numbers import share_text
from gagrad_runtime.report.covering_words import cited, covering_line

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.explanation.places import Place

PEAKS_DISAGREE, PLACE_UNSTABLE = "peaks-disagree", "place-unstable"
"""Codes of the cautions that say what two of the sentences say."""
NUMBERED = 3
"""Number of places that get a number; more numbers would hide the map."""
_LEAST_SHARE = 0.05
"""Share of the map, 0..1, below which a place gets no number, unless something else points at it."""
_STEADY = 0.7
"""Share of the repeats, 0..1, that have to find place 1 again for it to be steady."""

_WHERE = (
    (marked("at the upper left"), marked("at the top"), marked("at the upper right")),
    (marked("at the left"), marked("in the middle"), marked("at the right")),
    (marked("at the lower left"), marked("at the bottom"), marked("at the lower right")),
)
_POINTS = {
    "activation": marked("only the class activation points here"),
    "finer activation": marked("only the class activation points here"),
    "reference": marked("only the comparison with good parts points here"),
    "covering": marked("found by covering, not by the map"),
}
_OTHERS = {
    "activation": phrase("the class activation"),
    "finer activation": phrase("the class activation"),
    "reference": phrase("the comparison with good parts"),
}


def numbered(explanation: Explanation) -> tuple[tuple[int, Place], ...]:
    """Return the places that get a number on the picture and a sentence in the caption, with the numbers.

    Place 1, the one that the covering test speaks of, and of the others those that hold enough of the map or
    that something else than the map points at. The numbers are those of ``Explanation.places``.
    """
    covering = explanation.covering
    named = None if covering is None or not covering.places else cited(covering)
    chosen = [
        (number, one)
        for number, one in enumerate(explanation.places, start=1)
        if number in (1, named) or one.evidence != "map" or one.share >= _LEAST_SHARE
    ]
    needed = [pair for pair in chosen if pair[0] in (1, named) or pair[1].evidence != "map"]
    more = [pair for pair in chosen if pair not in needed]
    return tuple(sorted((needed + more)[:NUMBERED], key=lambda pair: pair[0]))


def evidence_lines(explanation: Explanation, margin: str | None) -> tuple[str, ...]:
    """Return what speaks for the places, as sentences; ``margin`` says how far ahead the answer is.

    What a caution says already is left out.
    """
    told = {caution.code for caution in explanation.cautions}
    lines = [
        covering_line(explanation, margin),
        None if PEAKS_DISAGREE in told else _disagreement(explanation),
        None if PLACE_UNSTABLE in told else _repeated(explanation),
    ]
    return tuple(line for line in lines if line)


def place_lines(explanation: Explanation) -> tuple[str, ...]:
    """Return a sentence on each numbered place: where it is, and how much of the map it holds."""
    return tuple(
        text("{number}: {place}", number=number, place=_place(explanation, one))
        for number, one in numbered(explanation)
    )


def _place(explanation: Explanation, one: Place) -> str:
    said = text(
        "{where}, {share} of the map",
        where=where(one, explanation.frame.height, explanation.frame.width),
        share=share_text(one.share),
    )
    if one.evidence not in _POINTS:
        return said
    return text("{place}; {who}", place=said, who=text(_POINTS[one.evidence]))


def where(place: Place, height: int, width: int) -> str:
    """Return in words where the middle of ``place`` is on a frame of ``height`` and ``width``."""
    x, y = place.middle
    row, column = (min(max(int(3 * at / size), 0), 2) for at, size in ((y, height), (x, width)))
    return text(_WHERE[row][column])


def _disagreement(explanation: Explanation) -> str | None:
    """Return that two places disagree; None where everything points at place 1, or covering settles it."""
    if explanation.covering is not None and explanation.covering.decides == 1:
        return None
    other = next((pair for pair in numbered(explanation) if pair[1].evidence != "map"), None)
    if other is None:
        return None
    number, place = other
    first = next((n for n, one in numbered(explanation) if one.evidence == "map"), None)
    if first is None:
        return None
    return text(
        "Two places disagree: the map points at {first}, {who} at {number}. Look at both.",
        first=first,
        who=_OTHERS[place.evidence],
        number=number,
    )


def _repeated(explanation: Explanation) -> str | None:
    found = explanation.place_stability
    if found is None or not explanation.places:
        return None
    if found >= _STEADY:
        return text("Place 1 is steady: {share} of the repeats find it again.", share=share_text(found))
    return text("Place 1 is not steady: only {share} of the repeats find it again.", share=share_text(found))
