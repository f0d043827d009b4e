"""From the frame to the image and back: sizes, colours, values and places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gagrad_edge.errors import FrameError
from gagrad_edge.input import InputSpec
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.frame.placement import Placement, place, resample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Builder = Callable[..., InputSpec]

RULES = ("stretch", "letterbox", "crop")
lengths = st.integers(1, 90)
sizes = st.tuples(lengths, lengths)


def placement_of(rule: str, frame: tuple[int, int], model: tuple[int, int]) -> Placement:
    spec = InputSpec(height=model[0], width=model[1], colour="mono", mean=[0.0], std=[1.0], resize=rule)  # type: ignore[arg-type]
    return place(frame, spec)


@pytest.mark.parametrize("rule", RULES)
def test_a_frame_of_the_models_size_is_untouched(
    part: NDArray[np.uint8], input_spec: Builder, rule: str
) -> None:
    """Every value is the pixel divided by 255, bit for bit, whatever the rule."""
    image, placement = prepare(load_frame(part), input_spec(*part.shape[:2], resize=rule))
    expected = (part.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None]
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, expected)
    assert placement.scale == (1.0, 1.0)
    assert placement.seen_share == 1
    a_map = image[0, 0]
    np.testing.assert_array_equal(placement.to_frame(a_map), a_map)


def test_channel_order(part: NDArray[np.uint8], input_spec: Builder) -> None:
    """Bgr is rgb reversed."""
    rgb, _ = prepare(load_frame(part), input_spec(40, 50))
    bgr, _ = prepare(load_frame(part), input_spec(40, 50, colour="bgr"))
    np.testing.assert_array_equal(bgr, rgb[:, ::-1])


def test_a_mono_frame_fills_three_equal_channels(part: NDArray[np.uint8], input_spec: Builder) -> None:
    """A colour model sees a mono frame as grey."""
    image, _ = prepare(load_frame(part[..., 1]), input_spec(40, 50))
    assert image.shape == (1, 3, 40, 50)
    np.testing.assert_array_equal(image[0, 0], image[0, 1])
    np.testing.assert_array_equal(image[0, 0], image[0, 2])


def test_a_colour_frame_becomes_luma(part: NDArray[np.uint8], input_spec: Builder) -> None:
    """A mono model sees BT.601 luma in float precision; grey stays exactly grey."""
    spec = input_spec(*part.shape[:2], colour="mono")
    image, _ = prepare(load_frame(part), spec)
    expected = part.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(image[0, 0], expected, atol=1e-6)
    grey = np.repeat(part[..., :1], 3, axis=2)
    from_colour, _ = prepare(load_frame(grey), spec)
    from_mono, _ = prepare(load_frame(grey[..., 0]), spec)
    np.testing.assert_array_equal(from_colour, from_mono)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_sixteen_bit_frames_are_scaled_by_the_bundles_bit_depth(input_spec: Builder, bits: int) -> None:
    """The largest value of the bit depth is 1, one more is refused with both numbers."""
    spec = input_spec(2, 2, colour="mono", bit_depth=bits)
    pixels = np.array([[0, 1], [2, 2**bits - 1]], np.uint16)
    image, _ = prepare(load_frame(pixels), spec)
    np.testing.assert_array_equal(image[0, 0], pixels.astype(np.float32) / np.float32(2**bits - 1))
    if bits < 16:
        pixels[0, 0] = 2**bits
        with pytest.raises(FrameError, match=rf"{2**bits}.*{bits} bits.*\n.*{bits + 1}-bit"):
            prepare(load_frame(pixels), spec)


def test_letterbox_pads_with_black_and_keeps_proportions(input_spec: Builder) -> None:
    """A wide frame lies in the middle between black bars of equal height."""
    image, placement = prepare(
        load_frame(np.full((50, 100), 255, np.uint8)), input_spec(80, 80, resize="letterbox")
    )
    assert placement.resized == (40, 80)
    assert placement.offset == (20, 0)
    assert image[..., :20, :].max() == image[..., 60:, :].max() == 0
    np.testing.assert_allclose(image[..., 20:60, :], 1, atol=1e-6)


def test_crop_cuts_the_centre(input_spec: Builder) -> None:
    """The image is the middle of the frame, and the rest of the map on the frame is 0."""
    pixels = np.zeros((40, 100), np.uint8)
    pixels[:, 30:70] = 255
    image, placement = prepare(load_frame(pixels), input_spec(20, 20, resize="crop"))
    np.testing.assert_allclose(image, 1, atol=1e-6)
    assert placement.seen == (30, 0, 70, 40)
    assert placement.seen_share == pytest.approx(0.4)
    on_frame = placement.to_frame(np.ones((20, 20), np.float32))
    np.testing.assert_array_equal(on_frame, (pixels / 255).astype(np.float32))


def test_a_very_long_frame_is_cropped_in_little_memory(input_spec: Builder) -> None:
    """Enlarging 4 × 60000 pixels to cover 224 rows would be 3.4 million columns wide."""
    _, placement = prepare(load_frame(np.zeros((4, 60000), np.uint8)), input_spec(224, 224, resize="crop"))
    assert placement.resized[1] < 600


@pytest.mark.parametrize("rule", RULES)
def test_one_pixel_is_enough(input_spec: Builder, rule: str) -> None:
    """A 1×1 frame becomes a plain image, and its map one value."""
    image, placement = prepare(
        load_frame(np.array([[[10, 20, 30]]], np.uint8)), input_spec(8, 6, resize=rule)
    )
    filled = image[0, :, 4, 3]
    np.testing.assert_allclose(filled * 255, [10, 20, 30], rtol=1e-6)
    assert placement.to_frame(np.full((8, 6), 0.25, np.float32)).tolist() == [[0.25]]


def test_each_axis_is_resampled_by_its_own_rule() -> None:
    """An axis that shrinks is averaged even when the other one grows; OpenCV alone would skip pixels."""
    stripes = np.tile(np.array([0, 0, 0, 255], np.uint8), (3, 25))
    shrunk = resample(stripes, (9, 25))
    np.testing.assert_allclose(shrunk, 255 / 4, rtol=1e-6)


@settings(max_examples=300, deadline=None)
@given(rule=st.sampled_from(RULES), frame=sizes, model=sizes)
def test_every_size_is_placed_soundly(rule: str, frame: tuple[int, int], model: tuple[int, int]) -> None:
    """For any sizes: white stays white where the frame is, the map comes back at the frame's size.

    The image's centre is within half a pixel, of the frame or the model, of the frame's centre.
    """
    placement = placement_of(rule, frame, model)
    spec = InputSpec(height=model[0], width=model[1], colour="mono", mean=[0.0], std=[1.0], resize=rule)  # type: ignore[arg-type]
    image, same = prepare(load_frame(np.full(frame, 255, np.uint8)), spec)
    assert same == placement
    assert image.shape == (1, 1, *model)
    assert image.min() >= 0
    assert image.max() <= 1
    if rule != "letterbox":
        assert image.min() > 0.99999
    on_frame = placement.to_frame(np.ones(model, np.float32))
    assert on_frame.shape == frame
    assert on_frame.max() > 0.99999
    if rule != "crop":
        assert on_frame.min() > 0.99999
        assert placement.seen == (0, 0, frame[1], frame[0])
    x, y = placement.point_to_frame(model[1] / 2, model[0] / 2)
    for off, scale in ((x - frame[1] / 2, placement.scale[1]), (y - frame[0] / 2, placement.scale[0])):
        assert min(abs(off), abs(off) * scale) <= 0.5 + 1e-9


@given(rule=st.sampled_from(RULES), frame=sizes, model=sizes, x=st.floats(0, 90), y=st.floats(0, 90))
def test_points_come_back(
    rule: str, frame: tuple[int, int], model: tuple[int, int], x: float, y: float
) -> None:
    """Frame to model to frame is the same point."""
    placement = placement_of(rule, frame, model)
    assert placement.point_to_frame(*placement.point_to_model(x, y)) == pytest.approx((x, y), abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_bright_place_comes_back_to_where_it_was(input_spec: Builder, rule: str) -> None:
    """What the model sees at a place, the map shows at that place of the frame."""
    pixels = np.zeros((90, 150), np.uint8)
    pixels[30:42, 60:72] = 255
    spec = input_spec(64, 64, resize=rule, colour="mono")
    image, placement = prepare(load_frame(pixels), spec)
    on_frame = placement.to_frame(image[0, 0])
    rows, columns = np.nonzero(on_frame > 0.5 * on_frame.max())
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((36, 66), abs=0.6)
    left, top, right, bottom = placement.box_to_frame(
        (*placement.point_to_model(60, 30), *placement.point_to_model(72, 42))
    )
    assert (left, top, right, bottom) == pytest.approx((60, 30, 72, 42))


def test_the_share_of_the_map_beside_the_frame(input_spec: Builder) -> None:
    """A map that is equal everywhere lies half on the bars of a 2:1 frame."""
    placement = place((50, 100), input_spec(80, 80, resize="letterbox"))
    assert placement.share_on_frame(np.ones((80, 80), np.float32)) == pytest.approx(0.5)
    assert placement.share_on_frame(np.zeros((80, 80), np.float32)) == 1
