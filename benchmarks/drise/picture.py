"""The picture on the page: frame, both D-RISE maps and our map, first of a detection that agrees, then of those that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

import gagrad_runtime
from benchmarks.table import DOCS
from gagrad_runtime.explanation.places import soften

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.drise.comparing import Compared, Point
    from benchmarks.drise.measuring import Masked
    from benchmarks.drise.subjects import Subject

    Array = NDArray[np.float32]
    Frame = NDArray[np.uint8]

MOST = 5
"""Rows of detections that differ."""
YELLOW, WHITE, RED = (255, 255, 0), (255, 255, 255), (255, 0, 0)


def write_picture(name: str, subject: Subject, frames: Sequence[Masked], rows: Sequence[Compared]) -> None:
    """Write ``docs/NAME.jpg``."""
    apart = [one for one in rows if not one.agrees]
    chosen = [one for one in rows if one.agrees][:1] + apart[:MOST]
    known = {masked.number: masked for masked in frames}
    with gagrad_runtime.load(subject.bundle()) as explainer:
        strips = []
        for one in chosen:
            masked = known[one.frame]
            ours, _ = soften(explainer.explain(masked.frame, detection=one.detection).saliency)
            maps = masked.maps[0, one.detection - 1], masked.grey[one.detection - 1], ours
            shown = [_boxed(masked.frame, one.box), *(_coloured(each) for each in maps)]
            strips.append(np.hstack([_marked(each, one.ours, one.theirs) for each in shown]))
    cv2.imwrite(str(DOCS / f"{name}.jpg"), np.vstack(strips)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def _boxed(frame: Frame, box: Sequence[float]) -> Frame:
    left, top, right, bottom = (round(edge) for edge in box)
    return np.asarray(cv2.rectangle(frame.copy(), (left, top), (right, bottom), YELLOW, 1), np.uint8)


def _coloured(saliency: Array) -> Frame:
    low, high = float(saliency.min()), float(saliency.max())
    grey = np.round((saliency - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1], np.uint8)


def _marked(image: Frame, ours: Point, theirs: Point) -> Frame:
    drawn = np.ascontiguousarray(image)
    cv2.circle(drawn, (int(ours[0]), int(ours[1])), 5, RED, 1, cv2.LINE_AA)
    cv2.drawMarker(drawn, (int(theirs[0]), int(theirs[1])), WHITE, cv2.MARKER_CROSS, 9)
    return np.asarray(drawn, np.uint8)
