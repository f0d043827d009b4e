"""The places of a map in the JSON record: salient regions, and the verdict on a region of interest."""

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
