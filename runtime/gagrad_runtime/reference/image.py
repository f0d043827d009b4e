"""GoodImage: what good parts look like at each pixel, and how a part differs from them.

Parts differ in light, so each is standardised first: every channel less its mean, by the deviation of the
grey. The difference d = |x − median| / (spread + 0.3), of the channel in which it is largest, is large where
a part has what good parts do not have, and where it lacks what they have. That is the one place where a
feature that is missing leaves a trace: no gradient at an image without it tells where it should be. Grey
alone would not see a colour of the same brightness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

from gagrad_runtime.reference.registration import structure
from gagrad_runtime.reference.statistics import on_frame, window_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.reference.layout import Layout
    from gagrad_runtime.reference.motion import Motion

    Array = NDArray[np.float32]

Kind = TypeVar("Kind", bound=np.generic)
SOFTER = 0.3
"""Spread, in deviations of the grey, that is added to that of the good parts: texture is no difference."""
_SOFTEN = 1.0
"""Deviation, in pixels, of the blur of the parts and of the difference."""
_TO_DEVIATION = 1.2533
"""Deviation of the normal distribution in units of the mean distance from its median."""
_PRIOR = 4
"""Parts that the usual spread of the picture counts for."""
SURE = 1.6
"""Correlation, in units of the least, at which a part close by is not looked for farther away."""
_TINY = 1e-6


@dataclass(frozen=True)
class Aligned:
    """The good image laid onto one part; beside the frame and where no good part was seen it is neutral."""

    image: Array
    """[C, H, W] in 0..1: the good part, in this part's place, with this part's brightness and contrast."""
    difference: Array
    """[H, W], at least 0: how much the part differs there, in deviations of the good parts."""
    known: NDArray[np.bool_]
    """[H, W], where good parts were seen."""
    motion: Motion
    """How the part lies relative to the good image."""
    gradients: Mapping[int, Array]
    """[H, W] by class: root mean square of the gradient of the class's score at good parts; often empty."""

    def gradient(self, index: tuple[int, ...]) -> Array | None:
        """Return the good parts' gradient [H, W] for the element ``index`` of the output; None without."""
        return self.gradients.get(index[0]) if len(index) == 1 else None


@dataclass(frozen=True)
class GoodImage:
    """The good parts at each pixel, in the place of the layout's template; h, w are the frame's window."""

    layout: Layout
    window: tuple[int, int, int, int]
    """Where the frame is in the model's image: top, left, height, width."""
    median: Array
    """[C, h, w], standardised grey."""
    spread: Array
    """[C, h, w], the deviation of the good parts there."""
    known: NDArray[np.bool_]
    """[h, w], where good parts were seen."""
    gradients: Mapping[int, Array]
    """[h, w] by class, see ``Aligned``."""

    def aligned(self, image: Array, placement: Placement, motion: Motion | None = None) -> Aligned | None:
        """Return the good image laid onto ``image [1, C, H, W]``; None for a part that does not fit.

        ``motion`` is how the part lies, where that is known already.
        """
        if window_of(placement) != self.window:
            return None
        part = on_frame(image[0], placement)
        if motion is None:
            structured = structure(part.mean(axis=0, dtype=np.float32))
            motion, found = self.layout.template.register(structured, enough=SURE * self.layout.least)
            if found < self.layout.least:
                return None
        mean, deviation = standardised(part)[1:]
        median = motion.onto_image(_last(self.median))
        known = self._known(motion)
        difference = self.difference(part, motion)
        good = np.clip(median * deviation + mean[:, 0, 0], 0, 1).transpose(2, 0, 1)
        height, width = image.shape[2:]
        whole = np.array(image[0])
        top, left, rows, columns = self.window
        whole[:, top : top + rows, left : left + columns] = good
        return Aligned(
            image=whole,
            difference=_beside(difference, np.median(difference), (height, width), self.window),
            known=_beside(known, False, (height, width), self.window),
            motion=motion,
            gradients={
                index: _beside(motion.onto_image(values), np.float32(0), (height, width), self.window)
                for index, values in self.gradients.items()
            },
        )

    def difference(self, part: Array, motion: Motion) -> Array:
        """Return how much ``part [C, h, w]`` differs, [h, w], in deviations of the good parts.

        Where no good part was seen it is neutral: the median of the rest.
        """
        median, spread = (motion.onto_image(_last(values)) for values in (self.median, self.spread))
        away = np.abs(_softened(_last(standardised(part)[0])) - median) / (spread + np.float32(SOFTER))
        found, known = _softened(away.max(axis=2)), self._known(motion)
        return np.where(known, found, np.float32(np.median(found[known]) if known.any() else 0))

    def _known(self, motion: Motion) -> NDArray[np.bool_]:
        return motion.onto_image(self.known.astype(np.float32), border=0.0) > 0.99


