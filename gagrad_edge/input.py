"""The input of a model: how a frame becomes the image, and the image what the model computes with."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from gagrad_edge.schema import Positive, Strict

Resize = Literal["stretch", "letterbox", "crop"]
Interpolation = Literal["nearest", "linear", "area", "cubic", "lanczos"]
PadPlace = Literal["centre", "top-left"]
Semantics = Literal["pil", "opencv", "torch"]
RESAMPLING: dict[Semantics, dict[Interpolation, tuple[bool, ...]]] = {
    "pil": {"nearest": (False,), "linear": (True,), "area": (True,), "cubic": (True,), "lanczos": (True,)},
    "opencv": {
        "nearest": (False,),
        "linear": (False,),
        "area": (True,),
        "cubic": (False,),
        "lanczos": (False,),
    },
    "torch": {"nearest": (False,), "linear": (True, False), "area": (True,), "cubic": (True, False)},
}
"""The interpolations of each library, and the values of ``antialias`` of each, the default first."""
Colour = Literal["rgb", "bgr", "mono", "channels"]
MAX_CHANNELS = 16
"""Most channels of an image: lights, cameras or bands that are no colours."""
Bayer = Literal["rggb", "bggr", "grbg", "gbrg"]
MAX_PIXELS = 1 << 26
"""Largest image of a model, height × width, because a device's memory grows with it."""


class InputSpec(Strict, frozen=True):
    """How a frame becomes the image ``[1, C, H, W]`` and the image the model input."""

    height: Positive
    width: Positive
    colour: Colour
    """Order of the image's channels: ``mono`` has one; ``channels`` has those of ``channel_names``, which are
    no colours: lights, cameras, bands."""
    mean: list[float]
    """One number per channel, in pixel values 0..1; model input = (image − mean) / std."""
    std: list[float]
    """One number per channel, greater than 0."""
    resize: Resize = "stretch"
    """``stretch`` to the size; ``letterbox``: fit inside, pad; ``crop``: cover, cut the centre."""
    resize_to: Positive | None = None
    """For ``crop``: the frame's shorter side gets this length, the longer one in proportion, and the centre
    is cut from it (torchvision's ``Resize`` and ``CenterCrop``). Null with ``crop_ratio`` null: just covers.
    """
    crop_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """For ``crop``: the frame covers ⌊height / crop_ratio⌋ × ⌊width / crop_ratio⌋, and the centre is cut from
    it (timm's ``crop_pct``)."""
    interpolation: Interpolation | None = None
    """How pixels are resampled, as the library ``semantics`` does it. Null with ``semantics`` null: an axis
    that shrinks is averaged over the area, an axis that grows is linear, and no value is rounded."""
    antialias: bool | None = None
    """Whether shrinking takes all pixels into account; ``RESAMPLING`` has what each library can do."""
    semantics: Semantics | None = None
    """Library whose resampling and rounding is reproduced; null: see ``interpolation``."""
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    """Grey beside the frame, as a pixel value of 8 bits."""
    pad_place: PadPlace = "centre"
    """Where ``letterbox`` puts the frame; ``top-left`` pads at the bottom and at the right only."""
    bit_depth: Annotated[int, msgspec.Meta(ge=9, le=16)] = 16
    """Significant bits of a uint16 frame, whose values are divided by ``2^bit_depth − 1``."""
    bayer: Bayer | None = None
    """Colours of the first 2×2 pixels of a raw mono frame, row by row; null when mono frames are grey."""
    channel_names: list[str] = msgspec.field(default_factory=list)
    """With ``colour`` ``channels``: a name for each, in the order of the frame and of the image."""
    shown: list[Annotated[int, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=list)
    """With ``colour`` ``channels``: the one that pictures show as grey, or the three that they show as red,
    green and blue; indices into ``channel_names``."""

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return {"mono": 1, "rgb": 3, "bgr": 3}.get(self.colour) or len(self.channel_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)

    def __post_init__(self) -> None:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(
                f"an image {self.height} high and {self.width} wide has more than {MAX_PIXELS} pixels"
            )
        if self.bayer and self.colour in ("mono", "channels"):
            raise ValueError(f"a Bayer pattern needs a model that takes colours, not {self.colour}")
        self._check_channels()
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} must hold {self.channels} finite numbers, one per channel")
        if min(self.std) <= 0:
            raise ValueError("std must be greater than 0")
        self._check_resize()
        self._check_resampling()

    def _check_channels(self) -> None:
        names = self.channel_names
        if self.colour != "channels":
            if names or self.shown:
                raise ValueError(f"channel_names and shown belong to colour channels, not to {self.colour}")
            return
        if not 1 <= len(names) <= MAX_CHANNELS:
            raise ValueError(f"an image has 1 to {MAX_CHANNELS} channel_names, not {len(names)}")
        if len(set(names)) != len(names) or not all(names):
            raise ValueError("each of channel_names must be another, and none empty")
        if len(self.shown) not in (1, 3) or not all(index < len(names) for index in self.shown):
            raise ValueError(f"shown must hold one or three of the channels 0 to {len(names) - 1}")

    def _check_resize(self) -> None:
        if self.resize != "crop" and (self.resize_to is not None or self.crop_ratio is not None):
            raise ValueError(f"resize_to and crop_ratio belong to resize crop, not to {self.resize}")
        if self.resize_to is not None and self.crop_ratio is not None:
            raise ValueError("of resize_to and crop_ratio only one can be given")
        if self.resize_to is not None and self.resize_to < min(self.height, self.width):
            raise ValueError(
                f"resize_to {self.resize_to} is less than the shorter side of the image, {self.height} high "
                f"and {self.width} wide"
            )
        if self.resize == "stretch" and self.pad_value != 0:
            raise ValueError("pad_value belongs to resize letterbox or crop: stretch pads nothing")
        if self.resize != "letterbox" and self.pad_place != "centre":
            raise ValueError(f"pad_place belongs to resize letterbox, not to {self.resize}")

    def _check_resampling(self) -> None:
        if self.semantics is None:
            if self.interpolation is not None or self.antialias is not None:
                raise ValueError("interpolation and antialias need semantics: the libraries differ in them")
            return
        can = RESAMPLING[self.semantics]
        if self.interpolation not in can:
            raise ValueError(f"interpolation of {self.semantics} is one of {', '.join(can)}")
        if self.antialias not in can[self.interpolation]:
            always = can[self.interpolation][0]
            raise ValueError(
                f"antialias is always {'on' if always else 'off'} for {self.semantics} {self.interpolation}"
            )
