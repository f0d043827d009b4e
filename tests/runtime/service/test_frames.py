"""Frames: the model's own image stays what it is, in every order of colours; files are decoded apart."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.service.codec import Tensor
from gagrad_runtime.service.frames import FRAME, IMAGE, PIXELS, Frames, form_of
from gagrad_runtime.service.refusals import RefusedError
from tests.models import build_spec

CHANNELS = {"channel_names": ["left", "right"], "shown": [0], "mean": [0.0] * 2, "std": [1.0] * 2}
SPECS: dict[str, dict[str, Any]] = {
    "rgb": {},
    "bgr": {"colour": "bgr"},
    "mono": {"colour": "mono"},
    "channels": {"colour": "channels", **CHANNELS},
    "letterbox": {"resize": "letterbox", "pad_value": 114},
    "crop": {"resize": "crop", "crop_ratio": 0.875},
}


@pytest.mark.parametrize("fields", SPECS.values(), ids=SPECS)
def test_the_models_image_stays_what_it_is(fields: dict[str, Any]) -> None:
    """Up to 65535ths: it is neither resized nor padded nor cut, and its channels keep their order."""
    spec = build_spec(12, 20, **fields)
    image = np.random.default_rng(0).random((1, *spec.shape), np.float32)
    frame = Frames(spec).of({IMAGE: Tensor("FP32", image.shape, image)}, IMAGE, None)
    prepared, _ = prepare(frame, spec)
    np.testing.assert_allclose(prepared, image, atol=1e-5)


def test_pixels_may_have_a_batch_of_one_and_sixteen_bits() -> None:
    """``[1, H, W, C]`` as ``[H, W, C]``; UINT16 with all its bits."""
    spec = build_spec(12, 20)
    pixels = np.random.default_rng(0).integers(0, 65536, (30, 40, 3), np.uint16)
    for values in (pixels, pixels[None]):
        frame = Frames(spec).of({PIXELS: Tensor("UINT16", values.shape, values)}, PIXELS, None)
        np.testing.assert_array_equal(frame.pixels, pixels)
        assert frame.name == "pixels"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "no frame"),
        ({FRAME: Tensor("BYTES", (2,), [b"a", b"b"])}, "2 files"),
        ({FRAME: Tensor("UINT8", (1,), np.zeros(1, np.uint8))}, "UINT8"),
        ({IMAGE: Tensor("FP32", (2, 3, 12, 20), np.zeros((2, 3, 12, 20), np.float32))}, r"\[1, 3, 12, 20\]"),
        ({IMAGE: Tensor("FP32", (3, 12, 20), np.zeros((3, 12, 20), np.float32))}, "shape"),
    ],
)
def test_what_is_no_frame_is_refused(inputs: dict[str, Tensor], message: str) -> None:
    """Before it waits for its turn."""
    with pytest.raises(RefusedError, match=message):
        form_of(inputs, build_spec(12, 20))


@pytest.mark.slow
def test_a_file_is_decoded_apart_and_within_the_budget(png: bytes, pixels: np.ndarray[Any, Any]) -> None:
    """In a child that survives what is no image; a file that is not done in time is given up."""
    frames = Frames(build_spec(12, 20))
    try:
        file = {FRAME: Tensor("BYTES", (1,), [png])}
        np.testing.assert_array_equal(frames.of(file, FRAME, None).pixels, pixels)
        with pytest.raises(FrameError, match=r"^frame: "):
            frames.of({FRAME: Tensor("BYTES", (1,), [b"no image"])}, FRAME, None)
        assert frames._decoder is not None
        child = frames._decoder.pid
        assert frames.of(file, FRAME, 60).name == "frame"
        assert frames._decoder.pid == child
        large = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
        data = cv2.imencode(".png", large, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        with pytest.raises(RefusedError, match="before the file was decoded"):
            frames.of({FRAME: Tensor("BYTES", (1,), [data])}, FRAME, 0)
    finally:
        frames.close()
