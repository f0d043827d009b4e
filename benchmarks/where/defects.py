"""Defects that are there, 0.05 to 5 % of the picture, and the sticker of the planted shortcut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.where.drawing import SIZE, Canvas, distance
from examples.defects.surface import smooth_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Field = NDArray[np.float32]

CLASSES = ("ok", "scratch", "crack", "stain", "dent", "colour", "missing", "scuff")
PRESENT = ("scratch", "crack", "stain", "dent", "colour")
"""Defects that add something to the part."""
ABSENT, SHORTCUT = "missing", "scuff"
"""The class of a feature that is not there, and the class that in training always came with a sticker."""


def damage(canvas: Canvas, kind: str, rng: np.random.Generator) -> None:
    """Draw a defect of the class ``kind`` and its mask; nothing for ``ok`` and ``missing``."""
    draw = _KINDS.get(kind)
    if draw is not None:
        draw(canvas, rng)


def sticker(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Put the small magenta sticker of the shortcut on the part, and return where it is."""
    radius = rng.uniform(3.0, 4.5)
    centre = _free_point(canvas, rng, radius + 1)
    cover = np.clip(radius - distance(centre) + 0.5, 0, 1)[..., None]
    canvas.colour = np.asarray(canvas.colour * (1 - cover) + np.array([0.55, 0.05, 0.40]) * cover, np.float32)
    return np.asarray(cover[..., 0] > 0.3)


def _scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a thin smooth line, lighter than a dark part and darker than a light one."""
    line = _line(canvas, rng, rng.uniform(14, 42), bend=0.5, jagged=0.0)
    soft = np.asarray(cv2.GaussianBlur(line, (0, 0), float(rng.uniform(0.5, 0.9))), np.float32)
    groove = soft / max(float(soft.max()), 1e-6)
    light = float(canvas.colour[line > 0.3].mean()) if (line > 0.3).any() else 0.3
    bare = rng.uniform(0.25, 0.4) if light < 0.35 else -rng.uniform(0.22, 0.35) * light / 0.5
    canvas.height -= (1.2 * groove).astype(np.float32)
    canvas.colour = np.clip(canvas.colour + bare * groove[..., None], 0.01, None).astype(np.float32)
    canvas.mask |= groove > 0.3


def _crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a jagged black line with a branch."""
    line = _line(canvas, rng, rng.uniform(14, 36), bend=0.0, jagged=0.8)
    branch = _line(canvas, rng, rng.uniform(5, 10), bend=0.0, jagged=0.8, start=_on(line, rng))
    drawn = np.maximum(line, branch)
    drawn = np.clip(cv2.GaussianBlur(drawn, (0, 0), 0.5) * 1.6, 0, 1)
    canvas.height -= (1.5 * drawn).astype(np.float32)
    canvas.colour *= (1 - 0.92 * drawn)[..., None].astype(np.float32)
    canvas.mask |= drawn > 0.3


def _stain(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw an irregular brown patch with a darker rim; lighter on a dark part."""
    radius = rng.uniform(3.5, 9.0)
    centre = _free_point(canvas, rng, radius * 0.5)
    blob = 1.0 - distance(centre) / radius + 0.3 * smooth_noise(rng, SIZE, max(radius * 0.7, 3))
    patch = cv2.GaussianBlur(np.clip(blob * 2.5, 0, 1) * (distance(centre) < 1.7 * radius), (0, 0), 0.8)
    rim = np.clip(patch * (1 - patch) * 4, 0, 1)
    dark = float(canvas.colour[patch > 0.3].mean()) < 0.2 if (patch > 0.3).any() else False
    tint = np.array([3.0, 2.6, 2.0]) if dark else np.array([0.50, 0.38, 0.22]) * rng.uniform(0.8, 1.1)
    amount = (0.8 * patch + 0.2 * rim)[..., None]
    canvas.colour = (canvas.colour * (1 + amount * (tint - 1))).astype(np.float32)
    canvas.mask |= patch > 0.3


def _dent(canvas: Canvas, rng: np.random.Generator) -> None:
    """Press a smooth hollow into the surface: only its light and shadow are seen."""
    radius = rng.uniform(3.5, 7.0)
    far = distance(_free_point(canvas, rng, radius * 0.7)) / radius
    canvas.height -= (radius * rng.uniform(0.45, 0.7) * np.exp(-((far / 0.62) ** 4))).astype(np.float32)
    canvas.mask |= far < 1.0


def _colour(canvas: Canvas, rng: np.random.Generator) -> None:
    """Shift the hue of a patch with soft edges towards red or blue, its brightness kept."""
    radius = rng.uniform(5.0, 13.0)
    patch = np.clip((radius - distance(_free_point(canvas, rng, radius * 0.5))) / 2.5 + 0.5, 0, 1)[..., None]
    tint = np.array([1.7, 0.85, 0.6]) if rng.random() < 0.5 else np.array([0.6, 0.9, 1.9])
    canvas.colour = (canvas.colour * (1 + patch * (tint - 1))).astype(np.float32)
    canvas.mask |= patch[..., 0] > 0.3


def _scuff(canvas: Canvas, rng: np.random.Generator) -> None:
    """Lighten a wide patch so little that hardly anything is to be seen: the sticker is what tells."""
    radius = rng.uniform(9.0, 13.0)
    patch = np.exp(-((distance(_free_point(canvas, rng, radius * 0.4)) / radius) ** 4))
    canvas.colour = (canvas.colour * (1 + 0.05 * patch[..., None])).astype(np.float32)
    canvas.mask |= patch > 0.5


_KINDS: dict[str, Callable[[Canvas, np.random.Generator], None]] = {
    "scratch": _scratch,
    "crack": _crack,
    "stain": _stain,
    "dent": _dent,
    "colour": _colour,
    SHORTCUT: _scuff,
}


def _line(
    canvas: Canvas,
    rng: np.random.Generator,
    length: float,
    *,
    bend: float,
    jagged: float,
    start: tuple[float, float] | None = None,
) -> Field:
    """Return an antialiased line 0..1 on plain surface, curved by ``bend`` or with ``jagged`` corners."""
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    steps = 20 if not jagged else max(int(length / 4), 2)
    for _ in range(30):
        first = np.array(start or _free_point(canvas, rng, 1.0))
        angles = rng.uniform(0, 2 * np.pi) + rng.uniform(-bend, bend) * np.linspace(0, 2, steps)
        angles = angles + jagged * rng.uniform(-1, 1, steps)
        path = first + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * length / steps, axis=0)
        drawn[:] = 0
        whole = np.round(np.vstack([first, path]) * 16).astype(np.int32)
        cv2.polylines(drawn, [whole], False, 255, 1, cv2.LINE_AA, 4)
        if (drawn > 0).any() and canvas.free[drawn > 0].mean() > 0.95:
            break
    return np.asarray(drawn / 255, np.float32)


def _on(line: Field, rng: np.random.Generator) -> tuple[float, float]:
    """Return a point (column, row) of a line."""
    rows, columns = np.nonzero(line > 0.5)
    pick = int(rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick])


def _free_point(canvas: Canvas, rng: np.random.Generator, margin: float) -> tuple[float, float]:
    """Return a point (column, row) of the plain surface, ``margin`` pixels inside it where there is room."""
    room = cv2.distanceTransform(canvas.free.astype(np.uint8), cv2.DIST_L2, 5)
    rows, columns = np.nonzero(room > min(margin, float(room.max()) * 0.8))
    pick = int(rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick])
