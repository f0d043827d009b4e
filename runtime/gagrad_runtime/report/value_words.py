"""Words of a regression: a value with its unit, and no percentage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.prediction import with_unit
from gagrad_runtime.language import text
from gagrad_runtime.report.words import Words, label, short

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class ValueWords(Words):
    """The words for one of the model's values."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        if self._single_score:
            return text("What the model looked at for its value")
        return super().title(pen)

    def answer(self, pen: Lettering) -> str:
        """Return the value with its unit."""
        target = self.explanation.target
        if self._single_score:
            return text("The model says {value}.", value=self._measure(target.index))
        said = text("{chance} for {name}", chance=self._measure(target.index), name=short(self._name(pen)))
        if target.against_name is not None and target.against_index is not None:
            other = label(target.against_name, target.against_index, pen)
            said = self._beside(said, target.against_index, short(other))
        return text("{sentence}.", sentence=said)

    def line(self) -> str:
        """Return the value with its unit, behind its name where it has one."""
        target, explanation = self.explanation.target, self.explanation
        value = self._measure(target.index)
        if explanation.classes:
            return f"{self._target_line()} {value}"
        return value if self._single_score else text("value {number} = {value}", number=target, value=value)

    def _measure(self, index: tuple[int, ...]) -> str:
        prediction = self.explanation.prediction
        unit = "" if prediction is None else prediction.unit
        return with_unit(self.explanation.target.reading(self.explanation.scores, index), unit)
