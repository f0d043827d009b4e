"""The noise level of the preset ``operator``, guessed: the exporter has no image of a part.

It has frames of its own, and the classes that the model gives them say how much noise moves an answer. They
are no parts, so the guess is told and not used; images of parts are measured by ``noise_level`` on the
device's side, at the export with labelled images and at ``calibrate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.manifest import NoiseLevel
from gagrad_edge.method.noise import generator, normal
from gagrad_edge.method.noise_level import COPIES, LEVELS, bearable
from gagrad_export.verify.frame_scores import frame_images
from gagrad_export.verify.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import GraphKey

    Array = NDArray[np.float32]

HALF = 0.5
"""Share of itself by which a single score may change and still be the same answer."""


def guessed_noise(graphs: Mapping[GraphKey, GraphFile], spec: InputSpec) -> NoiseLevel:
    """Return the largest level at which the exporter's frames keep their class."""
    sessions = Sessions(graphs)
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
    noise = normal(generator(0), COPIES, spec.shape)
    # The last of these frames is noise itself.
    frames = frame_images(spec.shape, colour=spec.colour)[:-1]
    before = [sessions.predict(frame) for frame in frames]
    kept: list[float] = []
    for level in LEVELS:
        added = [std * (np.float32(level) * np.ptp((frame[0] - mean) / std)) * noise for frame in frames]
        copies = [sessions.predict(frame + one) for frame, one in zip(frames, added, strict=True)]
        same = [_same(scores, answers) for scores, answers in zip(before, copies, strict=True)]
        kept.append(float(np.mean(same)))
    level, share = bearable(kept)
    return NoiseLevel(noise_std=level, kept=share, images=0)


def _same(before: Array, copies: Array) -> NDArray[np.bool_]:
    """Return for each of ``copies [N, K…]`` whether its best class is that of ``before [1, K…]``, [N].

    The best class is the one with the highest score anywhere; a single score keeps its answer while it
    changes by less than half of itself.
    """
    first, others = (scores.reshape(*scores.shape[:2], -1).max(axis=2) for scores in (before, copies))
    same: NDArray[np.bool_] = others.argmax(axis=1) == first.argmax()
    if first.shape[1] == 1:
        same = np.abs(others[:, 0] - first[0, 0]) <= HALF * np.abs(first[0, 0])
    return same
