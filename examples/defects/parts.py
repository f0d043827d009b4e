"""Rendered pictures of machined parts under an inspection camera, with the masks of their defects.

``part(seed, index)`` always makes the same picture: all random numbers come from a Philox generator keyed by
seed and index, so test sets of any size need no storage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from examples.defects.surface import MATERIALS, Material, grain, lit, photographed, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.float32]
    Mask = NDArray[np.bool_]

CLASSES = ("ok", "scratch", "dent", "stain", "missing-hole")
BOX_MARGIN = 3
"""Pixels between a defect and its box: without them a scratch along a row has a box three pixels high."""


@dataclass(frozen=True)
class Part:
    """A picture uint8 ``[size, size, 3]`` (RGB), its class, and the defect's mask (bool ``[size, size]``)."""

    image: NDArray[np.uint8]
    label: int
    mask: Mask
    material: str


@dataclass(frozen=True)
class Defect:
    """One defect of a part: its class, an index into CLASSES, and where it is (bool ``[size, size]``)."""

    label: int
    mask: Mask

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels, with the margin that a person leaves who draws a box."""
        rows, columns = np.nonzero(self.mask)
        left, top = max(columns.min() - BOX_MARGIN, 0), max(rows.min() - BOX_MARGIN, 0)
        right, bottom = columns.max() + 1 + BOX_MARGIN, rows.max() + 1 + BOX_MARGIN
        size = len(self.mask)
        return float(left), float(top), float(min(right, size)), float(min(bottom, size))


@dataclass(frozen=True)
class DefectivePart:
    """A picture uint8 ``[size, size, 3]`` (RGB) and its defects, none to three."""

    image: NDArray[np.uint8]
    defects: tuple[Defect, ...]
    material: str


@dataclass
class _Scene:
    """A part while it is drawn; all arrays are ``[size, size]``."""

    rng: np.random.Generator
    size: int
    material: Material
    inside: Field
    """Signed distance to the part's outline in pixels, positive on the part."""
    height: Field
    albedo: NDArray[np.float32]
    free: Mask
    """Flat surface, away from holes and edges, where a defect can lie."""
    mask: Mask
    holes: list[tuple[float, float]]
    hole_radius: float


def part(
    seed: int, index: int, size: int = 288, label: int | None = None, material: str | None = None
) -> Part:
    """Return part ``index`` of the series ``seed``; class and material are drawn unless they are given."""
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
    drawn, chosen = int(rng.integers(len(CLASSES))), MATERIALS[int(rng.integers(len(MATERIALS)))]
    label = drawn if label is None else label
    if material is not None:
        chosen = next(known for known in MATERIALS if known.name == material)
    scene = _blank(rng, size, chosen)
    _drill(scene, missing=CLASSES[label] == "missing-hole")
    _dust(scene)
    _damage(scene, CLASSES[label])
    light = lit(rng, scene.height, scene.albedo, chosen)
    return Part(photographed(rng, light), label, scene.mask, chosen.name)


def defective_part(
    seed: int, index: int, size: int = 288, labels: tuple[int, ...] | None = None, material: str | None = None
) -> DefectivePart:
    """Return part ``index`` of the series ``seed`` with the defects ``labels``, which do not overlap.

    Without ``labels``, none to three are drawn; at most one hole is missing.
    """
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
    count = int(rng.choice(4, p=(0.15, 0.35, 0.3, 0.2)))
    drawn = tuple(int(label) for label in rng.integers(1, len(CLASSES), count))
    chosen = MATERIALS[int(rng.integers(len(MATERIALS)))]
    if material is not None:
        chosen = next(known for known in MATERIALS if known.name == material)
    hole = CLASSES.index("missing-hole")
    labels = drawn if labels is None else labels
    scene = _blank(rng, size, chosen)
    _drill(scene, missing=hole in labels)
    defects = [Defect(hole, scene.mask)] if hole in labels else []
    _dust(scene)
    for label in labels:
        if label == hole:
            continue
        if defects:
            taken = cv2.dilate(defects[-1].mask.astype(np.uint8), np.ones((9, 9), np.uint8))
            scene.free &= taken == 0
        scene.mask = np.zeros((size, size), bool)
        _damage(scene, CLASSES[label])
        defects.append(Defect(label, scene.mask))
    light = lit(rng, scene.height, scene.albedo, chosen)
    return DefectivePart(photographed(rng, light), tuple(defects), chosen.name)


