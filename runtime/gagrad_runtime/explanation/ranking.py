"""Ranking: which place comes first, once the covering test has said what the answer hangs on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place

T = TypeVar("T")

LOST = 0.2
"""Share of its confidence from which the answer hangs on a place, though it stays the same."""
_ABSENT = {"finer activation": 0, "activation": 1}
"""Order of the places of a feature that may be absent, by what points at them."""


def ranked(places: tuple[Place, ...], covering: Covering | None) -> tuple[tuple[Place, ...], Covering | None]:
    """Return ``places`` and their ``covering`` with that place first which the answer hangs on.

    That is the first one where covering changes the answer, if covering as much elsewhere does not. What the
    model says without a place is evidence of another kind than a map, and stronger.

    Where covering no place takes much from the answer, the reason is not among what is there to be covered:
    a feature may be absent. Then the places that the class activation points at come first, that of the finer
    layer in front: the map stays with what is there.
    """
    if covering is None or covering.changed_elsewhere or not covering.decidable:
        return places, covering
    if covering.decides is None:
        return _of_something_absent(places, covering)
    one = covering.decides - 1
    ordered = replace(covering, places=_first(covering.places, one), changed=_first(covering.changed, one))
    return _first(places, one), ordered


def _of_something_absent(places: tuple[Place, ...], covering: Covering) -> tuple[tuple[Place, ...], Covering]:
    finer = any(place.evidence == "finer activation" for place in places[: len(covering.places)])
    if not finer or min(covering.places) < (1 - LOST) * covering.before:
        return places, covering
    tested = range(len(covering.places))
    order = sorted(tested, key=lambda number: (_ABSENT.get(places[number].evidence, len(_ABSENT)), number))
    ordered = replace(
        covering,
        places=tuple(covering.places[number] for number in order),
        changed=tuple(covering.changed[number] for number in order),
    )
    return (*(places[number] for number in order), *places[len(order) :]), ordered


def _first(values: tuple[T, ...], one: int) -> tuple[T, ...]:
    """Return ``values`` with number ``one`` in front of the others."""
    return (values[one], *values[:one], *values[one + 1 :])
