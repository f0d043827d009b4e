"""Covering: what the model says when a place or others are covered, and which place then comes first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from gagrad_runtime.explanation.places import Place

T = TypeVar("T")

Fill = Literal["surroundings", "good reference"]
"""What a place is covered with: the part's own surroundings, or the same place of good parts."""


@dataclass(frozen=True)
class Covering:
    """The model's confidence in the target, 0..1, with places covered; see docs/methods.md."""

    fill: Fill
    before: float
    """Of the frame as it is."""
    places: tuple[float, ...]
    """With each of the tested places covered, in the order of ``Explanation.places``: the map's highest
    closely and widely, and the lower figure counts, the others widely."""
    changed: tuple[bool, ...]
    """Whether the model gives another answer with that place covered."""
    controls: tuple[float, ...]
    """With a control place covered: as large as place 1, and elsewhere."""
    controls_changed: tuple[bool, ...]
    """Whether the model gives another answer with that control place covered."""
    decidable: bool = True
    """Whether the model's task has an answer that could change; else only the confidences tell something."""

    @property
    def decides(self) -> int | None:
        """Number of the first place that changes the answer when it is covered; None where no place does."""
        return next((number for number, changed in enumerate(self.changed, start=1) if changed), None)

    @property
    def changed_elsewhere(self) -> bool:
        """Whether half of the control places change the answer, too: that weakens the evidence."""
        return bool(self.controls) and 2 * sum(self.controls_changed) >= len(self.controls)


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
