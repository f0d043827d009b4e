"""Words of a regression: a value with its unit, and no percentage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.prediction import with_unit
from gagrad_runtime.report.words import Words, label, short

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class ValueWords(Words):
    """The words for one of the model's values."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        return "What the model looked at for its value" if self._single_score else super().title(pen)

    def answer(self, pen: Lettering) -> str:
        """Return the value with its unit."""
        target = self.explanation.target
        if self._single_score:
            return f"The model says {self._measure(target.index)}."
        said = f"{self._measure(target.index)} for {short(self._name(pen))}"
        if target.against_name is not None and target.against_index is not None:
            other = label(target.against_name, target.against_index, pen)
            said += f", {self._measure(target.against_index)} for {short(other)}"
        return f"{said}."

    def line(self) -> str:
        """Return the value with its unit, behind its name where it has one."""
        target, explanation = self.explanation.target, self.explanation
        name = f"{target} " if explanation.classes else "" if self._single_score else f"value {target} = "
        return name + self._measure(target.index)

    def _measure(self, index: tuple[int, ...]) -> str:
        prediction = self.explanation.prediction
        unit = "" if prediction is None else prediction.unit
        return with_unit(self.explanation.target.reading(self.explanation.scores, index), unit)
