"""The noise level that a model bears: how much can be added to its images before its answers change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.manifest import NoiseLevel
from gagrad_edge.method.noise import generator, normal
from gagrad_edge.method.noise_level import COPIES, LEVELS, bearable
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.reader import Reader
    from gagrad_runtime.frame.frame import FrameSource
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.session.explainer import Explainer

HALF = 0.5
"""Share of a value that a copy keeps, where the task has no answers but values."""
MOST = 24
"""Most frames that are measured, spread over all: with four copies each, one copy more or less is 1 %."""


def noise_level(
    explainer: Explainer,
    frames: Sequence[FrameSource],
    *,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> NoiseLevel:
    """Return the largest of ``LEVELS`` at which enough noisy copies of ``frames`` keep their answer.

    The answer is read as the model's task reads it. ``frames`` has at least one, in any form that ``explain``
    takes. Raises FrameError for a frame that cannot be read, ModelError and DeviceError.
    """
    some = frames[:: -(-len(frames) // MOST)]
    spec = explainer.manifest.input
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
    noise = normal(generator(0), COPIES, spec.shape)
    kept = np.zeros(len(LEVELS), np.int64)
    for number, frame in enumerate(some):
        progress(number, len(some), "noise level")
        image, placement = prepare(frame_for(spec, frame), spec)
        spread = np.ptp((image[0] - mean) / std)
        original = explainer.outputs(image)
        for index, level in enumerate(LEVELS):
            copies = explainer.outputs(image + std * (np.float32(level) * spread) * noise)
            kept[index] += int(_same(explainer.reader, original, copies, placement).sum())
    level, share = bearable((kept / (COPIES * len(some))).tolist())
    return NoiseLevel(noise_std=level, kept=share, images=len(some))


def _same(reader: Reader, original: Outputs, copies: Outputs, placement: Placement) -> NDArray[np.bool_]:
    """Return for each of ``copies`` whether its answer is that of the one image of ``original``, [N]."""
    target = reader.target(Wanted(), original, placement)
    kept = reader.keeps(target, copies, original, placement)
    return reader.confidence(copies, original, target) >= HALF if kept is None else kept
