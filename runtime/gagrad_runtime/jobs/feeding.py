"""Feeding: how frames are made into model inputs, and the usual mistakes in it.

Normalisation is part of a bundle's graphs. Another one is tried by an image that comes to its model input:
with mean m and std s in the graph, ``(x − m′)·s/s′ + m`` becomes ``(x − m′)/s′``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gagrad_runtime.frame.image import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFE = ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,) * 3)
_BITS = (10, 12, 14, 16)


@dataclass(frozen=True)
class Feeding:
    """One way to feed frames: that of the bundle, or one with something changed."""

    spec: InputSpec
    """The bundle's input; its mean and std are those of the graph."""
    fields: tuple[tuple[str, Any], ...] = ()
    """What is done otherwise, by field of the input."""
    changed: tuple[tuple[str, str], ...] = ()
    """For each kind of change what to set, in words with parameters in backticks."""

    def image(self, frame: Frame) -> tuple[Array, Placement]:
        """Return the image [1, C, H, W] that makes the graph see ``frame`` so, and where the frame is in it.

        Raises FrameError.
        """
        wanted = msgspec.structs.replace(self.spec, **dict(self.fields))
        image, placement = prepare(frame, wanted)
        if (wanted.mean, wanted.std) == (self.spec.mean, self.spec.std):
            return image, placement
        m, s, other_m, other_s = (
            np.array(values, np.float32).reshape(1, -1, 1, 1)
            for values in (self.spec.mean, self.spec.std, wanted.mean, wanted.std)
        )
        return np.asarray((image - other_m) * (s / other_s) + m, np.float32), placement

    def variants(self, *, resized: bool, deep: bool) -> Iterator[Feeding]:
        """Yield this feeding with one more thing changed, the most frequent mistakes first.

        ``resized`` is whether any frame has another size than the image, ``deep`` whether any has 16 bits.
        """
        kinds = {kind for kind, _ in self.changed}
        current = msgspec.structs.replace(self.spec, **dict(self.fields))
        for kind, said, fields in self._changes(resized=resized, deep=deep):
            new = msgspec.structs.replace(current, **fields)
            if kind not in kinds and new != current:
                yield replace(
                    self,
                    fields=tuple((dict(self.fields) | fields).items()),
                    changed=(*self.changed, (kind, said)),
                )

    def _changes(self, *, resized: bool, deep: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield kind, words and fields of each change."""
        spec, channels = self.spec, self.spec.channels
        neutral = {"mean": [0.0] * channels, "std": [1.0] * channels}
        if channels == 3 and spec.colour in ("rgb", "bgr"):
            ordered = _IMAGENET if spec.colour == "rgb" else tuple(part[::-1] for part in _IMAGENET)
            yield "mean", _normal(*ordered), {"mean": list(ordered[0]), "std": list(ordered[1])}
        half = {"mean": [0.5] * channels, "std": [0.5] * channels}
        yield "mean", "`mean=0.5` `std=0.5` (pixel values −1..1)", half
        yield "mean", "no mean and no std (pixel values 0..1)", neutral
        whole = {**neutral, "std": [1 / 255] * channels}
        yield "mean", "`std=0.00392157` (pixel values 0..255 and not 0..1)", whole
        if spec.colour == "rgb":
            yield "colours", "`colour=bgr`", {"colour": "bgr"}
        elif spec.colour == "bgr":
            yield "colours", "`colour=rgb`", {"colour": "rgb"}
        if spec.colour in ("rgb", "bgr"):
            caffe = {"colour": "bgr", "mean": list(_CAFFE[0]), "std": list(_CAFFE[1])}
            said = "`colour=bgr` and " + _normal(*_CAFFE) + " (Caffe's means, pixel values 0..255)"
            yield "mean", said, caffe
        if resized:
            yield from self._resizing()
        if deep:
            for bits in _BITS:
                yield "bits", f"`bit_depth={bits}`", {"bit_depth": bits}

    def _resizing(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        plain = {"resize_to": None, "crop_ratio": None, "pad_value": 0, "pad_place": "centre"}
        shorter = round(min(self.spec.height, self.spec.width) * 256 / 224)
        for said, fields in (
            ("`resize=stretch`", {"resize": "stretch"}),
            ("`resize=crop`", {"resize": "crop"}),
            (f"`resize=crop` `resize_to={shorter}`", {"resize": "crop", "resize_to": shorter}),
            ("`resize=letterbox` `pad_value=114`", {"resize": "letterbox", "pad_value": 114}),
            ("`resize=letterbox`", {"resize": "letterbox"}),
        ):
            yield "resizing", said, plain | fields


def _normal(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    means, stds = (f"[{', '.join(f'{value:.6g}' for value in values)}]" for values in (mean, std))
    return f"`mean={means}` `std={stds}`"
