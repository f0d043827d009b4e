"""Broken frames are said, and sound ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gagrad_runtime.explanation.cautions import Caution
from gagrad_runtime.explanation.input_cautions import constant_image, dark_image, few_bits, upscaled
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from tests.models import build_spec

PART = np.random.default_rng(3).integers(20, 236, (48, 64, 3)).astype(np.uint8)


def codes(pixels: Any, height: int = 48, width: int = 64, **spec: Any) -> list[str]:
    """Return the codes of all cautions about a frame."""
    fed = build_spec(height, width, **spec)
    frame = load_frame(pixels)
    image, placement = prepare(frame, fed)
    found: list[Caution] = [
        *constant_image(frame, image[0], placement),
        *few_bits(frame, fed.bit_depth),
        *dark_image(image[0], placement),
        *upscaled(frame, placement),
    ]
    assert all(one.text.endswith((".", "?")) for one in found)
    return [one.code for one in found]


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_a_sound_frame(resize: str) -> None:
    """Nothing is said of an ordinary frame, padding or not."""
    assert codes(PART, 80, 80, resize=resize) == []
    assert codes(PART, 24, 32, resize=resize) == []


@pytest.mark.parametrize("value", [120, 255])
def test_an_empty_frame(value: int) -> None:
    """One value everywhere, and one with the noise of a sensor, are empty; also within padding."""
    flat = np.full((48, 64, 3), value, np.uint8)
    assert codes(flat) == codes(flat, 96, 96, resize="letterbox", pad_value=114) == ["constant-image"]
    noisy = (flat - np.random.default_rng(0).integers(0, 4, flat.shape)).astype(np.uint8)
    assert codes(noisy) == ["constant-image"]
    noisy[10:20, 10:20] -= 40
    assert codes(noisy) == []


def test_a_frame_that_is_nearly_black() -> None:
    """A sixteenth of the exposure is said, a single hot pixel does not hide it, and a dark field is sound."""
    dark = (PART * 0.06).astype(np.uint8)
    dark[0, 0] = 255
    assert codes(dark) == ["dark-image"]
    field = np.full((48, 64), 5, np.uint8)
    field[20:24, 30:34] = 200
    assert codes(field) == []


def test_a_camera_of_fewer_bits() -> None:
    """Twelve bits in a 16-bit file: the largest value and the camera's bits are named."""
    twelve = (PART.astype(np.uint16) * 14)[:, :, 0]
    frame = load_frame(twelve)
    assert "few-bits" in codes(twelve, colour="mono", bit_depth=16)
    text = few_bits(frame, 16)[0].text
    assert f"{twelve.max()} of 65535" in text
    assert "12-bit camera" in text
    assert few_bits(frame, 12) == []
    assert few_bits(load_frame(PART), 16) == []


def test_a_frame_much_smaller_than_the_image() -> None:
    """Twice the size and more is enlarged pixels; a bundle's own test frame is not judged."""
    assert codes(PART, 96, 128) == ["upscaled"]
    assert codes(PART, 90, 128) == []
    assert codes(PART, 128, 128, resize="letterbox") == ["upscaled"]
