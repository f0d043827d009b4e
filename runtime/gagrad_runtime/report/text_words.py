"""Words of a text reader: the text, and how sure the model is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.language import shown, text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.lettering import printable
from gagrad_runtime.report.words import Words, looked_at, number, quoted, sentence_start, short

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class TextWords(Words):
    """The words for a line of text, or for one of its characters."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        return looked_at(self._line(pen), None)

    def answer(self, pen: Lettering) -> str:
        """Return the text and how sure the model is of it, and of which character least."""
        name = short(_quoted(self.explanation.target.name, pen))
        prediction = self.explanation.prediction
        if not self._read:
            return text(
                "The model reads nothing in this frame. {name} comes closest, with {sure}.",
                name=sentence_start(name),
                sure=self._sure,
            )
        if not self._whole:
            return text(
                "The model is {sure} sure of {character}.", sure=self._sure, character=self._character(pen)
            )
        said = text(
            "The model reads {name}, with {sure} for all its characters together", name=name, sure=self._sure
        )
        characters = () if prediction is None else prediction.characters
        if len(characters) > 1:
            least = min(range(len(characters)), key=lambda number: characters[number][1])
            character, chance = characters[least]
            said = text(
                "{said}; it is least sure of {character}, character {number} ({chance})",
                said=said,
                character=_quoted(character, pen),
                number=least + 1,
                chance=percent(chance),
            )
        return text("{sentence}.", sentence=said)

    def line(self) -> str:
        """Return the text, or the character, and how sure the model is."""
        said = str(self.explanation.target)
        if self._whole:
            said = text("text {text}", text=repr(said))
        if self._read:
            return f"{said} {self._sure}"
        return text("no text; closest {said} {sure}", said=said, sure=self._sure)

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
        whole = short(_quoted(line.name, pen))
        return text("{name}, character {number} of {line}", name=name, number=number_of, line=whole)

    @property
    def _sure(self) -> str:
        explanation = self.explanation
        if explanation.probability is None:
            score = number(explanation.target.reading(explanation.scores))
            return text("a score of {score}", score=score)
        return shown(percent(explanation.probability))


def _quoted(line: str, pen: Lettering) -> str:
    """Return ``line`` in quotes; where it cannot be drawn, words that say so."""
    drawn, readable = printable(line, pen)
    return quoted(drawn) if readable and drawn else text("text that cannot be drawn here")
