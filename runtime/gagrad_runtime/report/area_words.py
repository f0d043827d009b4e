"""Words of a segmenter: which class was found, on how much of the frame, and how sure the model is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.areas import CLOSEST, frame_weights, share_of
from gagrad_runtime.question.probability import percent
from gagrad_runtime.report.words import Words, label, number, sentence_start, short

if TYPE_CHECKING:
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.output_region import OutputRegion
    from gagrad_runtime.report.lettering import Lettering


class AreaWords(Words):
    """The words for one class where the model finds it."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        region = self._found
        if region is None:
            return super().title(pen)
        against = self._against(pen)
        title = f"What the model looked at for {self._name(pen)}" + (f" and not {against}" if against else "")
        return f"{title}, {region.name}" if region.name.startswith("area ") else title

    def answer(self, pen: Lettering) -> str:
        """Return how large the area is, and how sure the model is there."""
        region = self._found
        if region is None:
            return super().answer(pen)
        name, largest = short(self._name(pen)), self._largest(pen)
        if region.name == CLOSEST:
            start = (
                f"The model finds no {name} in this frame"
                if largest
                else "The model finds nothing but background"
            )
            sure = self._sure.replace(" sure", "")
            return f"{start}. The map shows where it comes closest, with {sure}.{largest}"
        area = percent(share_of(region.cells > 0, frame_weights(self._placement, region.cells.shape)))
        answer = f"{sentence_start(name)} covers {area} of the frame; the model is {self._sure} there"
        against, target = self._against(pen), self.explanation.target
        if against and target.against_index:
            answer += f", and gives {self._measure(target.against_index)} to {short(against)}"
        return f"{answer}.{largest}"

    def line(self) -> str:
        """Return the class, its area and how sure the model is."""
        region, explanation = self._found, self.explanation
        if region is None:
            return super().line()
        named = "" if explanation.classes else "class "
        return f"{named}{explanation.target} {region.name}, {self._sure}"

    @property
    def _found(self) -> OutputRegion | None:
        """The region that the model's own answer chose; None where the caller chose it, or one element."""
        region = self.explanation.target.region
        return region if region is not None and region.found else None

    @property
    def _placement(self) -> Placement:
        return self.explanation.placement

    @property
    def _sure(self) -> str:
        """How sure the model is in the region, such as ``91.2 % sure``."""
        target, explanation = self.explanation.target, self.explanation
        if explanation.probabilities is None:
            return f"at a score of {number(target.reading(explanation.scores))}"
        return f"{percent(target.probability(explanation.probabilities))} sure"

    def _largest(self, pen: Lettering) -> str:
        """Return a sentence on the largest area, where it is of another class; else nothing."""
        prediction, target = self.explanation.prediction, self.explanation.target
        if prediction is None or not prediction.areas or prediction.target.index == target.index:
            return ""
        own = prediction.target
        share = percent(prediction.areas[0][1])
        return f" The largest area is {short(label(own.name, own.index, pen))} ({share} of the frame)."
