"""The words for a detection: its class, its box, and its place among what the model found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.prediction import box_text
from gagrad_runtime.report.boxes import Tag
from gagrad_runtime.report.lettering import printable
from gagrad_runtime.report.words import Words, label, sentence_start, short

if TYPE_CHECKING:
    from gagrad_runtime.answer.prediction import Detection
    from gagrad_runtime.report.lettering import Lettering


class DetectionWords(Words):
    """The words for one candidate of a detector."""

    def title(self, pen: Lettering) -> str:
        """Return the picture's title: the detection, and its number where there are several."""
        target = self.explanation.target
        title = super().title(pen)
        if target.detection is None:
            return f"{title} (not found)"
        count = len(self.found)
        return title if count == 1 else f"{title} (detection {target.detection} of {count})"

    def answer(self, pen: Lettering) -> str:
        """Return how sure the model is of the detection, where it is, and what else was found."""
        target, found = self.explanation.target, self.found
        name, against = short(self._name(pen)), self._against(pen)
        said = f"{self._measure(target.index)} for {name}{self._place(pen)}"
        if against and target.against_index:
            said += f", {self._measure(target.against_index)} for {short(against)}"
        if target.detection is None:
            if not found:
                return f"Nothing found. {self._candidate} has {said}."
            first = f"the surest is {self._listed(found[0], pen)}"
            count = "1 other detection" if len(found) == 1 else f"{len(found)} others"
            return f"Not found: {said}. The model found {count}, {first}."
        if len(found) == 1:
            return f"{sentence_start(said)}: this is all that the model found."
        if target.detection == 1:
            return f"{sentence_start(said)}: the surest of the {len(found)} that the model found."
        return f"{sentence_start(said)}. The surest of the {len(found)} is {self._listed(found[0], pen)}."

    def line(self) -> str:
        """Return the class, its probability and the box, as the beginning of a line in a terminal."""
        target = self.explanation.target
        place = "" if target.box is None else f" at {box_text(target.box)}"
        return f"{super().line()}{place}{'' if target.detection else ' (not found)'}"

    def rcap(self) -> str:
        """Return what the RCAP score means for a detection."""
        return "the higher, the surer the model finds it again by the bright places alone"

    def names(self) -> tuple[str, ...]:
        """Return the names that the picture shows."""
        return (*super().names(), *(one.name for one in self.found))

    def tag(self, pen: Lettering) -> Tag:
        """Return what stands beside the explained box."""
        target = self.explanation.target
        missing = "" if target.detection else ", not found"
        return Tag(self._name(pen).strip('"'), self._measure(target.index) + missing)

    @property
    def found(self) -> tuple[Detection, ...]:
        """All detections, the surest first."""
        prediction = self.explanation.prediction
        return () if prediction is None else prediction.detections

    def _number_of(self, index: tuple[int, ...]) -> tuple[int, ...]:
        return index[:1]  # the candidate's number says nothing to people

    @property
    def _candidate(self) -> str:
        strongest = self.explanation.target.index == self.explanation.predicted.index
        return "The strongest candidate" if strongest else "The candidate that was asked for"

    def _place(self, pen: Lettering) -> str:
        box = self.explanation.target.box
        return "" if box is None else f" at {printable(box_text(box), pen)[0]}"

    def _listed(self, one: Detection, pen: Lettering) -> str:
        name = short(label(one.name, one.index[:1], pen))
        return f"{name} with {self._measure(one.index)} at {printable(box_text(one.box), pen)[0]}"
