"""GoodParts: collects good parts one by one, and makes the reference of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from gagrad_edge.source_date import creation_text
from gagrad_runtime.answer.good import says_good
from gagrad_runtime.language import phrase
from gagrad_runtime.reference import answers
from gagrad_runtime.reference.answers import answer_statistics
from gagrad_runtime.reference.content import AnswerHabits, Content, FrameHabits, LayoutContent
from gagrad_runtime.reference.file import MOST_CLASSES, gradient_levels
from gagrad_runtime.reference.image import good_image
from gagrad_runtime.reference.layout import LEAST, common_layout
from gagrad_runtime.reference.limits import limits_of, usual
from gagrad_runtime.reference.reference import Reference
from gagrad_runtime.reference.registration import structure
from gagrad_runtime.reference.statistics import FrameStatistics, floors, on_frame, window_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.reference.content import Limits
    from gagrad_runtime.reference.image import GoodImage
    from gagrad_runtime.reference.layout import Layout

    Array = NDArray[np.float32]

MOST_IMAGES = 60
"""Most parts that the good image is made of; statistics are of all."""
MOST_PIXELS = 1 << 26
"""Most values of all those parts together, in float32: 256 MB."""
_UNLIKE = 2.6
"""Difference from which parts do not look alike. Parts with strong textures reach 2.4 with four of them and
2.0 with eight; the two kinds of parts of the demo together 3.0."""
_WHERE = 0.99
"""Quantile of the difference over the pixels that is compared with it."""
_COMPARED = 8
"""Parts that are compared with the others."""
_MOST_SIZES = 8
"""With more sizes of frames than this, a new size is nothing unusual."""


@dataclass
class GoodParts:
    """Good parts that were added so far. The pixels of at most ``MOST_IMAGES`` are kept."""

    spec: InputSpec
    statistics: list[FrameStatistics] = field(default_factory=list)
    predictions: list[dict[str, float]] = field(default_factory=list)
    good: list[bool | None] = field(default_factory=list)
    """Whether the model says that each part is good; None where its answers do not tell."""
    verdicts: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    """On how many parts the model finds each class."""
    sources: list[str] = field(default_factory=list)
    """Name of each part."""
    names: list[str] = field(default_factory=list)
    """Of the parts whose pixels are kept."""
    windows: set[tuple[int, int, int, int]] = field(default_factory=set)
    why: str = ""
    """Why the parts have no layout, in words."""
    _parts: list[Array] = field(default_factory=list)

    def add(self, frame: Frame, image: Array, placement: Placement, prediction: Prediction) -> None:
        """Add a good part: ``image [1, C, H, W]`` is ``frame`` for the model, which says ``prediction``."""
        self.statistics.append(FrameStatistics.of(frame, image, placement, self.spec))
        self.sources.append(frame.source)
        self.predictions.append(answer_statistics(prediction))
        self.found.update(set(prediction.present))
        self.good.append(says_good(prediction))
        if prediction.task in ("classification", "multilabel"):
            self.verdicts[prediction.verdict] += 1
        self.windows.add(window_of(placement))
        part = on_frame(image[0], placement)
        if len(self._parts) < min(MOST_IMAGES, MOST_PIXELS // part.size):
            self._parts.append(np.array(part))
            self.names.append(frame.source)

    def find_layout(self) -> Layout | None:
        """Find where the parts have their features; None where they have no common places, or differ there.

        ``why`` then says why not, in words.
        """
        if len(self.windows) != 1:
            self.why = phrase("the frames have different shapes")
            return None
        if len(self._parts) < LEAST:
            self.why = phrase("{count} parts or more are needed to find out how they lie", count=LEAST)
            return None
        found, _ = common_layout([structure(part.mean(axis=0, dtype=np.float32)) for part in self._parts])
        if found is None:
            self.why = phrase("they do not lie in the same place")
        elif self._unlikeness(found) > _UNLIKE:
            self.why = phrase("they do not look alike in the same place: parts of several kinds?")
            found = None
        return found

    def _unlikeness(self, layout: Layout) -> float:
        """Return how much a good part differs from the others where it differs most, in their deviations.

        Noise and texture stay low; features that only some of the parts have are high.
        """
        placed = [(index, motion) for index, motion in enumerate(layout.motions) if motion is not None]
        found = []
        for index, motion in placed[:: max(len(placed) // _COMPARED, 1)]:
            picture = self.picture(layout, without=index)
            found.append(float(np.quantile(picture.difference(self._parts[index], motion), _WHERE)))
        return float(np.median(found))

    def picture(
        self,
        layout: Layout,
        *,
        without: int | None = None,
        gradients: Mapping[int, Array] | None = None,
    ) -> GoodImage:
        """Return the good image of all parts that were kept, or of all but one of them."""
        (window,) = self.windows
        return good_image(self._parts, layout, window, without=without, gradients=gradients)

    def reference(self, bundle: str, bundle_sha256: str, picture: GoodImage | None = None) -> Reference:
        """Return the reference of these parts with the good image ``picture``."""
        content = Content(
            bundle=bundle,
            bundle_sha256=bundle_sha256,
            created=creation_text(),
            parts=len(self.statistics),
            frames=self._frames(),
            answers=self._answers(),
        )
        if picture is not None:
            content = replace(content, layout=layout_content(picture))
        return Reference(content, picture)

    def series(self) -> dict[str, list[float]]:
        """Return the values of each statistic of the frames, one for each part."""
        names = self.statistics[0].values
        return {name: [one.values[name] for one in self.statistics] for name in names}

    def usual(self, name: str, values: Sequence[float]) -> NDArray[np.bool_]:
        """Return which of ``values``, of the statistic ``name``, are not far from all the others."""
        return usual(np.asarray(values, np.float64), floors([name])[name])

    def _frames(self) -> FrameHabits:
        sizes = sorted({one.size for one in self.statistics})
        series = self.series()
        bits = [one.bits for one in self.statistics]
        return FrameHabits(
            sizes=sizes if len(sizes) <= _MOST_SIZES else [],
            channels=sorted({one.channels for one in self.statistics}),
            bits=(min(bits), max(bits)),
            limits=dict(limits_of(series, floors(series))),
        )

    def _answers(self) -> AnswerHabits:
        names = sorted({name for one in self.predictions for name in one})
        series = {name: [one[name] for one in self.predictions if name in one] for name in names}
        limits: dict[str, Limits] = dict(limits_of(series, answers.FLOORS))
        for name, (low, high) in limits.items():
            limits[name] = (
                None if name in answers.UPPER_ONLY else low,
                None if name in answers.LOWER_ONLY else high,
            )
        return AnswerHabits(verdicts=dict(self.verdicts), found=dict(self.found), limits=limits)


def layout_content(picture: GoodImage) -> LayoutContent:
    """Return what ``reference.json`` says of ``picture``."""
    layout = picture.layout
    return LayoutContent(
        window=picture.window,
        freedom=layout.template.freedom,
        error=layout.error,
        least=layout.least,
        classes=list(picture.gradients),
        levels=gradient_levels(picture.gradients),
    )


def gradients_of(found: Mapping[int, Sequence[Array]], parts: GoodParts, layout: Layout) -> dict[int, Array]:
    """Return the gradient of each class in the place of the template: the root mean square over parts.

    ``found`` has for each class its gradient [H, W] at the first parts.
    """
    ((top, left, height, width),) = parts.windows
    mean = {}
    for index, gradients in found.items():
        squares = [
            motion.onto_template(np.square(one[top : top + height, left : left + width]))
            for one, motion in zip(gradients, layout.motions, strict=False)
            if motion is not None
        ]
        if squares:
            mean[index] = np.sqrt(np.mean(squares, axis=0, dtype=np.float32))
    return mean


def wanted_classes(shape: Sequence[int]) -> range:
    """Return the elements of an output of ``shape`` whose gradients at good parts are kept, if few enough."""
    few = len(shape) == 1 and shape[0] <= MOST_CLASSES
    return range(shape[0] if few else 0)