def _damage(scene: _Scene, kind: str) -> None:
    """Draw a defect of the class ``kind`` on the surface; a missing hole is none that can be drawn there."""
    if kind == "scratch":
        _scratch(scene)
    elif kind == "dent":
        _dent(scene)
    elif kind == "stain":
        _stain(scene)


def _blank(rng: np.random.Generator, size: int, material: Material) -> _Scene:
    """Return a flange or a plate with chamfered edges on a conveyor, without holes."""
    angle = rng.uniform(0, 2 * np.pi)
    scale = size * rng.uniform(0.92, 1.04)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    x = x - size / 2 - rng.uniform(-0.03, 0.03) * size
    y = y - size / 2 - rng.uniform(-0.03, 0.03) * size
    flange = rng.random() < 0.5
    if not flange:
        angle = rng.uniform(-0.2, 0.2)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    if flange:
        inside = 0.42 * scale - np.hypot(u, v)
        centres = [(0.29 * scale * np.cos(a), 0.29 * scale * np.sin(a)) for a in np.arange(4) * np.pi / 2]
    else:
        corner = 0.06 * scale
        du, dv = np.abs(u) - (0.42 * scale - corner), np.abs(v) - (0.36 * scale - corner)
        inside = corner - np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) - np.minimum(np.maximum(du, dv), 0)
        centres = [(s * 0.31 * scale, t * 0.25 * scale) for s in (-1, 1) for t in (-1, 1)]
    bore = np.hypot(u, v) - rng.uniform(0.09, 0.12) * scale
    inside = np.minimum(inside, bore).astype(np.float32)
    on_part = np.clip(inside + 0.5, 0, 1)[..., None]
    colour = np.array(material.colour, np.float32) * rng.uniform(0.85, 1.15)
    belt = np.array([1.0, 1.0, 1.02], np.float32) * rng.choice([0.035, 0.09, 0.30])
    floor = belt * (1 + 0.08 * smooth_noise(rng, size, 3)[..., None])
    shade = np.clip(1 - 0.6 * np.exp(np.minimum(inside, 0) / 9), 0.35, 1)[..., None]
    tone = 1 + 0.03 * smooth_noise(rng, size, 60)[..., None]
    return _Scene(
        rng=rng,
        size=size,
        material=material,
        inside=inside,
        height=(3.0 * np.clip(inside / 4.0, 0, 1) + grain(rng, material, size) * on_part[..., 0]).astype(
            np.float32
        ),
        albedo=(colour * tone * on_part + floor * shade * (1 - on_part)).astype(np.float32),
        free=inside > 0.035 * size,
        mask=np.zeros((size, size), bool),
        holes=[_to_image(c, angle, x, y, size) for c in centres],
        hole_radius=float(rng.uniform(0.040, 0.048) * scale),
    )


def _to_image(
    centre: tuple[float, float], angle: float, x: Field, y: Field, size: int
) -> tuple[float, float]:
    """Return a point of the part's own frame as (column, row)."""
    column = np.cos(angle) * centre[0] - np.sin(angle) * centre[1] - x[0, 0]
    row = np.sin(angle) * centre[0] + np.cos(angle) * centre[1] - y[0, 0]
    return float(np.clip(column, 0, size - 1)), float(np.clip(row, 0, size - 1))


def _drill(scene: _Scene, *, missing: bool) -> None:
    """Drill the bolt holes; leave one out when it is ``missing``."""
    left_out = int(scene.rng.integers(4)) if missing else None
    for number, centre in enumerate(scene.holes):
        distance = _distance(scene, centre) - scene.hole_radius
        if number == left_out:
            scene.mask |= distance < 1
            continue
        drilled = np.clip(0.5 - distance, 0, 1)
        scene.height -= (2.5 * np.clip((1.5 - distance) / 3, 0, 1)).astype(np.float32)
        scene.albedo *= (1 - 0.9 * drilled)[..., None]
        scene.free &= distance > 0.03 * scene.size


def _dust(scene: _Scene) -> None:
    """Put specks of dust and a faint machining ring on every part; they are not defects."""
    for _ in range(int(scene.rng.integers(0, 6))):
        centre = (float(scene.rng.uniform(0, scene.size)), float(scene.rng.uniform(0, scene.size)))
        speck = np.exp(-((_distance(scene, centre) / scene.rng.uniform(0.5, 1.0)) ** 2))
        scene.albedo += (speck * scene.rng.uniform(-0.05, 0.08))[..., None].astype(np.float32)
    if scene.rng.random() < 0.5:
        radius = scene.rng.uniform(0.16, 0.2) * scene.size
        ring = np.abs(_distance(scene, (scene.size / 2, scene.size / 2)) - radius)
        scene.height -= (0.4 * np.exp(-((ring / 1.2) ** 2)) * (scene.inside > 0)).astype(np.float32)


