"""The words for a detection: its class, its box, and its place among what the model found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.prediction import box_text
from gagrad_runtime.language import plural, text
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
            return text("{title} (not found)", title=title)
        count = len(self.found)
        if count == 1:
            return title
        return text(
            "{title} (detection {number} of {count})", title=title, number=target.detection, count=count
        )

    def answer(self, pen: Lettering) -> str:
        """Return how sure the model is of the detection, where it is, and what else was found."""
        target, found = self.explanation.target, self.found
        name, against = short(self._name(pen)), self._against(pen)
        said = self._at(text("{chance} for {name}", chance=self._measure(target.index), name=name), pen)
        if against and target.against_index:
            said = self._beside(said, target.against_index, short(against))
        if target.detection is None:
            if not found:
                return text("Nothing found. {candidate} has {said}.", candidate=self._candidate, said=said)
            return plural(
                "Not found: {said}. The model found {count} other detection, the surest is {first}.",
                "Not found: {said}. The model found {count} others, the surest is {first}.",
                len(found),
                said=said,
                first=self._listed(found[0], pen),
            )
        said, count = sentence_start(said), len(found)
        if count == 1:
            return text("{said}: this is all that the model found.", said=said)
        if target.detection == 1:
            return text("{said}: the surest of the {count} that the model found.", said=said, count=count)
        first = self._listed(found[0], pen)
        return text("{said}. The surest of the {count} is {first}.", said=said, count=count, first=first)

    def line(self) -> str:
        """Return the class, its probability and the box, as the beginning of a line in a terminal."""
        target = self.explanation.target
        said = super().line()
        if target.box is not None:
            said = text("{said} at {box}", said=said, box=box_text(target.box))
        return said if target.detection else text("{said} (not found)", said=said)

    def rcap(self) -> str:
        """Return what the RCAP score means for a detection."""
        return text("the higher, the surer the model finds it again by the bright places alone")

    def names(self) -> tuple[str, ...]:
        """Return the names that the picture shows."""
        return (*super().names(), *(one.name for one in self.found))

    def tag(self, pen: Lettering) -> Tag:
        """Return what stands beside the explained box."""
        target = self.explanation.target
        chance = self._measure(target.index)
        if not target.detection:
            chance = text("{chance}, not found", chance=chance)
        return Tag(self._name(pen).strip('"「」'), chance)

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
        return text("The strongest candidate") if strongest else text("The candidate that was asked for")

    def _at(self, said: str, pen: Lettering) -> str:
        box = self.explanation.target.box
        return (
            said if box is None else text("{said} at {box}", said=said, box=printable(box_text(box), pen)[0])
        )

    def _listed(self, one: Detection, pen: Lettering) -> str:
        name = short(label(one.name, one.index[:1], pen))
        chance, box = self._measure(one.index), printable(box_text(one.box), pen)[0]
        return text("{name} with {chance} at {box}", name=name, chance=chance, box=box)
