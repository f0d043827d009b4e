"""Where the map should lie: a region of interest and ignore zones, and how much of a map keeps to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import RoiError, SettingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

    Mask = NDArray[np.bool_]
    Polygon = NDArray[np.float64]


@dataclass(frozen=True)
class Zones:
    """A region of interest on one frame: bool [H, W] each, without overlap."""

    inside: Mask
    ignore: Mask


@dataclass(frozen=True)
class Roi:
    """A region of interest as it was given; ``roi_file.read_roi`` reads one.

    Polygons are ``[n, 2]``, points (x, y) in frame pixels: pixel 0 spans 0 to 1. Where an ignore zone covers
    the inside, it is ignored.
    """

    name: str
    inside: tuple[Polygon, ...] = ()
    ignore: tuple[Polygon, ...] = ()
    mask: Mask | None = None
    """The inside as a mask [H, W], instead of polygons."""
    frame_size: tuple[int, int] | None = None
    """(height, width) that the frame must have; None where it is not known."""
    _filled: dict[tuple[int, int], Zones] = field(default_factory=dict, repr=False, compare=False)
    """By frame size: a camera's frames are all of one."""

    def on(self, frame_size: tuple[int, int]) -> Zones:
        """Return the zones on a frame of ``frame_size`` (height, width).

        Raises RoiError when the frame has another size than the region was made for, or shows none of it.
        """
        if frame_size in self._filled:
            return self._filled[frame_size]
        if self.frame_size not in (None, frame_size):
            height, width = self.frame_size
            raise RoiError(
                f"it is for frames of {width} × {height} pixels and this one has "
                f"{frame_size[1]} × {frame_size[0]}",
                where=self.name,
                hint="draw the region again on a frame of this size",
            )
        ignore = filled(self.ignore, frame_size)
        inside = (filled(self.inside, frame_size) if self.mask is None else self.mask) & ~ignore
        if not inside.any():
            raise RoiError(
                f"nothing of the region lies on a frame of {frame_size[1]} × {frame_size[0]} pixels",
                where=self.name,
                hint="coordinates are x, y in frame pixels from the upper left; "
                "ignore zones take precedence over the inside",
            )
        self._filled.clear()
        return self._filled.setdefault(frame_size, Zones(inside, ignore))


@dataclass(frozen=True)
class RoiVerdict:
    """How much of a map lies where: shares of the mass of ``saliency_on_frame``, adding up to 1.

    All three are 0 for a map that is 0 everywhere on the frame.
    """

    name: str
    zones: Zones
    inside: float
    ignored: float
    elsewhere: float
    flat: bool
    """Whether the map has the same value everywhere and so says nothing."""
    limit: float | None = None
    """The share of what is not ignored that must lie inside; None when nothing is asked."""

    @property
    def share(self) -> float:
        """Share of the mass outside ignore zones that lies inside the region, 0..1; 0 when there is none."""
        counted = self.inside + self.elsewhere
        return self.inside / counted if counted > 0 else 0.0

    @property
    def passed(self) -> bool | None:
        """Whether enough of the map lies inside; None without a limit. A flat map does not pass."""
        return None if self.limit is None else self.share >= self.limit and not self.flat


def judge(explanation: Explanation, roi: Roi, limit: float | None = None) -> RoiVerdict:
    """Return how much of the map keeps to ``roi``, and whether that is at least ``limit`` (0..1).

    Raises RoiError as ``Roi.on``, and SettingError for a limit out of range.
    """
    check_limit(limit)
    frame = explanation.frame
    zones = roi.on((frame.height, frame.width))
    on_frame = np.nan_to_num(explanation.saliency_on_frame(), nan=0.0, posinf=0.0, neginf=0.0)
    total = float(on_frame.sum(dtype=np.float64))
    inside, ignored = (
        float(on_frame[zone].sum(dtype=np.float64)) / total if total > 0 else 0.0
        for zone in (zones.inside, zones.ignore)
    )
    return RoiVerdict(
        name=roi.name,
        zones=zones,
        inside=inside,
        ignored=ignored,
        elsewhere=max(1 - inside - ignored, 0.0) if total > 0 else 0.0,
        flat=bool(explanation.saliency.max() == explanation.saliency.min()),
        limit=limit,
    )


def check_limit(limit: float | None) -> None:
    """Raise SettingError for a limit that no share can be."""
    if limit is not None and not 0 < limit <= 1:
        raise SettingError(
            f"{limit} is out of range",
            where="--roi-limit",
            hint="give a share above 0, up to 1; 0.5 asks for half of the map inside the region",
        )


def filled(polygons: tuple[Polygon, ...], frame_size: tuple[int, int]) -> Mask:
    """Return the union of ``polygons`` as a mask: the pixels whose centre lies inside one (even–odd rule).

    OpenCV's fillPoly also paints the outline, which makes every region up to a pixel larger.
    """
    height, width = frame_size
    union = np.zeros(frame_size, bool)
    columns = np.arange(width) + 0.5
    for polygon in polygons:
        mask = np.zeros(frame_size, bool)
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            first, last = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, height).astype(int)
            crossing = x0 + (np.arange(first, last) + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            mask[first:last] ^= columns >= crossing[:, None]
        union |= mask
    return union
