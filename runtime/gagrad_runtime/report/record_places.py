"""Places in the JSON record: the frame in the image, salient ones, a region of interest; the colour scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from gagrad_edge.manifest import Resize  # noqa: TC001 - msgspec resolves the fields' types

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation

Count = Annotated[int, msgspec.Meta(ge=1)]


class PlacementRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where the frame is in the image: ``image[offset + r] = resample(frame[window], resized)[r]``."""

    rule: Resize
    model_size: tuple[Count, Count]
    """(height, width)."""
    window: tuple[int, int, int, int]
    """(top, left, height, width) of the part of the frame that is resampled."""
    resized: tuple[Count, Count]
    offset: tuple[int, int]
    """(top, left); above 0 for black padding, below 0 where the image cuts."""
    share_on_frame: float
    """Share of the map's sum that lies on the frame and not on the padding, 0..1."""


class SalientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One connected place where the map is above its 0.95 quantile, in frame pixels."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom); the last two are one past the last pixel."""
    area: Annotated[int, msgspec.Meta(ge=1)]
    share: float
    """Of the map's mass on the frame, 0..1."""
    peak: tuple[float, float]
    """(x, y) of the highest place."""


class RoiRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the map keeps to the region of interest: shares of its mass on the frame."""

    file: str
    inside: float
    ignored: float
    """In ignore zones."""
    elsewhere: float
    share: float
    """``inside`` of what is not ignored."""
    limit: float | None
    """What ``share`` must reach; null when nothing was asked."""
    passed: bool | None
    """Null without a limit. A map that is the same everywhere does not pass."""


class ScaleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What good parts' maps reach; the picture's colours compare with it."""

    value: float
    """As ``raw``; half of the picture's scale."""
    images: Annotated[int, msgspec.Meta(ge=1)]
    """Number of good parts."""
    highest: float
    """The highest value of this map, softened as on the picture, in units of ``value``."""


def placement_record(explanation: Explanation) -> PlacementRecord:
    """Return where the frame is in the image, and how much of the map is on it."""
    placement = explanation.placement
    clean = np.nan_to_num(explanation.saliency, nan=0.0, posinf=0.0, neginf=0.0)
    return PlacementRecord(
        rule=placement.rule,
        model_size=placement.model_size,
        window=placement.window,
        resized=placement.resized,
        offset=placement.offset,
        share_on_frame=round(placement.share_on_frame(clean), 6),
    )


def salient_records(explanation: Explanation) -> list[SalientRecord]:
    """Return what the record says of the salient places of ``explanation``."""
    return [
        SalientRecord(
            box=one.box,
            area=one.area,
            share=round(one.share, 6),
            peak=(round(one.peak[0], 2), round(one.peak[1], 2)),
        )
        for one in explanation.regions
    ]


def roi_record(explanation: Explanation) -> RoiRecord | None:
    """Return what the record says of the region of interest; None when there was none."""
    roi = explanation.roi
    if roi is None:
        return None
    return RoiRecord(
        file=roi.name.encode("utf-8", "replace").decode(),
        inside=round(roi.inside, 6),
        ignored=round(roi.ignored, 6),
        elsewhere=round(roi.elsewhere, 6),
        share=round(roi.share, 6),
        limit=roi.limit,
        passed=roi.passed,
    )


def scale_record(explanation: Explanation) -> ScaleRecord | None:
    """Return what the record says of the scale of good parts; None when there was none."""
    scale = explanation.good_scale
    if scale is None:
        return None
    from gagrad_runtime.report.scale import raw_map  # noqa: PLC0415 - needs OpenCV

    highest = float(raw_map(explanation)[0].max()) / scale.value
    return ScaleRecord(value=scale.value, images=scale.images, highest=round(highest, 4))
