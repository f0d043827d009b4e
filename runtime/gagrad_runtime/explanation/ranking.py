"""Ranking: which place comes first, once the covering test has said what the answer hangs on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place

T = TypeVar("T")


def ranked(places: tuple[Place, ...], covering: Covering | None) -> tuple[tuple[Place, ...], Covering | None]:
    """Return ``places`` and their ``covering`` with that place first which the answer hangs on.

    That is the first one where covering changes the answer, if covering as much elsewhere does not. What the
    model says without a place is evidence of another kind than a map, and stronger.
    """
    if covering is None or covering.decides is None or covering.changed_elsewhere:
        return places, covering
    one = covering.decides - 1
    ordered = replace(covering, places=_first(covering.places, one), changed=_first(covering.changed, one))
    return _first(places, one), ordered


def _first(values: tuple[T, ...], one: int) -> tuple[T, ...]:
    """Return ``values`` with number ``one`` in front of the others."""
    return (values[one], *values[:one], *values[one + 1 :])
