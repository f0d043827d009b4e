"""The scores on a few frames of different content and brightness, as evidence of what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.verify.frame import frame_image, reference_frame
from gagrad_export.verify.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.bundle.graph_file import GraphFile
    from gagrad_edge.input import InputSpec
    from gagrad_edge.manifest import GraphKey


def scores_on_frames(graphs: Mapping[GraphKey, GraphFile], spec: InputSpec) -> NDArray[np.float32]:
    """Return the scores ``[F, K…]`` of ``predict`` on ``frame_images``."""
    sessions = Sessions(graphs)
    images = frame_images(spec.shape, colour=spec.colour)
    scores: NDArray[np.float32] = np.concatenate([sessions.predict(one) for one in images])
    return scores


def frame_images(shape: tuple[int, int, int], colour: str = "rgb") -> list[NDArray[np.float32]]:
    """Return images ``[1, C, H, W]`` in 0..1: the reference frame, dark, inverted, and noise.

    ``shape`` is (C, H, W).
    """
    channels, height, width = shape
    image = frame_image(reference_frame(height, width, channels), colour=colour)
    noise = np.random.Generator(np.random.Philox(7)).random(image.shape, np.float32)
    return [image, image * np.float32(0.2), np.float32(1) - image, noise]
