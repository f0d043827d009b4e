"""Raw frames become colours by the declared pattern, and only by it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from gagrad_edge.errors import FrameError
from gagrad_edge.input import Bayer, InputSpec
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import demosaiced, prepare

COLOURS = {"r": 200, "g": 120, "b": 40}


def mosaic(pattern: str, height: int = 12, width: int = 16, factor: int = 1) -> np.ndarray:
    """Return what a sensor with ``pattern`` sees of a plain surface."""
    raw = np.zeros((height, width), np.uint8 if factor == 1 else np.uint16)
    for index, letter in enumerate(pattern):
        raw[index // 2 :: 2, index % 2 :: 2] = COLOURS[letter] * factor
    return raw


@pytest.mark.parametrize("pattern", get_args(Bayer))
@pytest.mark.parametrize("factor", [1, 16], ids=["8-bit", "12-bit"])
def test_a_plain_surface_has_its_colour_everywhere(pattern: Bayer, factor: int) -> None:
    """A raw frame of a uniform colour becomes that colour at every pixel, for each pattern and depth."""
    raw = mosaic(pattern, factor=factor)
    colours = demosaiced(raw, pattern, where="x")
    assert colours.dtype == raw.dtype
    expected = np.array(list(COLOURS.values())) * factor
    np.testing.assert_array_equal(colours, np.broadcast_to(expected, (12, 16, 3)))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_model_sees_colours(order: str) -> None:
    """In its own order, scaled by the declared bits."""
    spec = InputSpec(height=6, width=8, colour=order, mean=[0] * 3, std=[1] * 3, bit_depth=12, bayer="grbg")  # type: ignore[arg-type]
    image, _ = prepare(load_frame(mosaic("grbg", factor=16)), spec)
    expected = np.array(list(COLOURS.values())[:: 1 if order == "rgb" else -1]) * 16 / 4095
    np.testing.assert_allclose(image[0, :, 3, 4], expected, rtol=1e-5)


def test_nothing_is_guessed() -> None:
    """Without a pattern a mono frame is grey, and a colour frame is colour with one."""
    fields = {"height": 12, "width": 16, "colour": "rgb", "mean": [0.0] * 3, "std": [1.0] * 3}
    grey, _ = prepare(load_frame(mosaic("rggb")), InputSpec(**fields))  # type: ignore[arg-type]
    np.testing.assert_array_equal(grey[0, 0], grey[0, 2])
    colour = np.broadcast_to(np.uint8([1, 2, 3]), (12, 16, 3))
    kept, _ = prepare(load_frame(np.array(colour)), InputSpec(**fields, bayer="rggb"))  # type: ignore[arg-type]
    np.testing.assert_allclose(kept[0, :, 0, 0] * 255, [1, 2, 3], rtol=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    """A Bayer pattern for a mono model, and a raw frame under 4×4, are refused."""
    with pytest.raises(ValueError, match="takes colours"):
        InputSpec(height=4, width=4, colour="mono", mean=[0.0], std=[1.0], bayer="rggb")
    with pytest.raises(FrameError, match="at least 4 high and 4 wide, this is 3 high and 8 wide"):
        demosaiced(np.zeros((3, 8), np.uint8), "rggb", where="x")
