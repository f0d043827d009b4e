"""Ranking: which of two places comes first, once the covering test has said what the answer hangs on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gagrad_runtime.explanation.covering import Covering
    from gagrad_runtime.explanation.places import Place


def ranked(places: tuple[Place, ...], covering: Covering | None) -> tuple[tuple[Place, ...], Covering | None]:
    """Return ``places`` and their ``covering`` with place 2 first, where the answer hangs on it alone.

    That is where covering place 2 changes the answer, and neither covering place 1 nor covering as much
    elsewhere does. What the model says without a place is evidence of another kind than a map, and stronger.
    """
    if covering is None or covering.decides != 2 or covering.changed_elsewhere:
        return places, covering
    first, second = covering.places[:2]
    swapped = replace(covering, places=(second, first), changed=(True, False))
    return (places[1], places[0], *places[2:]), swapped
