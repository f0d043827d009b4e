"""Words of a text reader: the text, and how sure the model is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.question.probability import percent
from gagrad_runtime.report.words import Words, label, number, sentence_start, short

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class TextWords(Words):
    """The words for a line of text, or for one of its characters."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        title = f"What the model looked at for {self._name(pen)}"
        return title if self._whole else f"{title} of {self._text(pen)}" if self._read else title

    def answer(self, pen: Lettering) -> str:
        """Return the text and how sure the model is of it, and of which character least."""
        name, prediction = short(self._name(pen)), self.explanation.prediction
        if not self._read:
            closest = f"{sentence_start(name)} comes closest, with {self._sure}"
            return f"The model reads nothing in this frame. {closest}."
        if not self._whole:
            return f"{sentence_start(self._sure)} for {name}. The model reads {short(self._text(pen))}."
        said = f"The model reads {name}, with {self._sure} for all its characters together"
        characters = () if prediction is None else prediction.characters
        if len(characters) > 1:
            least = min(range(len(characters)), key=lambda number: characters[number][1])
            character, chance = characters[least]
            said += f"; it is least sure of {label(character, (), pen)}, character {least + 1}"
            said += f" ({percent(chance)})"
        return f"{said}."

    def line(self) -> str:
        """Return the text, or the character, and how sure the model is."""
        said = f"text {str(self.explanation.target)!r}" if self._whole else str(self.explanation.target)
        return f"{said} {self._sure}" if self._read else f"no text; closest {said} {self._sure}"

    @property
    def _read(self) -> bool:
        """Whether the model reads anything."""
        prediction = self.explanation.prediction
        return prediction is None or bool(prediction.text)

    @property
    def _whole(self) -> bool:
        return self.explanation.target.name == self.explanation.predicted.name

    def _text(self, pen: Lettering) -> str:
        return label(self.explanation.predicted.name, (), pen)

    @property
    def _sure(self) -> str:
        explanation = self.explanation
        if explanation.probability is None:
            return f"a score of {number(explanation.target.reading(explanation.scores))}"
        return percent(explanation.probability)
