"""Two decoders agree on every kind of file, or the file is refused as what it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame import load_frame
from tests.runtime.frame.kinds_of_files import COLOURS, GREY, KINDS, RGB, WIDE

REFUSED = {
    "TIFF: grey 12": "packs 12-bit values",
    "TIFF: grey 16 white is 0": "white as 0 with more than 8 bits",
    "TIFF: grey 32": "32-bit integers",
    "TIFF: signed 8": "signed integers",
    "TIFF: signed 16": "signed or 32-bit integers",
    "TIFF: floats": "floating-point",
    "TIFF: rgb 4": "form that is not read: 3 value.s. of 4 bits, photometric 2",
    "TIFF: rgb 32": "form that is not read: 3 value.s. of 32 bits",
    "TIFF: palette 16": "form that is not read",
    "TIFF: palette of 8-bit values": "palette holds values of 8 bits",
    "TIFF: rgba 8 multiplied": "multiplied by their transparency",
    "TIFF: rgba 16 multiplied": "multiplied by their transparency",
    "TIFF: grey alpha 8 multiplied": "multiplied by their transparency",
    "TIFF: grey alpha 16 multiplied": "multiplied by their transparency",
    "TIFF: grey alpha 8 more": "form that is not read: 2 value.s. of 8 bits",
    "TIFF: grey alpha 16 more": "form that is not read: 2 value.s. of 16 bits",
    "TIFF: grey alpha 16 transparent": "form that is not read: 2 value.s. of 16 bits",
    "TIFF: planes 16 transparent": "lie one after the other",
    "TIFF: print cmyk 16": "16-bit CMYK colours",
    "TIFF: print ycc": "without JPEG compression",
    "TIFF: lab": "LAB colours",
    "TIFF: mask": "form that is not read: 1 value.s. of 1 bits, photometric 4",
    "BMP: rgb 555": "5 or 6 bits for each colour",
    "BMP: rgb 565": "5 or 6 bits for each colour",
}
"""What the message says."""
_BANDS = COLOURS[:, :3]
OURS = {
    "TIFF: grey 2 white is 0": 255 - (GREY >> 6) * 85,
    "TIFF: grey 2 black is 0": (GREY >> 6) * 85,
    "TIFF: grey 4 white is 0": 255 - (GREY >> 4) * 17,
    "TIFF: grey 4 black is 0": (GREY >> 4) * 17,
    "TIFF: palette 2": _BANDS[GREY >> 6],
    "TIFF: planes 16": WIDE,
    "TIFF: rgba 8 transparent": RGB,
    "TIFF: zstd": RGB,
    "TIFF: lzma": RGB,
}
"""Kinds that OpenCV does not read, reads without its planes, or blends with black: what was put in."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in REFUSED])
def test_two_decoders_agree(kind: str) -> None:
    """OpenCV too, or what was written where OpenCV cannot; print colours may differ by one level."""
    ours = load_frame(KINDS[kind]).pixels
    other = OURS.get(kind)
    if other is None:
        read = cv2.imdecode(np.frombuffer(KINDS[kind], np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        assert read is not None
        other = read[..., ::-1]
    if ours.ndim == 2 and other.ndim == 3:
        ours = np.stack([ours] * 3, axis=2)
    assert ours.dtype == other.dtype
    difference = np.abs(ours.astype(np.int64) - other.astype(np.int64)).max()
    assert difference <= (1 if "print" in kind else 0)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_decoders_do_not_agree_on_is_refused_as_what_it_is(kind: str) -> None:
    """And not called damaged."""
    with pytest.raises(FrameError, match=REFUSED[kind]) as caught:
        load_frame(KINDS[kind])
    assert "damaged" not in caught.value.what


def test_bands_that_are_no_colours_are_read_all_the_same() -> None:
    """For a model of channels transparency is a band, multiplied or not, and planes are bands."""
    for kind in ("TIFF: rgba 16 multiplied", "TIFF: planes 16 transparent", "TIFF: grey alpha 16 more"):
        frame = load_frame(KINDS[kind], colour="channels")
        np.testing.assert_array_equal(frame.pixels[..., 0], WIDE[..., 0])
