"""The layers of a page: the frame, and the map that lies exactly over it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gagrad_runtime.report.layers import FRAME_SIDE, MAP_SIDE, frame_layer, map_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]


def test_the_map_has_the_proportions_of_the_frame(make_explanation: Builder) -> None:
    """Both layers fit each other, and neither is larger than it may be, nor larger than the frame."""
    explanation = make_explanation()
    frame = explanation.frame
    with Image.open(io.BytesIO(frame_layer(frame))) as layer:
        assert layer.format == "JPEG"
        assert max(layer.size) == min(FRAME_SIDE, max(frame.height, frame.width))
        assert abs(layer.width / layer.height - frame.width / frame.height) < 0.05
    with Image.open(io.BytesIO(map_layer(explanation))) as layer:
        assert layer.format == "PNG"
        assert max(layer.size) == min(MAP_SIDE, max(frame.height, frame.width))
        assert abs(layer.width / layer.height - frame.width / frame.height) < 0.05


def test_the_map_is_seen_where_it_is_high(make_explanation: Builder) -> None:
    """The ground is transparent where the map is lowest, and nearly opaque where it is highest."""
    explanation = make_explanation()
    with Image.open(io.BytesIO(map_layer(explanation))) as layer:
        opacity = np.asarray(layer.convert("RGBA"))[..., 3]
        size = layer.size
    shown = np.asarray(Image.fromarray(explanation.placement.to_frame(explanation.saliency)).resize(size))
    assert opacity.max() > 230
    assert (
        opacity[shown >= np.quantile(shown, 0.99)].mean()
        > opacity[shown <= np.quantile(shown, 0.5)].mean() + 60
    )
