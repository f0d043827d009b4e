"""The scores on a few frames of different content and brightness, as evidence of what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gagrad_export.verify.frame import frame_image, reference_frame
from gagrad_export.verify.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.manifest import GraphKey, InputSpec


def scores_on_frames(graphs: Mapping[GraphKey, bytes], spec: InputSpec) -> NDArray[np.float32]:
    """Return the scores ``[F, K…]`` of ``predict`` on the reference frame, dark, inverted, and on noise."""
    image = frame_image(reference_frame(spec.height, spec.width, spec.channels), colour=spec.colour)
    noise = np.random.Generator(np.random.Philox(7)).random(image.shape, np.float32)
    sessions = Sessions(graphs)
    images = (image, image * np.float32(0.2), np.float32(1) - image, noise)
    scores: NDArray[np.float32] = np.concatenate([sessions.predict(one) for one in images])
    return scores
