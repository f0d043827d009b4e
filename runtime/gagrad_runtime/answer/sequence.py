"""A text reader's reader: the text of a line by the greedy path, explained whole or by one character."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.answer.reader import Reader
from gagrad_runtime.question.probability import probabilities
from gagrad_runtime.question.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.answer.reader import Wanted
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]


class _Read(NamedTuple):
    """One character that was read."""

    name: str
    element: tuple[int, int]
    """(character, step) where it is emitted: of equal neighbours the surest step."""


class SequenceReader(Reader):
    """Reads ``scores [1, K, T]``: K characters at T steps, by the likeliest character of each step.

    With a blank (connectionist temporal classification, Graves et al. 2006) equal neighbours are one
    character, and blanks are left out. Without one, each step is a character.
    """

    def prediction(self, outputs: Outputs, placement: Placement) -> Prediction:
        """Return the text, and the probability of each character."""
        seen = super().prediction(outputs, placement)
        read = self._path(outputs.scores[0])
        chances = seen.probabilities
        return replace(
            seen,
            target=self._line(outputs.scores[0]),
            text="".join(one.name for one in read),
            characters=()
            if chances is None
            else tuple((one.name, float(chances[one.element])) for one in read),
        )

    def target(self, wanted: Wanted, outputs: Outputs, placement: Placement) -> Target:  # noqa: ARG002
        """Return the whole line, or the character with a number. Raises TargetError."""
        self.refuse_others(wanted, "character")
        for where, value in (
            ("target", wanted.target),
            ("against", wanted.against),
            ("region", wanted.region),
        ):
            if value is not None:
                raise TargetError(
                    "a text line is explained as a whole, or one of its characters",
                    where=where,
                    hint=self.advice(),
                )
        if wanted.character is None:
            return self._line(outputs.scores[0])
        read = self._path(outputs.scores[0])
        if not 1 <= wanted.character <= len(read):
            text = "".join(one.name for one in read)
            raise TargetError(
                f"there is no character {wanted.character}: the model reads {text!r}",
                where="character",
                hint=f"give a number from 1 to {len(read)}" if read else "leave `character` out",
            )
        one = read[wanted.character - 1]
        return Target(one.element, f"{one.name} (character {wanted.character})", path=(one.element,))

    def predicted(self, target: Target, outputs: Outputs, placement: Placement) -> Target:  # noqa: ARG002
        """Return the whole line."""
        return self._line(outputs.scores[0])

    def answer_about(self, target: Target, outputs: Outputs, placement: Placement) -> str:  # noqa: ARG002
        """Return the text of the line."""
        return "".join(one.name for one in self._path(outputs.scores[0]))

    def advice(self) -> str:
        """Return what can be asked in place of what the model does not have."""
        return "leave it out, or give the number of a character with `character`"

    def _line(self, scores: Array) -> Target:
        """Return the whole line as a target; where no character is read, the one that comes closest."""
        read = self._path(scores)
        if read:
            path = tuple(one.element for one in read)
            return Target(path[0], "".join(one.name for one in read), path=path)
        values = self._values(scores).copy()
        values[self._blank] = -np.inf
        character, step = (int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
        return Target((character, step), self._name(character), path=((character, step),))

    def _path(self, scores: Array) -> list[_Read]:
        """Return the characters in their order."""
        best, values = scores.argmax(axis=0), self._values(scores)
        read: list[_Read] = []
        before = None
        for step, character in enumerate(int(one) for one in best):
            element = (character, step)
            if character == self._blank:
                pass
            elif self._blank is None or character != before:
                read.append(_Read(self._name(character), element))
            elif values[element] > values[read[-1].element]:
                read[-1] = read[-1]._replace(element=element)
            before = character
        return read

    @property
    def _blank(self) -> int | None:
        spec = self.spec.sequence
        return None if spec is None else spec.blank

    def _name(self, character: int) -> str:
        return self.spec.classes[character] if self.spec.classes else f"[{character}]"

    def _values(self, scores: Array) -> Array:
        """Return the probabilities, or the scores where there are none."""
        chances = probabilities(scores[None], self.spec.activation)
        return scores if chances is None else chances[0]
