"""The frame of a request: an image file, pixels, or the model's own image, as frames of the runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.abi import IMAGE
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.decoder import ChildDecoder, SlowError
from gagrad_runtime.service.codec import BYTES
from gagrad_runtime.service.refusals import BUSY, RefusedError, bad

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.arrays import Colour
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.service.codec import Tensor

FRAME = "frame"
"""Input of one image file: PNG, JPEG, TIFF, BMP or .npy, of any size."""
PIXELS = "pixels"
"""Input of one frame's pixel values, ``[H, W]`` or ``[H, W, C]``, of any size; colours are RGB."""
FORMS: dict[str, tuple[str, ...]] = {IMAGE: ("FP32",), FRAME: (BYTES,), PIXELS: ("UINT8", "UINT16")}
"""The inputs of which a request has exactly one, and the datatypes of each."""
MOST_IMAGES = 16
"""Most images of one request of ``predict``, as in the model repository for Triton."""


def form_of(inputs: Mapping[str, Tensor], spec: InputSpec, images: int = 1) -> str:
    """Return which of ``FORMS`` the request has; ``images`` is the most of ``IMAGE``. Raises RefusedError."""
    given = [name for name in FORMS if name in inputs]
    if len(given) != 1:
        said = " and ".join(given) or "no frame"
        raise bad(f"the request has {said}", "inputs", hint="give one of them", choices=tuple(FORMS))
    (name,) = given
    tensor = inputs[name]
    if tensor.datatype not in FORMS[name]:
        raise bad(f"its datatype is {tensor.datatype}", name, choices=FORMS[name])
    if name == IMAGE and not (
        len(tensor.shape) == 4 and 1 <= tensor.shape[0] <= images and tensor.shape[1:] == spec.shape
    ):
        most = "1" if images == 1 else f"1 to {images}"
        raise bad(f"its shape is {list(tensor.shape)}", name, hint=f"give [{most}, {_listed(spec.shape)}]")
    if name == FRAME and len(tensor.values) != 1:
        raise bad(f"it holds {len(tensor.values)} files", name, hint="give one file a request")
    return name


class Frames:
    """Makes the frames of requests. For one thread; close it.

    Image files come from anywhere, so a child process decodes them (docs/adr/0030).
    """

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._decoder: ChildDecoder | None = None

    def close(self) -> None:
        """End the child that decodes."""
        if self._decoder is not None:
            self._decoder.close()

    def of(self, inputs: Mapping[str, Tensor], form: str, seconds: float | None) -> Frame:
        """Return the frame in the input ``form``, within ``seconds``. Raises FrameError and RefusedError."""
        values = inputs[form].values
        if isinstance(values, list):
            return self._decoded(values[0], seconds)
        if form == PIXELS:
            pixels = values[0] if values.ndim == 4 and len(values) == 1 else values
            return replace(frame_for(self._spec, pixels), source=PIXELS)
        return self.from_image(values)

    def from_image(self, image: NDArray[np.float32]) -> Frame:
        """Return the frame of the model's image ``[1, C, H, W]``: it is explained as it is.

        Its values are rounded to 65535ths, as those of all frames of floats.
        """
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise bad("a pixel value is not between 0 and 1", IMAGE, hint="divide bytes by 255")
        planes = image[0, 0] if self._spec.channels == 1 else np.moveaxis(image[0], 0, -1)
        colour: Colour = "bgr" if self._spec.colour == "bgr" else "rgb"
        return replace(frame_for(self._spec, planes, colour=colour), source=IMAGE, fitted=True)

    def prepare(self) -> None:
        """Start the child that decodes, so that the first frame does not wait for it."""
        if self._decoder is None:
            self._decoder = ChildDecoder()

    def _decoded(self, data: bytes, seconds: float | None) -> Frame:
        self.prepare()
        assert self._decoder is not None  # noqa: S101 - just made
        self._decoder.patience = None if seconds is None else max(seconds, 0.001)
        try:
            frame = self._decoder.load(data, "channels" if self._spec.colour == "channels" else "rgb", FRAME)
        except SlowError:
            raise RefusedError(
                BUSY, "the budget was over before the file was decoded", retry_after=1
            ) from None
        return frame_for(self._spec, frame)


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
