"""Registration: how a part lies relative to good parts, found from its edges.

Good parts of one kind have the same holes, edges and letters, and other textures, light and noise. So what is
compared is the smoothed magnitude of the grey's gradient, on at most ``WORKING`` pixels. A coarse search over
turns and scales finds the shift by cross-correlation (in the frequency domain); Gauss-Newton steps refine the
best of it, on a blurred copy first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from gagrad_runtime.reference.motion import FARTHEST_SCALE, FARTHEST_TURN, REACH, Motion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

FEATURES = 2
"""Kinds of structure that are compared: edges, and grey less its surroundings."""
WORKING = 160
"""Longer side of the copies that are compared, in pixels; smaller images stay as they are."""
_COARSE = 64
"""Longer side in the coarse search."""
_TURNS = np.radians(np.arange(-6.0, 6.5, 1.5))
_SCALES = (0.95, 1.0, 1.05)
_STARTS = 3
"""Results of the coarse search that are refined."""
_STEPS = 12
_BORDER = cv2.BORDER_REFLECT_101
_SURROUNDINGS = 8
"""Size of the surroundings that the grey is compared with, in units of the smoothing."""
_TINY, _ENOUGH = 1e-6, 1e-4
_ROUGH = 3.0
"""Blur of the first level of the refinement, pixels; that level has half as many rows and columns."""


def structure(grey: Array) -> Array:
    """Return what is compared of ``grey [H, W]``: [h, w, 2], longer side at most ``WORKING``.

    The smoothed magnitude of the gradient, and the grey less its surroundings, each with deviation 1.
    """
    shrink = WORKING / max(grey.shape)
    if shrink < 1:
        size = (max(round(grey.shape[1] * shrink), 1), max(round(grey.shape[0] * shrink), 1))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    sigma = max(grey.shape) / 100
    smooth = _blurred(grey, sigma)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, borderType=_BORDER)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, borderType=_BORDER)
    edges = _blurred(np.sqrt(across**2 + down**2), sigma)
    relief = smooth - _blurred(grey, _SURROUNDINGS * sigma)
    return np.stack([_levelled(edges), _levelled(relief)], axis=2)


def _levelled(values: Array) -> Array:
    spread = float(values.std())
    return np.asarray((values - values.mean()) / spread if spread > 0 else np.zeros_like(values), np.float32)


Freedom = Literal["nothing", "shift", "shift, turn and scale"]
"""What may differ between how parts lie: parts in a fixture lie still, round ones have no turn."""


@dataclass(frozen=True)
class Template:
    """The structure that parts are registered to."""

    values: Array
    """[h, w, F] as ``structure`` returns it, or the mean over parts."""
    freedom: Freedom = "shift, turn and scale"
    """What may differ between parts."""

    @cached_property
    def _coarse(self) -> NDArray[np.complex64]:
        return np.conj(np.fft.rfft2(_windowed(_small(self.values)), axes=(0, 1)))

    @cached_property
    def _levels(self) -> tuple[_Level, _Level]:
        free = 4 if self.freedom == "shift, turn and scale" else 2
        return _Level(_halved(self.values), free), _Level(self.values, free)

    def register(
        self, values: Array, near: Motion | None = None, *, enough: float = math.inf
    ) -> tuple[Motion, float]:
        """Return how the part with the structure ``values [h, w, F]`` lies, and its correlation there.

        ``near`` is where to begin, in place of the coarse search. A part that is found close by with the
        correlation ``enough`` needs no such search either.
        """
        if self.freedom == "nothing":
            return Motion(), self.correlation(values, Motion())
        halved, fine = _with_ones(_halved(values)), _with_ones(values)
        rough, exact = self._levels
        best, found = near or Motion(), -1.0
        for start in [best] if near is not None or enough < math.inf else []:
            best = exact.refined(fine, rough.refined(halved, start))
            found = self.correlation(values, best)
        if near is not None or found >= enough:
            return best, found
        tried = [rough.refined(halved, start) for start in self._starts(values)]
        best = exact.refined(fine, max(tried, key=lambda motion: self.correlation(values, motion)))
        return best, self.correlation(values, best)

    def correlation(self, values: Array, motion: Motion) -> float:
        """Return the correlation of the part with the template where both are seen, −1..1."""
        moved, seen = motion.onto_template(values), motion.seen(values.shape[:2])
        here, wanted = moved[seen], self.values[seen]
        return float(np.mean([correlation(here[:, k], wanted[:, k]) for k in range(here.shape[1])]))

    def _starts(self, values: Array) -> list[Motion]:
        """Return the best motions of a coarse search, the best first, and no motion before them."""
        small = _small(values)
        height, width = small.shape[:2]
        side = max(height, width)
        reach = max(round(REACH * side), 1)
        rows, columns = np.fft.fftfreq(height, 1 / height), np.fft.fftfreq(width, 1 / width)
        near = (np.abs(rows) <= reach)[:, None] & (np.abs(columns) <= reach)
        found: list[tuple[float, Motion]] = []
        turning = self.freedom == "shift, turn and scale"
        for scale in _SCALES if turning else (1.0,):
            for turn in _TURNS if turning else (0.0,):
                moved = Motion(0, 0, float(turn), scale).onto_template(small)
                spectrum = np.fft.rfft2(_windowed(moved), axes=(0, 1)) * self._coarse
                power = np.fft.irfft2(spectrum.sum(axis=2), (height, width))
                power = np.where(near, power, -np.inf)
                row, column = divmod(int(power.argmax()), width)
                # The shift was found on the turned copy: turned back it is the motion's.
                y, x = float(rows[row]) / side, float(columns[column]) / side
                cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
                motion = Motion(cosine * x - sine * y, sine * x + cosine * y, float(turn), scale)
                found.append((float(power[row, column]), motion))
        found.sort(key=lambda one: -one[0])
        return [Motion(), *(motion for _, motion in found[:_STARTS])]


class _Level:
    """The template at one blur, and how it changes with x, y, turn and scale."""

    def __init__(self, values: Array, free: int) -> None:
        height, width, features = values.shape
        side = max(height, width)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)[..., None]
        rows, columns = (rows - (height - 1) / 2) / side, (columns - (width - 1) / 2) / side
        down, across = (slope * side for slope in np.gradient(values, axis=(0, 1)))
        turned, scaled = down * columns - across * rows, across * columns + down * rows
        slopes = np.stack([across, down, turned, scaled][:free]).reshape(free, -1, features)
        slopes -= slopes.mean(axis=1, keepdims=True)
        self._slopes = slopes.reshape(free, -1)
        self._wanted = (values - values.mean(axis=(0, 1))).reshape(-1, features)
        self._spread = np.maximum(values.std(axis=(0, 1)), _TINY)
        normal = (self._slopes @ self._slopes.T).astype(np.float64)
        self._inverse = np.linalg.inv(normal + np.diag(1e-6 * np.diag(normal) + 1e-12))

    def refined(self, values: Array, motion: Motion) -> Motion:
        """Return ``motion`` after Gauss-Newton steps that make the moved part like the template.

        ``values [h, w, F + 1]`` are the part's, with ones behind them. The slopes are the template's, so they
        are inverted once (inverse composition: Baker & Matthews, IJCV 2004).
        """
        for _ in range(_STEPS):
            moved = motion.onto_template(values, border=0.0).reshape(-1, values.shape[2])
            seen = (moved[:, -1] > 0.99).astype(np.float32)
            moved = moved[:, :-1] * seen[:, None]
            count = max(float(seen.sum()), 1.0)
            mean = seen @ moved / count
            spread = np.sqrt(np.maximum(np.einsum("nk,nk->k", moved, moved) / count - mean**2, _TINY**2))
            error = (moved - mean) * (self._spread / spread) - self._wanted
            error *= seen[:, None]
            step = self._inverse @ (self._slopes @ error.ravel())
            motion = _stepped(motion, step)
            if np.abs(step).max() < _ENOUGH:
                break
        return motion


def _halved(values: Array) -> Array:
    """Return ``values`` blurred, at half the size: motions are in shares of the side, so they stay."""
    size = (-(-values.shape[1] // 2), -(-values.shape[0] // 2))
    soft = _blurred(values, _ROUGH)
    return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _with_ones(values: Array) -> Array:
    return np.concatenate([values, np.ones_like(values[..., :1])], axis=2)


def _stepped(motion: Motion, step: NDArray[np.float64]) -> Motion:
    """Return ``motion`` after the inverse of a small motion of the template (inverse composition)."""
    x, y, turn, scale = (float(value) for value in (*step, 0.0, 0.0)[:4])
    x, y = np.clip([x, y], -0.05, 0.05)
    turn, scale = float(np.clip(turn, -0.05, 0.05)), float(np.clip(scale, -0.05, 0.05))
    cosine, sine = motion.scale * math.cos(motion.turn), motion.scale * math.sin(motion.turn)
    return Motion(
        float(np.clip(motion.x - (cosine * x - sine * y), -REACH, REACH)),
        float(np.clip(motion.y - (sine * x + cosine * y), -REACH, REACH)),
        float(np.clip(motion.turn - turn, -FARTHEST_TURN, FARTHEST_TURN)),
        float(np.clip(motion.scale * (1 - scale), 1 / FARTHEST_SCALE, FARTHEST_SCALE)),
    )


def correlation(first: Array, second: Array) -> float:
    """Return the correlation of two arrays of the same shape, −1..1; 0 where one is constant."""
    if first.size < 2:
        return 0.0
    a, b = first.astype(np.float64) - first.mean(), second.astype(np.float64) - second.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size > 0 else 0.0


def _small(values: Array) -> Array:
    height, width = values.shape[:2]
    shrink = _COARSE / max(height, width)
    if shrink >= 1:
        return values
    size = (max(round(width * shrink), 1), max(round(height * shrink), 1))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _windowed(values: Array) -> Array:
    """Return ``values [h, w, F]`` less their mean, faded out at the borders: their wrap-around is no edge."""
    height, width = values.shape[:2]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]) ** 0.5
    return np.asarray((values - values.mean(axis=(0, 1))) * window[..., None], np.float32)


def _blurred(values: Array, sigma: float) -> Array:
    return (
        values
        if sigma == 0
        else np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=_BORDER), np.float32)
    )
