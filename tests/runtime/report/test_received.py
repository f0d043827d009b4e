"""What the model got stands beside the frame where a person should see the difference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_runtime.frame import Frame, load_frame
from gagrad_runtime.frame.image import as_shown, prepare
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.received import differences, received_note

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Any]


def given(make: Builder, build: Builder, frame: Frame, **fields: Any) -> Explanation:
    """Return an explanation of ``frame`` with what a model of 64 × 64 got of it."""
    spec = build(64, 64, **fields)
    image, placement = prepare(frame, spec)
    made = make(frame=frame, saliency=np.eye(64, dtype=np.float32))
    return replace(made, placement=placement, received=as_shown(image, spec, frame))


def grey(height: int, width: int) -> Frame:
    return load_frame(np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8))


def colour(height: int, width: int) -> Frame:
    return load_frame(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("frame", "fields", "words"),
    [
        (colour(100, 100), {}, ()),
        (colour(100, 110), {}, ()),
        (grey(100, 100), {"colour": "mono"}, ()),
        (colour(100, 150), {"resize": "crop"}, ("cut",)),
        (colour(100, 150), {"resize": "letterbox"}, ("with bars beside it",)),
        (colour(100, 200), {}, ("squeezed",)),
        (colour(100, 100), {"colour": "mono"}, ("without colour",)),
        (colour(320, 320), {}, ("5 times smaller",)),
        (colour(16, 16), {}, ("4 times enlarged",)),
    ],
)
def test_what_was_done_to_the_frame(
    make_explanation: Builder,
    input_spec: Builder,
    frame: Frame,
    fields: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    """Each visible change has its word, and a frame that was only resized a little has none."""
    one = given(make_explanation, input_spec, frame, **fields)
    assert differences(one) == words
    assert (received_note(one) is None) == (not words)


def test_a_12_bit_camera_in_16_bits_is_seen_as_dark(make_explanation: Builder, input_spec: Builder) -> None:
    """The frame is stretched for people; beside it stands the black image that the model got."""
    pixels = np.random.default_rng(0).integers(200, 3600, (80, 80)).astype(np.uint16)
    one = given(make_explanation, input_spec, load_frame(pixels), bit_depth=16)
    assert differences(one) == ("dark, as its 16-bit values are",)
    assert one.received is not None
    assert one.received.max() < 20
    right = given(make_explanation, input_spec, load_frame(pixels), bit_depth=12)
    assert differences(right) == ()
    picture = render(one)
    assert picture.shape[1] > render(right).shape[1] or picture.shape != render(right).shape


def test_a_frame_that_hardly_differs_is_shown_alone(make_explanation: Builder, input_spec: Builder) -> None:
    """Two panels, as without the model's image."""
    one = given(make_explanation, input_spec, colour(100, 100))
    np.testing.assert_array_equal(render(one), render(replace(one, received=None)))


def test_the_order_of_the_colours_is_the_frames(input_spec: Builder) -> None:
    """A model that takes blue first has its image shown with red as red."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 0], pixels[:32, :, 1] = 200, 50
    frame = load_frame(pixels)
    for order in ("rgb", "bgr"):
        spec = input_spec(64, 64, colour=order)
        np.testing.assert_array_equal(as_shown(prepare(frame, spec)[0], spec, frame), pixels)