def _scratch(scene: _Scene) -> None:
    """Draw a curved groove with raised lips that shows the bare metal."""
    rng, size = scene.rng, scene.size
    line = np.zeros((size, size), np.uint8)
    for _ in range(50):
        start = np.array(_free_point(scene))
        heading, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.14, 0.32) * size
        bend = rng.uniform(-0.5, 0.5)
        steps = np.linspace(0, 1, 24)
        angles = heading + bend * steps
        path = start + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * length / 24, axis=0)
        line[:] = 0
        cv2.polylines(line, [np.round(path * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
        if scene.free[line > 0].mean() > 0.97:
            break
    width = float(rng.uniform(0.7, 1.3))
    groove = np.asarray(cv2.GaussianBlur(line.astype(np.float32) / 255, (0, 0), width), np.float32)
    groove /= groove.max()
    scene.height -= (rng.uniform(1.2, 2.2) * groove).astype(np.float32)
    bare = 0.30 if scene.albedo[scene.inside > 0].mean() < 0.35 else -0.22
    scene.albedo += (bare * groove)[..., None].astype(np.float32)
    scene.mask |= groove > 0.25


def _dent(scene: _Scene) -> None:
    """Press a smooth elliptical hollow into the surface, with a slight rim."""
    rng, size = scene.rng, scene.size
    radius = rng.uniform(0.028, 0.05) * size
    column, row = _free_point(scene, margin=radius * 0.6)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, squeeze = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
    u = np.cos(angle) * (x - column) + np.sin(angle) * (y - row)
    v = np.cos(angle) * (y - row) - np.sin(angle) * (x - column)
    distance = np.hypot(u, v / squeeze) / radius
    hollow = np.exp(-((distance / 0.62) ** 4)) - 0.18 * np.exp(-(((distance - 1.0) / 0.22) ** 2))
    scene.height -= (radius * rng.uniform(0.40, 0.60) * hollow).astype(np.float32)
    scene.mask |= distance < 1.1


def _stain(scene: _Scene) -> None:
    """Draw a stain of dried oil or coolant: an irregular darker patch with a darker rim."""
    rng, size = scene.rng, scene.size
    radius = rng.uniform(0.05, 0.09) * size
    column, row = _free_point(scene, margin=radius * 0.4)
    blob = 1.0 - _distance(scene, (column, row)) / radius + 0.35 * smooth_noise(rng, size, radius * 0.7)
    sharp = np.clip(blob * 2.2, 0, 1) * (scene.inside > 1)
    patch = np.asarray(cv2.GaussianBlur(sharp.astype(np.float32), (0, 0), 1.2), np.float32)
    # The stain is the area connected to its centre.
    _, pieces = cv2.connectedComponents((patch > 0.2).astype(np.uint8))
    patch = patch * (pieces == pieces[int(row), int(column)]) if pieces[int(row), int(column)] else patch
    rim = np.clip(patch * (1 - patch) * 4, 0, 1)
    tint = np.array([0.55, 0.42, 0.25], np.float32) * rng.uniform(0.8, 1.1)
    if scene.albedo[scene.inside > 0].mean() < 0.15:
        tint = np.array([2.6, 2.3, 1.9], np.float32)  # dried coolant is lighter than a dark part
    amount = (0.75 * patch + 0.25 * rim)[..., None]
    scene.albedo *= 1 + amount * (tint - 1)
    scene.mask |= patch > 0.3


def _free_point(scene: _Scene, margin: float = 0.0) -> tuple[float, float]:
    """Return a random (column, row) on the free surface, ``margin`` pixels inside it."""
    room = cv2.distanceTransform(scene.free.astype(np.uint8), cv2.DIST_L2, 5)
    rows, columns = np.nonzero(room > min(margin, float(room.max()) * 0.8))
    pick = int(scene.rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick])


def _distance(scene: _Scene, centre: tuple[float, float]) -> Field:
    y, x = np.mgrid[0 : scene.size, 0 : scene.size].astype(np.float32)
    return np.asarray(np.hypot(x - centre[0], y - centre[1]), np.float32)
