"""Words: what an explanation says of its answer, in the words of the task; here scores of classes.

The caption and the command line take from here what differs between tasks. A task with other words overrides
what differs; ``task_words`` says which task has which words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gagrad_runtime.question.probability import percent
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
            return "What the model looked at for its score"
        name, against = self._name(pen), self._against(pen)
        title = f"What the model looked at for {name}" + (f" and not {against}" if against else "")
        return title if self.explanation.target.region is None else f"{title} in the chosen region"

    def answer(self, pen: Lettering) -> str:
        """Return the line below the title: how sure the model is of it, and what it says by itself."""
        target = self.explanation.target
        if self._single_score:
            return f"{sentence_start(self._measure(target.index))}."
        name, against = self._name(pen), self._against(pen)
        predicted = self.explanation.predicted
        if against is None and predicted.index != target.index:
            # The model's own answer first: the verdict beside it is about that.
            own = f"{short(label(predicted.name, predicted.index, pen))} ({self._measure(predicted.index)})"
            return f"The model predicts {own}. Explained here: {short(name)}, {self._measure(target.index)}."
        answer = f"{sentence_start(self._measure(target.index))} for {short(name)}"
        if against and target.against_index:
            answer += f", {self._measure(target.against_index)} for {short(against)}"
        elif self._rival is not None:
            return f"{answer}, {self._ahead(pen)}."
        return answer + self._predicted(pen)

    def margin(self, pen: Lettering) -> str | None:
        """Return how far the model's answer is ahead, as a sentence; None where nothing competes with it."""
        return None if self._rival is None else f"The answer is {self._ahead(pen)}."

    def line(self) -> str:
        """Return what is explained and how sure the model is, as the beginning of a line in a terminal."""
        explanation = self.explanation
        chance = explanation.probability
        named = "" if explanation.classes else "class "
        return f"{named}{explanation.target}" + ("" if chance is None else f" {percent(chance)}")

    def rcap(self) -> str:
        """Return what the RCAP score means, as the end of its sentence."""
        return "the higher, the more the bright places alone decide"

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
        how = "clearly ahead of" if ahead >= _CLEAR else "ahead of" if ahead >= _NARROW else "barely ahead of"
        return f"{how} {short(label(name, (index,), pen))} ({percent(chance)})"

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

    def _predicted(self, pen: Lettering) -> str:
        """Return the model's own answer as the end of the answer's line."""
        target, predicted = self.explanation.target, self.explanation.predicted
        name = label(predicted.name, predicted.index, pen)
        if predicted.index == target.index:
            alone = target.against_index is None
            return ": this is what the model predicts." if alone else f". The model predicts {short(name)}."
        return f". The model itself predicts {short(name)} ({self._measure(predicted.index)})."

    def _measure(self, index: tuple[int, ...]) -> str:
        """Return the probability at ``index`` in words, or the score where there are no probabilities."""
        explanation = self.explanation
        if explanation.probabilities is None:
            return f"score {number(explanation.target.reading(explanation.scores, index))}"
        return percent(explanation.target.reading(explanation.probabilities, index))


def label(name: str, index: tuple[int, ...], pen: Lettering) -> str:
    """Return the class name in quotes, or the class's number where the name cannot be drawn."""
    text, readable = printable(name, pen)
    number_of = ", ".join(map(str, index)) or "0"
    if not readable or not text:
        return f"class {number_of}"
    return f"class {text}" if text == number_of else f'"{text}"'


def short(text: str) -> str:
    """Return a label cut to a length that leaves room for the figures; the title has it in full."""
    return text if len(text) <= 42 else f"{text[:40]}..." + ('"' if text.endswith('"') else "")


def number(value: float) -> str:
    """Return ``value`` with three digits."""
    return f"{value:.3g}" if math.isfinite(value) else "not a number"


def sentence_start(text: str) -> str:
    """Return ``text`` with a capital letter in front."""
    return text[:1].upper() + text[1:]
