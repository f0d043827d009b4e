"""Words of a segmenter: which class was found, on how much of the frame, and how sure the model is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.areas import CLOSEST, frame_weights, share_of
from gagrad_runtime.language import shown, text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.region_words import region_name
from gagrad_runtime.report.words import Words, label, looked_at, number, sentence_start, short

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
        title = looked_at(self._name(pen), self._against(pen))
        if not region.name.startswith("area "):
            return title
        return text("{title}, {area}", title=title, area=region_name(region.name))

    def answer(self, pen: Lettering) -> str:
        """Return how large the area is, and how sure the model is there."""
        region = self._found
        if region is None:
            return super().answer(pen)
        name, largest = short(self._name(pen)), self._largest(pen)
        if region.name == CLOSEST:
            start = text("The model finds nothing but background")
            if largest:
                start = text("The model finds no {name} in this frame", name=name)
            closest = text(
                "{start}. The map shows where it comes closest, with {sure}.", start=start, sure=self._mean
            )
            return closest + largest
        area = percent(share_of(region.cells > 0, frame_weights(self._placement, region.cells.shape)))
        answer = text(
            "{name} covers {area} of the frame; the model is {sure} there",
            name=sentence_start(name),
            area=area,
            sure=self._sure,
        )
        against, target = self._against(pen), self.explanation.target
        if against and target.against_index:
            answer = text(
                "{answer}, and gives {chance} to {name}",
                answer=answer,
                chance=self._measure(target.against_index),
                name=short(against),
            )
        return text("{sentence}.", sentence=answer) + largest

    def line(self) -> str:
        """Return the class, its area and how sure the model is."""
        region = self._found
        if region is None:
            return super().line()
        return text(
            "{target} {region}, {sure}",
            target=self._target_line(),
            region=region_name(region.name),
            sure=self._sure,
        )

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
            return self._mean
        return text("{chance} sure", chance=percent(target.probability(explanation.probabilities)))

    @property
    def _mean(self) -> str:
        """The probability in the region, or the score where there are no probabilities."""
        target, explanation = self.explanation.target, self.explanation
        if explanation.probabilities is None:
            return text("at a score of {score}", score=number(target.reading(explanation.scores)))
        return shown(percent(target.probability(explanation.probabilities)))

    def _largest(self, pen: Lettering) -> str:
        """Return a sentence on the largest area, where it is of another class; else nothing."""
        prediction, target = self.explanation.prediction, self.explanation.target
        if prediction is None or not prediction.areas or prediction.target.index == target.index:
            return ""
        own = prediction.target
        share = percent(prediction.areas[0][1])
        name = short(label(own.name, own.index, pen))
        return text(" The largest area is {name} ({share} of the frame).", name=name, share=share)
