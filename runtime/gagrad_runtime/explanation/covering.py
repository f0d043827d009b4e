"""Covering: what the model says when a place is covered, and when other places of the same size are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    def lost(self) -> float:
        """Share of the confidence that covering place 1 takes; below 0 where it adds to it."""
        return 1 - self.places[0] / max(self.before, 1e-9) if self.places else 0.0

    @property
    def decides(self) -> int | None:
        """Number of the first place that changes the answer when it is covered; None where no place does."""
        return next((number for number, changed in enumerate(self.changed, start=1) if changed), None)

    @property
    def changed_elsewhere(self) -> bool:
        """Whether half of the control places change the answer, too: that weakens the evidence."""
        return bool(self.controls) and 2 * sum(self.controls_changed) >= len(self.controls)
