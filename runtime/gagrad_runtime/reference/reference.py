"""Reference: all that is known of good parts, and what it says of a frame and of an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_runtime.answer.good import good_name
from gagrad_runtime.language import Phrase, listed, phrase, phrases
from gagrad_runtime.reference.answers import SPREAD, answer_statistics, other_limits
from gagrad_runtime.reference.statistic_names import statistic_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.manifest import NoiseLevel
    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.answer.prediction import Prediction
    from gagrad_runtime.explanation.scale import GoodScale
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.reference.content import Content, Limits
    from gagrad_runtime.reference.image import Aligned, GoodImage
    from gagrad_runtime.reference.statistics import FrameStatistics

    Array = NDArray[np.float32]

_EXPECTED = 0.2
"""Share of the good parts above which a class or an answer is one of good parts."""
MISFIT = phrase("it does not look or lie as the good parts do")
"""Phrase for a part that does not fit the good image: ``aligned`` returned None, and there is one."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What a ``.good`` file holds."""

    content: Content
    picture: GoodImage | None = None
    """None where the good parts do not lie in the same place."""
    sha256: str = ""
    """SHA-256 of ``reference.json``, which names all else; empty before it is written."""

    @property
    def parts(self) -> int:
        """Number of good parts."""
        return self.content.parts

    @property
    def noise(self) -> NoiseLevel | None:
        """Noise at which copies of good parts keep their answer; None where it was not measured."""
        return self.content.noise

    @property
    def scale(self) -> GoodScale | None:
        """What good parts' maps reach; None where it was not measured."""
        return self.content.scale

    @property
    def threshold(self) -> float | None:
        """Score from which a part is NG, for an anomaly scorer without one of its own; None for others."""
        return self.content.threshold

    @property
    def has_image(self) -> bool:
        """Whether good parts lie in the same place, so that a part can be compared with them."""
        return self.picture is not None

    def explains(self, target: Target, spec: OutputSpec) -> bool:
        """Return whether a difference to good parts can be the reason for ``target``.

        It is no reason for a value or a text, nor for what the model finds on good parts, too, such as a
        screw. Where one of the classes of ``spec`` is for good parts, the others are defects.
        """
        if spec.task in ("regression", "sequence"):
            return False
        count = self.content.answers.found.get(target.name, 0)
        return count <= _EXPECTED * self.parts or good_name(target.name, spec.classes) is not None

    def aligned(self, image: Array, placement: Placement) -> Aligned | None:
        """Return the good image laid onto ``image [1, C, H, W]``; None without one, and for a misfit."""
        return None if self.picture is None else self.picture.aligned(image, placement)

    def unusual(self, statistics: FrameStatistics) -> list[str]:
        """Return in what a frame differs from those of all good parts, in words; empty for nothing."""
        habits, found = self.content.frames, list[str]()
        if habits.sizes and statistics.size not in habits.sizes:
            seen = listed([_size(size) for size in habits.sizes], " or ")
            found.append(_compared(_size(statistics.size), seen))
        if statistics.channels not in habits.channels:
            seen = listed([str(count) for count in habits.channels], " or ")
            found.append(_compared(phrases("{count} channel", "{count} channels", statistics.channels), seen))
        least, most = habits.bits
        values = {"brightest": statistics.brightest, "bits": statistics.bits}
        if statistics.bits < least - 1:
            found.append(
                _compared(phrase("values only up to {brightest}, {bits} bits", **values), str(least))
            )
        elif statistics.bits > most + 1:
            found.append(_compared(phrase("values up to {brightest}, {bits} bits", **values), str(most)))
        return found + _outside(statistics.values, habits.limits)

    def unusual_answer(self, prediction: Prediction) -> list[str]:
        """Return in what an answer is unlike all those at calibration, in words; empty for nothing.

        One that only a few good parts had, by mistake, is not their answer.
        """
        habits = self.content.answers
        usual = habits.verdicts.get(prediction.verdict, 0) > _EXPECTED * self.parts
        other = bool(habits.verdicts) and not usual
        limits = other_limits(habits.limits, prediction) if other else habits.limits
        values = answer_statistics(prediction)
        return _outside(values, limits)


def _outside(values: Mapping[str, float], limits: Mapping[str, Limits]) -> list[str]:
    found: list[str] = []
    for name, value in values.items():
        low, high = limits.get(name, (None, None))
        if (low is not None and value < low) or (high is not None and value > high):
            measured = phrase("{name} {measure}", name=statistic_name(name), measure=_measure(name, value))
            found.append(_compared(measured, _between(name, low, high)))
    return found


def _measure(name: str, value: float) -> str:
    """Return a statistic as a number for people: not its logarithm."""
    return f"{math.exp(value) if name == SPREAD else value:.3g}"


def _between(name: str, low: float | None, high: float | None) -> str:
    """Return the limits in words."""
    if low is None:
        return phrase("at most {high}", high=_measure(name, high)) if high is not None else ""
    if high is None:
        return phrase("at least {low}", low=_measure(name, low))
    return phrase("{low} to {high}", low=_measure(name, low), high=_measure(name, high))


def _compared(found: str, usual: str) -> Phrase:
    return phrase("{found} (good parts: {usual})", found=found, usual=usual)


def _size(size: tuple[int, int]) -> Phrase:
    return phrase("{height} high, {width} wide", height=size[0], width=size[1])
