"""Words of a text reader: the text, and how sure the model is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.question.probability import percent
from gagrad_runtime.report.lettering import printable
from gagrad_runtime.report.words import Words, number, sentence_start, short

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class TextWords(Words):
    """The words for a line of text, or for one of its characters."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        return f"What the model looked at for {self._line(pen)}"

    def answer(self, pen: Lettering) -> str:
        """Return the text and how sure the model is of it, and of which character least."""
        name = short(_quoted(self.explanation.target.name, pen))
        prediction = self.explanation.prediction
        if not self._read:
            closest = f"{sentence_start(name)} comes closest, with {self._sure}"
            return f"The model reads nothing in this frame. {closest}."
        if not self._whole:
            return f"The model is {self._sure} sure of {self._character(pen)}."
        said = f"The model reads {name}, with {self._sure} for all its characters together"
        characters = () if prediction is None else prediction.characters
        if len(characters) > 1:
            least = min(range(len(characters)), key=lambda number: characters[number][1])
            character, chance = characters[least]
            said += f"; it is least sure of {_quoted(character, pen)}, character {least + 1}"
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

    def _line(self, pen: Lettering) -> str:
        """Return what is explained: the line in quotes, or one of its characters."""
        return _quoted(self.explanation.target.name, pen) if self._whole else self._character(pen)

    def _character(self, pen: Lettering) -> str:
        """Return one character with its number, such as ``"7", character 2 of "A7"``."""
        target, line = self.explanation.target, self.explanation.predicted
        name = _quoted(target.name.rpartition(" (")[0], pen)
        number_of = line.path.index(target.path[0]) + 1
        return f"{name}, character {number_of} of {short(_quoted(line.name, pen))}"

    @property
    def _sure(self) -> str:
        explanation = self.explanation
        if explanation.probability is None:
            return f"a score of {number(explanation.target.reading(explanation.scores))}"
        return percent(explanation.probability)


def _quoted(text: str, pen: Lettering) -> str:
    """Return ``text`` in quotes; where it cannot be drawn, words that say so."""
    drawn, readable = printable(text, pen)
    return f'"{drawn}"' if readable and drawn else "text that cannot be drawn here"
