"""Words of an anomaly scorer: its score, the limit, and how much of the frame lies above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.anomaly import ABOVE
from gagrad_runtime.question.probability import percent
from gagrad_runtime.report.words import Words, number

if TYPE_CHECKING:
    from gagrad_runtime.report.lettering import Lettering


class AnomalyWords(Words):
    """The words for the score of an image, or for a map of scores."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title."""
        region = self.explanation.target.region
        if region is None:
            return "What the model looked at for its anomaly score"
        if not region.found:
            return super().title(pen)
        where = {ABOVE: "where its anomaly map is above the limit"}.get(region.name, "where it is highest")
        if region.name.startswith("area "):
            where = f"in {region.name}"
        return f"What the model looked at for its anomaly map, {where}"

    def answer(self, pen: Lettering) -> str:  # noqa: ARG002 - a score has no name to draw
        """Return the score as the model gives it, and the verdict."""
        prediction = self.explanation.prediction
        if prediction is None or prediction.score is None:
            return f"Score {number(self.explanation.target.reading(self.explanation.scores))}."
        what = "Anomaly score" if self.explanation.scores.ndim == 1 else "Highest anomaly score"
        said = f"{what} {number(prediction.score)}"
        if prediction.threshold is None:
            said += ". No limit is set for it"
        else:
            limit = number(prediction.threshold)
            said += f": NG, the limit is {limit}" if prediction.ng else f": OK, the limit is {limit}"
        if prediction.areas:
            said += f". {percent(prediction.areas[0][1])} of the frame is above the limit of the map"
        return f"{said}."

    def line(self) -> str:
        """Return score and verdict."""
        prediction = self.explanation.prediction
        if prediction is None or prediction.score is None:
            return str(self.explanation.target)
        return f"anomaly {prediction.answer}"
