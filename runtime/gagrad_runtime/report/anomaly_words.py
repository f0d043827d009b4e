"""Words of an anomaly scorer: its score, the limit, and how much of the frame lies above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.anomaly import ABOVE
from gagrad_runtime.language import text
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.region_words import region_name
from gagrad_runtime.report.words import Words, number

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class AnomalyWords(Words):
    """The words for the score of an image, or for a map of scores."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        region = self.explanation.target.region
        if region is None:
            return text("What the model looked at for its anomaly score")
        if not region.found:
            return super().title(pen)
        if region.name.startswith("area "):
            return text(
                "What the model looked at for its anomaly map, in {area}", area=region_name(region.name)
            )
        if region.name == ABOVE:
            return text(
                "What the model looked at for its anomaly map, where its anomaly map is above the limit"
            )
        return text("What the model looked at for its anomaly map, where it is highest")

    def answer(self, pen: Lettering) -> str:  # noqa: ARG002 - a score has no name to draw
        """Return the score as the model gives it, and the verdict."""
        prediction = self.explanation.prediction
        if prediction is None or prediction.score is None:
            score = number(self.explanation.target.reading(self.explanation.scores))
            return text("Score {score}.", score=score)
        of_image, score = self.explanation.scores.ndim == 1, number(prediction.score)
        said = text("Anomaly score {score}", score=score)
        if not of_image:
            said = text("Highest anomaly score {score}", score=score)
        if prediction.threshold is None:
            said = text("{said}. No limit is set for it", said=said)
        else:
            verdict, limit = "NG" if prediction.ng else "OK", number(prediction.threshold)
            said = text("{said}: {verdict}, the limit is {limit}", said=said, verdict=verdict, limit=limit)
        if prediction.areas:
            share = percent(prediction.areas[0][1])
            said = text("{said}. {share} of the frame is above the limit of the map", said=said, share=share)
        return text("{sentence}.", sentence=said)

    def line(self) -> str:
        """Return score and verdict."""
        prediction = self.explanation.prediction
        if prediction is None or prediction.score is None:
            return str(self.explanation.target)
        return text("anomaly {answer}", answer=prediction.answer)
