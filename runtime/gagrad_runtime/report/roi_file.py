"""Reading a region of interest: a mask image, polygon JSON, or a file of the annotation tool labelme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from gagrad_edge.errors import FrameError, RoiError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.report.roi import Roi

if TYPE_CHECKING:
    from gagrad_runtime.report.roi import Mask, Polygon

_MOST_BYTES = 256 << 20
"""labelme keeps the image inside its file, so a large one is no mistake."""
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
