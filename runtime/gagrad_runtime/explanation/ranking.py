"""Ranking: which place comes first, once the covering test has said what the answer hangs on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place

LOST = 0.2
"""Share of its confidence from which the answer hangs on a place, though it stays the same."""
_ABSENT = {"finer activation": 0, "activation": 1}
"""Order of the places of a feature that may be absent, by what points at them."""


def ranked(places: tuple[Place, ...], covering: Covering | None) -> tuple[tuple[Place, ...], Covering | None]:
    """Return ``places`` and their ``covering`` with that place first which the answer hangs on.

    That is the first one where covering changes the answer, if covering as much elsewhere does not. What the
    model says without a place is evidence of another kind than a map, and stronger.

    Behind it, and everywhere where covering no place takes much from the answer, the places come first that
    the class activation points at, that of the finer layer in front. A feature may be absent: then the reason
    is not among what is there to be covered, and the map stays with what is there.
    """
    if covering is None or covering.changed_elsewhere or not covering.decidable:
        return places, covering
    tested = list(range(len(covering.places)))
    order = list(tested)
    if any(places[number].evidence == "finer activation" for number in tested):
        order.sort(key=lambda number: _ABSENT.get(places[number].evidence, len(_ABSENT)))
    if covering.decides is not None:
        one = covering.decides - 1
        order = [one, *(number for number in order if number != one)]
    elif min(covering.places) < (1 - LOST) * covering.before:
        order = tested
    ordered = replace(
        covering,
        places=tuple(covering.places[number] for number in order),
        changed=tuple(covering.changed[number] for number in order),
    )
    return (*(places[number] for number in order), *places[len(order) :]), ordered