def good_image(
    parts: Sequence[Array],
    layout: Layout,
    window: tuple[int, int, int, int],
    *,
    without: int | None = None,
    gradients: Mapping[int, Array] | None = None,
) -> GoodImage:
    """Return the good image of ``parts`` ([C, h, w] each, 0..1), of all but the part ``without``."""
    used = [
        (parts[index], motion)
        for index, motion in enumerate(layout.motions)
        if motion is not None and index != without
    ]
    moved = np.stack([motion.onto_template(_softened(_last(standardised(one)[0]))) for one, motion in used])
    seen = np.stack([motion.seen((moved.shape[1], moved.shape[2])) for _, motion in used])
    median = np.median(moved, axis=0)
    weights = np.maximum(seen.sum(axis=0), 1)[..., None]
    away = (np.abs(moved - median) * seen[..., None]).sum(axis=0) / weights
    spread = _shrunk(_TO_DEVIATION * away, len(used))
    return GoodImage(
        layout,
        window,
        np.ascontiguousarray(median.transpose(2, 0, 1), np.float32),
        np.ascontiguousarray(spread.transpose(2, 0, 1), np.float32),
        seen.mean(axis=0) >= 0.5,
        gradients or {},
    )


def _shrunk(spread: Array, count: int) -> Array:
    """Return the spread of ``count`` parts, [h, w, C], drawn towards its usual value.

    A few parts agree by chance at many pixels, where each next part would be a difference. So the usual
    spread of the picture counts as ``_PRIOR`` further parts, as in an empirical Bayes estimate of a variance.
    """
    freedom = max(count - 1, 1)
    square = np.square(spread) * np.float32(count / freedom)
    usual = np.median(square.reshape(-1, square.shape[2]), axis=0)
    shrunk: Array = np.sqrt((freedom * square + _PRIOR * usual) / np.float32(freedom + _PRIOR))
    return shrunk


def standardised(part: Array) -> tuple[Array, Array, np.float32]:
    """Return ``part [C, h, w]`` less the means of its channels, by its grey's deviation; and both."""
    mean = part.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    deviation = np.float32(max(float(part.mean(axis=0).std()), _TINY))
    return np.asarray((part - mean) / deviation, np.float32), mean, deviation


def _softened(values: Array) -> Array:
    """Return ``values [h, w]`` or [h, w, C], blurred."""
    planes = values if values.ndim == 3 else values[..., None]
    soft = [cv2.GaussianBlur(planes[..., k], (0, 0), _SOFTEN) for k in range(planes.shape[2])]
    return np.stack(soft, axis=2).astype(np.float32).reshape(values.shape)


def _last(values: Array) -> Array:
    """Return ``values [C, h, w]`` with the channels last."""
    return np.ascontiguousarray(values.transpose(1, 2, 0))


def _beside(
    part: NDArray[Kind], beside: Any, size: tuple[int, int], window: tuple[int, int, int, int]
) -> NDArray[Kind]:
    """Return ``part`` in its window of an image of ``size``, ``beside`` around it."""
    top, left, height, width = window
    whole = np.full(size, beside, part.dtype)
    whole[top : top + height, left : left + width] = part
    return whole
