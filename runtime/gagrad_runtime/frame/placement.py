"""Placement: where the frame's pixels are in the model's image, and the way back onto the frame.

Each resize rule takes a window of the frame, resamples the window, and puts the result into the image at an
offset. Libraries that cut the centre resample the whole frame first; there the window is the frame. The way
back takes the same steps in reverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec, Resize

    Array = NDArray[np.float32]

_RED, _BLUE = 0.299, 0.114
"""ITU-R BT.601 luma (green is the rest, 0.587), as OpenCV and Pillow have it."""

_SLACK = 1e-6
"""Tolerance in frame pixels for rounding errors of edges."""


@dataclass(frozen=True)
class Placement:
    """Where the frame's pixels are in the model's image; sizes are (height, width), offsets (top, left).

    ``image[offset + r] = resample(frame[window], resized)[r]`` for every ``r`` that falls inside the image;
    the rest of the image is padding. Points are continuous (x, y): pixel 0 spans 0 to 1, its centre is 0.5.
    """

    rule: Resize
    frame_size: tuple[int, int]
    model_size: tuple[int, int]
    window: tuple[int, int, int, int]
    """(top, left, height, width) of the part of the frame that is resampled."""
    resized: tuple[int, int]
    """Size of the window after resampling."""
    offset: tuple[int, int]
    """Where the resampled part starts in the image: above 0 for padding, below 0 where it is cut."""

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per frame pixel, (vertical, horizontal)."""
        return self.resized[0] / self.window[2], self.resized[1] / self.window[3]

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """Part of the frame that the model sees: (left, top, right, bottom) in frame pixels."""
        return self.box_to_frame((0.0, 0.0, float(self.model_size[1]), float(self.model_size[0])))

    @property
    def on_model(self) -> tuple[slice, slice]:
        """Rows and columns of the image where the frame is; the rest is padding."""
        rows, columns = (
            slice(max(offset, 0), min(offset + length, limit))
            for offset, length, limit in zip(self.offset, self.resized, self.model_size, strict=True)
        )
        return rows, columns

    @property
    def seen_share(self) -> float:
        """Share of the frame's area that the model sees, 0..1; below 1 for ``crop`` only."""
        left, top, right, bottom = self.seen
        return (right - left) * (bottom - top) / (self.frame_size[0] * self.frame_size[1])

    def point_to_model(self, x: float, y: float) -> tuple[float, float]:
        """Return where the frame's point (x, y) is in the image; outside it if the model does not see it."""
        vertical, horizontal = self.scale
        return (
            (x - self.window[1]) * horizontal + self.offset[1],
            (y - self.window[0]) * vertical + self.offset[0],
        )

    def point_to_frame(self, x: float, y: float) -> tuple[float, float]:
        """Return where the image's point (x, y) is in the frame; outside it for a point in the padding."""
        # Multiplied before dividing, so that the image's edges come back as whole frame pixels.
        return (
            (x - self.offset[1]) * self.window[3] / self.resized[1] + self.window[1],
            (y - self.offset[0]) * self.window[2] / self.resized[0] + self.window[0],
        )

    def box_to_frame(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return the image's ``box`` (left, top, right, bottom) in frame pixels, cut at the frame's edges."""
        height, width = self.frame_size
        (left, top), (right, bottom) = self.point_to_frame(*box[:2]), self.point_to_frame(*box[2:])
        return (
            min(max(left, 0.0), float(width)),
            min(max(top, 0.0), float(height)),
            min(max(right, 0.0), float(width)),
            min(max(bottom, 0.0), float(height)),
        )

    def boxes_to_frame(self, boxes: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``boxes [n, 4]`` of the image in frame pixels, each as ``box_to_frame`` returns one."""
        height, width = self.frame_size
        corners = boxes.reshape(-1, 2, 2).astype(np.float64)
        offset, window = np.array(self.offset[::-1], float), np.array(self.window, float)
        corners = (corners - offset) * window[:1:-1] / np.array(self.resized[::-1], float) + window[1::-1]
        cut: NDArray[np.float64] = np.clip(corners, 0, (width, height)).reshape(-1, 4)
        return cut

    def to_frame(self, saliency: Array) -> Array:
        """Return the map ``saliency [H, W]`` (model size) at the frame's size, 0 where the model saw nothing.

        Bilinear where the frame is finer than the model, the mean over the area where it is coarser; never
        outside the values of ``saliency``. A map that has the frame's size already is returned unchanged.
        """
        (top, left, height, width), (rows, columns) = self.window, self.resized
        above, before = self.offset
        # Of the resampled window the map holds only what lies inside the image; beyond it, for `crop`, the
        # border value goes on so that the last seen pixel is interpolated as well as the others.
        part = saliency[max(above, 0) : above + rows, max(before, 0) : before + columns]
        missing = (
            (max(-above, 0), max(rows + above - self.model_size[0], 0)),
            (max(-before, 0), max(columns + before - self.model_size[1], 0)),
        )
        part = np.pad(part, missing, mode="edge")
        on_window = resample(part, (height, width))
        if (height, width) == self.frame_size and not np.any(missing):
            return on_window
        on_frame = np.zeros(self.frame_size, np.float32)
        on_frame[top : top + height, left : left + width] = on_window
        first_row, after_row = self._seen_range(0)
        first_column, after_column = self._seen_range(1)
        on_frame[:first_row] = on_frame[after_row:] = 0
        on_frame[:, :first_column] = on_frame[:, after_column:] = 0
        return on_frame

    def share_on_frame(self, saliency: Array) -> float:
        """Return the share of the map's sum, 0..1, that lies on the frame and not on the padding.

        1 for a map that is 0 everywhere.
        """
        (top, left), (height, width) = (max(offset, 0) for offset in self.offset), self.resized
        total = float(saliency.sum(dtype=np.float64))
        inside = float(saliency[top : top + height, left : left + width].sum(dtype=np.float64))
        return inside / total if total > 0 else 1.0

    def _seen_range(self, axis: int) -> tuple[int, int]:
        """Return the first row (axis 0) or column that is at least partly seen, and one past the last."""
        scale, offset, start = self.scale[axis], self.offset[axis], self.window[axis]
        edges = (0 - offset) / scale + start, (self.model_size[axis] - offset) / scale + start
        return max(math.floor(edges[0] + _SLACK), 0), min(math.ceil(edges[1] - _SLACK), self.frame_size[axis])


def place(frame_size: tuple[int, int], spec: InputSpec) -> Placement:
    """Return where a frame of ``frame_size`` (height, width) lies in the image of ``spec``."""
    size = (spec.height, spec.width)
    ratios = (size[0] / frame_size[0], size[1] / frame_size[1])
    window, resized, offset = (0, 0, *frame_size), size, (0, 0)
    if spec.resize == "letterbox":
        resized = (
            _fitted(frame_size[0], min(ratios), size[0]),
            _fitted(frame_size[1], min(ratios), size[1]),
        )
        if spec.pad_place == "centre":
            offset = ((size[0] - resized[0]) // 2, (size[1] - resized[1]) // 2)
    elif spec.resize == "crop" and (spec.resize_to or spec.crop_ratio or spec.semantics):
        resized = _covering(frame_size, spec)
        offset = (_centred(resized[0], size[0]), _centred(resized[1], size[1]))
    elif spec.resize == "crop":
        rows = _cut(frame_size[0], max(ratios), size[0])
        columns = _cut(frame_size[1], max(ratios), size[1])
        window = (rows[0], columns[0], rows[1], columns[1])
        resized, offset = (rows[2], columns[2]), (rows[3], columns[3])
    return Placement(spec.resize, frame_size, size, window, resized, offset)


def resample(channel: NDArray[Any], size: tuple[int, int]) -> Array:
    """Return ``channel [h, w]`` as float32 of ``size``; of the same size it keeps its values exactly.

    Each axis that shrinks is averaged over the area, each that grows is interpolated linearly. OpenCV does
    the first only when both axes shrink, so the two are separate steps.
    """
    pixels: Any = np.asarray(channel, np.float32)
    smaller = (min(size[0], pixels.shape[0]), min(size[1], pixels.shape[1]))
    if smaller != pixels.shape:
        pixels = cv2.resize(pixels, smaller[::-1], interpolation=cv2.INTER_AREA)
    if size != smaller:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    resampled: Array = pixels
    return resampled


def _covering(frame_size: tuple[int, int], spec: InputSpec) -> tuple[int, int]:
    """Return the size of the whole frame before the centre is cut, rounded as torchvision and timm round."""
    ratio = spec.crop_ratio or 1.0
    cover = (math.floor(spec.height / ratio), math.floor(spec.width / ratio))
    if spec.resize_to is not None or cover[0] == cover[1]:
        shorter = spec.resize_to or cover[0]
        longer = int(shorter * max(frame_size) / min(frame_size))
        return (shorter, longer) if frame_size[0] <= frame_size[1] else (longer, shorter)
    scale = min(frame_size[0] / cover[0], frame_size[1] / cover[1])
    return round(frame_size[0] / scale), round(frame_size[1] / scale)


def _centred(length: int, wanted: int) -> int:
    """Return torchvision's offset of ``length`` pixels whose centre is cut, or padded, to ``wanted``."""
    return (wanted - length) // 2 if length <= wanted else -round((length - wanted) / 2)


def _fitted(length: int, scale: float, limit: int) -> int:
    return min(max(round(length * scale), 1), limit)


def _cut(length: int, scale: float, limit: int) -> tuple[int, int, int, int]:
    """Return (start, length, resized length, offset) of the centre cut along one axis.

    Only what the image needs is resampled: resampling the whole of a very long frame, to cut it
    afterwards, could take more memory than the frame itself. The cut is within half a pixel of the centre,
    of the frame's or the model's pixels, whichever are finer.
    """
    visible = limit / scale
    exact = (length - visible) / 2
    if scale <= 1 or exact <= 0:
        return round(exact), round(visible), limit, 0
    # When it grows, half a frame pixel is many model pixels: enlarge one more on each side, then cut.
    start = max(math.floor(exact) - 1, 0)
    stop = min(math.ceil(exact + visible) + 1, length)
    resized = max(round((stop - start) * scale), limit)
    offset = -min(max(round((exact - start) * scale), 0), resized - limit)
    return start, stop - start, resized, offset
