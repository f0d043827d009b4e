"""Words: what an explanation says of its answer, in the words of the task; here scores of classes.

The caption and the command line take from here what differs between tasks. A task with other words overrides
what differs; ``task_words`` says which task has which words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.language import marked, shown, text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.lettering import printable

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation
    from gagrad_runtime.report.lettering import Lettering


_CLEAR, _NARROW = 0.5, 0.2
"""Margin, in probability, from which an answer is clearly ahead of the next, and below which barely."""


class Words:
    """The words for one explanation; ``pen`` draws them on the picture."""

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation

    def title(self, pen: Lettering) -> str:
        """Return the picture's title: what is explained."""
        if self._single_score:
            return text("What the model looked at for its score")
        title = looked_at(self._name(pen), self._against(pen))
        return (
            title
            if self.explanation.target.region is None
            else text("{title} in the chosen region", title=title)
        )

    def answer(self, pen: Lettering) -> str:
        """Return the line below the title: how sure the model is of it, and what it says by itself."""
        target = self.explanation.target
        if self._single_score:
            return sentence(self._measure(target.index))
        name, against = short(self._name(pen)), self._against(pen)
        predicted = self.explanation.predicted
        if against is None and predicted.index != target.index:
            # The model's own answer first: the verdict beside it is about that.
            return text(
                "The model predicts {own} ({own_chance}). Explained here: {name}, {chance}.",
                own=short(label(predicted.name, predicted.index, pen)),
                own_chance=self._measure(predicted.index),
                name=name,
                chance=self._measure(target.index),
            )
        answer = text("{chance} for {name}", chance=sentence_start(self._measure(target.index)), name=name)
        if against and target.against_index:
            answer = self._beside(answer, target.against_index, short(against))
        elif self._rival is not None:
            return text("{answer}, {margin}.", answer=answer, margin=self._ahead(pen))
        return self._predicted(answer, pen)

    def margin(self, pen: Lettering) -> str | None:
        """Return how far the model's answer is ahead, as a sentence; None where nothing competes with it."""
        return None if self._rival is None else text("The answer is {margin}.", margin=self._ahead(pen))

    def line(self) -> str:
        """Return what is explained and how sure the model is, as the beginning of a line in a terminal."""
        explanation = self.explanation
        chance = explanation.probability
        named = self._target_line()
        return named if chance is None else f"{named} {shown(percent(chance))}"

    def rcap(self) -> str:
        """Return what the RCAP score means, as the end of its sentence."""
        return text("the higher, the more the bright places alone decide")

    def names(self) -> tuple[str, ...]:
        """Return the names that the picture shows: the caption says so when one of them cannot be drawn."""
        target = self.explanation.target
        return (target.name, target.against_name or "", self.explanation.predicted.name)

    @property
    def _rival(self) -> tuple[int, float] | None:
        """Index and probability of the class next to the model's answer, where one excludes the other."""
        explanation = self.explanation
        chances, own = explanation.probabilities, explanation.predicted.index
        if chances is None or chances.ndim != 1 or len(chances) < 2 or explanation.activation != "softmax":
            return None
        order = [int(index) for index in np.argsort(-explanation.scores, kind="stable") if (index,) != own]
        return order[0], float(chances[order[0]])

    def _ahead(self, pen: Lettering) -> str:
        """Return the margin of the model's answer in words, such as ``clearly ahead of "OK" (2.0 %)``."""
        explanation, rival = self.explanation, self._rival
        assert explanation.probabilities is not None  # noqa: S101 - there is a rival
        assert rival is not None  # noqa: S101 - the caller has looked
        index, chance = rival
        name = explanation.classes[index] if explanation.classes else str(index)
        ahead = float(explanation.probabilities[explanation.predicted.index]) - chance
        how = MARGINS[0 if ahead >= _CLEAR else 1 if ahead >= _NARROW else 2]
        return text(how, name=short(label(name, (index,), pen)), chance=percent(chance))

    @property
    def _single_score(self) -> bool:
        return self.explanation.probabilities is None and self.explanation.scores.size == 1

    def _name(self, pen: Lettering) -> str:
        target = self.explanation.target
        return label(target.name, self._number_of(target.index), pen)

    def _against(self, pen: Lettering) -> str | None:
        target = self.explanation.target
        if target.against_name is None or target.against_index is None:
            return None
        return label(target.against_name, self._number_of(target.against_index), pen)

    def _number_of(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Return the numbers that stand for an element whose name cannot be drawn."""
        return index

    def _target_line(self) -> str:
        """Return what is explained as a line in a terminal has it: without quotes, a number as a class."""
        target = self.explanation.target
        name = target.name if self.explanation.classes else text("class {number}", number=target.name)
        if target.against_name is None:
            return name
        return text("{name} and not {other}", name=name, other=target.against_name)

    def _beside(self, answer: str, index: tuple[int, ...], name: str) -> str:
        """Return ``answer`` with the measure of the other class ``name`` at ``index`` behind it."""
        return text("{answer}, {chance} for {name}", answer=answer, chance=self._measure(index), name=name)

    def _predicted(self, answer: str, pen: Lettering) -> str:
        """Return ``answer`` with the model's own answer behind it."""
        target, predicted = self.explanation.target, self.explanation.predicted
        name = label(predicted.name, predicted.index, pen)
        if predicted.index == target.index:
            if target.against_index is None:
                return text("{answer}: this is what the model predicts.", answer=answer)
            return text("{answer}. The model predicts {name}.", answer=answer, name=short(name))
        return text(
            "{answer}. The model itself predicts {name} ({chance}).",
            answer=answer,
            name=short(name),
            chance=self._measure(predicted.index),
        )

    def _measure(self, index: tuple[int, ...]) -> str:
        """Return the probability at ``index`` in words, or the score where there are no probabilities."""
        explanation = self.explanation
        if explanation.probabilities is None:
            score = number(explanation.target.reading(explanation.scores, index))
            return text("score {score}", score=score)
        return shown(percent(explanation.target.reading(explanation.probabilities, index)))


MARGINS = (
    marked("clearly ahead of {name} ({chance})"),
    marked("ahead of {name} ({chance})"),
    marked("barely ahead of {name} ({chance})"),
)
"""How far an answer is ahead of the next, in words."""


def looked_at(name: str, against: str | None) -> str:
    """Return the title of a picture that explains the class ``name``, or its difference to ``against``."""
    if against:
        return text("What the model looked at for {name} and not {other}", name=name, other=against)
    return text("What the model looked at for {name}", name=name)


def label(name: str, index: tuple[int, ...], pen: Lettering) -> str:
    """Return the class name in quotes, or the class's number where the name cannot be drawn."""
    drawn, readable = printable(name, pen)
    number_of = ", ".join(map(str, index)) or "0"
    if not readable or not drawn or drawn == number_of:
        return text("class {number}", number=number_of)
    return quoted(drawn)


def quoted(drawn: str) -> str:
    """Return ``drawn`` in the quotation marks of the language."""
    return text('"{name}"', name=drawn)


def short(name: str) -> str:
    """Return a label cut to a length that leaves room for the figures; the title has it in full."""
    return name if len(name) <= 42 else f"{name[:40]}..." + (name[-1] if name[-1] in '"」' else "")


def number(value: float) -> str:
    """Return ``value`` with three digits."""
    return f"{value:.3g}" if math.isfinite(value) else text("not a number")


def sentence_start(words: str) -> str:
    """Return ``words`` with a capital letter in front."""
    return words[:1].upper() + words[1:]


def sentence(words: str) -> str:
    """Return ``words`` as a sentence: with a capital letter in front and a full stop behind."""
    return text("{sentence}.", sentence=sentence_start(words))
