"""Region of interest: where the map should lie, and the shares of a map inside and outside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from gagrad_edge.errors import FrameError, RoiError, SettingError
from gagrad_runtime.frame import load_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

    Mask = NDArray[np.bool_]
    Polygon = NDArray[np.float64]


@dataclass(frozen=True)
class Zones:
    """A region of interest on one frame: bool [H, W] each, without overlap."""

    inside: Mask
    """True where the map should lie."""
    ignore: Mask
    """True where the map is not counted."""


@dataclass(frozen=True)
class Roi:
    """A region of interest as it was given; ``read_roi`` reads one from a file.

    Polygons are ``[n, 2]``, points (x, y) in frame pixels: pixel 0 spans 0 to 1. Where an ignore zone covers
    the inside, it is ignored.
    """

    name: str
    """The file's path as it was given."""
    inside: tuple[Polygon, ...] = ()
    """Polygons around where the map should lie."""
    ignore: tuple[Polygon, ...] = ()
    """Polygons around what is not counted."""
    mask: Mask | None = None
    """The inside as a mask, bool [H, W], instead of polygons."""
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
                f"it is for frames {height} high and {width} wide, and this one is {frame_size[0]} high and "
                f"{frame_size[1]} wide",
                where=self.name,
                hint="draw the region again on a frame of this size",
            )
        ignore = filled(self.ignore, frame_size)
        inside = (filled(self.inside, frame_size) if self.mask is None else self.mask) & ~ignore
        if not inside.any():
            raise RoiError(
                f"nothing of the region lies on a frame {frame_size[0]} high and {frame_size[1]} wide",
                where=self.name,
                hint="coordinates are x, y in frame pixels from the upper left; "
                "ignore zones take precedence over the inside",
            )
        self._filled.clear()
        return self._filled.setdefault(frame_size, Zones(inside, ignore))


@dataclass(frozen=True)
class RoiResult:
    """Shares of a map inside the region, in ignore zones and elsewhere; together 1.

    The map is ``saliency_on_frame``. All three shares are 0 for a map that is 0 on the whole frame.
    """

    name: str
    """The region's file as it was given."""
    zones: Zones
    """The region on this frame."""
    inside: float
    """Share of the map inside the region, 0..1."""
    ignored: float
    """Share of the map in ignore zones, 0..1."""
    elsewhere: float
    """Share of the map anywhere else, 0..1."""
    flat: bool
    """Whether the map has the same value everywhere and so says nothing."""
    limit: float | None = None
    """Share of what is not ignored that must lie inside, 0..1; None without a limit."""

    @property
    def share(self) -> float:
        """Share of the mass outside ignore zones that lies inside the region, 0..1; 0 when there is none."""
        counted = self.inside + self.elsewhere
        return self.inside / counted if counted > 0 else 0.0

    @property
    def passed(self) -> bool | None:
        """Whether enough of the map lies inside; None without a limit. A flat map does not pass."""
        return None if self.limit is None else self.share >= self.limit and not self.flat


def roi_result(explanation: Explanation, roi: Roi, limit: float | None = None) -> RoiResult:
    """Return the shares of the map inside and outside ``roi``; ``limit`` (0..1) is what must lie inside.

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
    return RoiResult(
        name=roi.name,
        zones=zones,
        inside=inside,
        ignored=ignored,
        elsewhere=max(1 - inside - ignored, 0.0) if total > 0 else 0.0,
        flat=bool(explanation.saliency.max() == explanation.saliency.min()),
        limit=limit,
    )


def check_limit(limit: float | None) -> None:
    """Raise SettingError unless ``limit`` is None or a share above 0, up to 1."""
    if limit is not None and not 0 < limit <= 1:
        raise SettingError(
            f"{limit} is out of range",
            where="roi_limit",
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


_MOST_BYTES = 256 << 20
"""Largest JSON file; labelme stores the image inside, so large files are common."""


_FORMS = ('{"inside": [[[x, y], ...], ...], "ignore": [...]}', "a labelme file", "a mask image")


Points = list[tuple[float, float]]


class _Polygons(msgspec.Struct, forbid_unknown_fields=True):
    inside: list[Points]
    ignore: list[Points] = []


class _Shape(msgspec.Struct):
    label: str
    points: Points
    shape_type: Literal["polygon", "rectangle"] = "polygon"


class _Labelme(msgspec.Struct, rename={"height": "imageHeight", "width": "imageWidth"}):
    shapes: list[_Shape]
    height: int | None = None
    width: int | None = None


def read_roi(path: str | Path) -> Roi:
    """Return the region of interest in the file ``path``. Raises RoiError.

    A mask image (PNG, TIFF, BMP: not 0 is inside) fits frames of its own size. JSON holds polygons with
    points (x, y) in frame pixels: ``{"inside": [polygon, ...], "ignore": [polygon, ...]}``, or labelme's
    ``shapes`` (polygons and rectangles), of which those labelled ``ignore`` are ignore zones and all others
    inside.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        mask = read_mask(path)
        if not mask.any():
            raise RoiError("the mask is 0 everywhere", where=str(path), hint="paint the inside white")
        return Roi(str(path), mask=mask, frame_size=(mask.shape[0], mask.shape[1]))
    data = _bytes(path)
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if "shapes" in fields:
            return _labelme(path, msgspec.json.decode(data, type=_Labelme))
        found = msgspec.json.decode(data, type=_Polygons)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RoiError(
            f"the file is no region of interest: {error}", where=str(path), choices=_FORMS
        ) from error
    return Roi(str(path), _polygons(path, found.inside), _polygons(path, found.ignore))


def read_mask(path: Path) -> Mask:
    """Return the mask image ``path`` as bool [H, W], true where it is not 0. Raises RoiError."""
    try:
        pixels = load_frame(path).pixels
    except FrameError as error:
        raise RoiError(error.what, where=error.where, hint=error.hint, choices=error.choices) from error
    mask: Mask = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
    return mask


def _labelme(path: Path, found: _Labelme) -> Roi:
    inside: list[Points] = []
    ignore: list[Points] = []
    for shape in found.shapes:
        points = shape.points
        if shape.shape_type == "rectangle" and len(points) == 2:
            (x0, y0), (x1, y1) = points
            points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        (ignore if shape.label.strip().lower() == "ignore" else inside).append(points)
    size = (found.height, found.width) if found.height and found.width else None
    return Roi(str(path), _polygons(path, inside), _polygons(path, ignore), frame_size=size)


def _polygons(path: Path, found: list[Points]) -> tuple[Polygon, ...]:
    few = next((points for points in found if len(points) < 3), None)
    if few is not None:
        raise RoiError(
            f"a polygon has {len(few)} points and encloses nothing",
            where=str(path),
            hint="give every polygon three points or more",
        )
    return tuple(np.array(points, np.float64) for points in found)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RoiError(f"the file cannot be read ({reason})", where=str(path)) from error
    if len(data) > _MOST_BYTES:
        raise RoiError(f"the file has more than {_MOST_BYTES >> 20} MiB", where=str(path), choices=_FORMS)
    return data
