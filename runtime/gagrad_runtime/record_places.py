"""A map in the JSON record: salient places, the verdict on a region of interest, the scale of good parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from gagrad_runtime.explanation import Explanation


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
    from gagrad_runtime.good_scale import raw_map  # noqa: PLC0415 - needs OpenCV

    highest = float(raw_map(explanation)[0].max()) / scale.value
    return ScaleRecord(value=scale.value, images=scale.images, highest=round(highest, 4))
