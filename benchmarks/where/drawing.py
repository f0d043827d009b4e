"""Draws one part of a design: another surface, light and noise in each shot, the features where the pose puts them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from examples.defects.surface import MATERIALS, Material, grain, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.where.designs import Design, Feature

    Field = NDArray[np.float32]
    Mask = NDArray[np.bool_]

SIZE = 128
"""Side of the pictures in pixels."""
SHARP = 3
"""Features are drawn this many times as large, and reduced."""


@dataclass(frozen=True)
class Pose:
    """How a part lies: shifted by ``x, y`` pixels and turned by ``angle`` degrees."""

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0

    @staticmethod
    def drawn(rng: np.random.Generator, shift: float = 5.0, angle: float = 3.0) -> Pose:
        """Return a pose within ``±shift`` pixels and ``±angle`` degrees."""
        x, y = rng.uniform(-shift, shift, 2)
        return Pose(float(x), float(y), float(rng.uniform(-angle, angle)))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the design is in the picture: column and row."""
        turn = np.deg2rad(self.angle)
        u, v = x * SIZE, y * SIZE
        return (
            float(np.cos(turn) * u - np.sin(turn) * v + SIZE / 2 - 0.5 + self.x),
            float(np.sin(turn) * u + np.cos(turn) * v + SIZE / 2 - 0.5 + self.y),
        )


@dataclass
class Canvas:
    """A part while it is drawn; all arrays are ``[SIZE, SIZE]``, the colour with three channels, linear."""

    rng: np.random.Generator
    height: Field
    """Height of the surface in pixels."""
    colour: Field
    free: Mask
    """Plain surface, where a defect can lie."""
    mask: Mask
    """Where the defect is."""


def canvas(design: Design, rng: np.random.Generator, pose: Pose, missing: int | None) -> Canvas:
    """Return a part without defects, or without its feature number ``missing``, which is then the mask."""
    inside = _inside(design, pose)
    on_part = np.clip(inside + 0.5, 0, 1)
    height, colour = _surface(design, rng, pose)
    if design.outline != "full":
        belt = np.array([0.09, 0.09, 0.095], np.float32) * rng.uniform(0.9, 1.1)
        floor = belt * (1 + 0.08 * smooth_noise(rng, SIZE, 3)[..., None])
        shade = np.clip(1 - 0.6 * np.exp(np.minimum(inside, 0) / 5), 0.35, 1)[..., None]
        colour = colour * on_part[..., None] + floor * shade * (1 - on_part[..., None])
        height = height * on_part + 2.0 * np.clip(inside / 2.5, 0, 1)
    made = Canvas(
        rng,
        height.astype(np.float32),
        colour.astype(np.float32),
        inside > 0.04 * SIZE,
        np.zeros((SIZE, SIZE), bool),
    )
    for number, feature in enumerate((*design.features, *design.others)):
        alpha, layer, relief = _feature(feature, design)
        warp = _warp(feature, pose)
        cover = cv2.warpAffine(alpha, warp, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        if number == missing:
            made.mask |= cover > 0.3
            continue
        ink = cv2.warpAffine(layer, warp, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        bump = cv2.warpAffine(relief, warp, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        made.colour += np.asarray((ink - made.colour) * cover[..., None], np.float32)
        made.height += np.asarray(bump - 0.7 * cover * made.height, np.float32)
        made.free &= cv2.dilate(cover, np.ones((5, 5), np.uint8)) < 0.05
    return made


def distance(centre: tuple[float, float]) -> Field:
    """Return each pixel's distance ``[SIZE, SIZE]`` to a point (column, row)."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return np.asarray(np.hypot(x - centre[0], y - centre[1]), np.float32)


def _inside(design: Design, pose: Pose) -> Field:
    """Return the signed distance to the outline in pixels, positive on the part."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    turn = np.deg2rad(pose.angle)
    x, y = x - SIZE / 2 + 0.5 - pose.x, y - SIZE / 2 + 0.5 - pose.y
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    if design.outline == "disc":
        return np.asarray(0.43 * SIZE - np.hypot(u, v), np.float32)
    if design.outline == "full":
        y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        return np.minimum(np.minimum(x, SIZE - 1 - x), np.minimum(y, SIZE - 1 - y)) + 1
    return np.asarray(np.minimum(0.43 * SIZE - np.abs(u), 0.37 * SIZE - np.abs(v)), np.float32)


def _surface(design: Design, rng: np.random.Generator, pose: Pose) -> tuple[Field, Field]:
    """Return height and colour of the bare surface."""
    tone = (1 + 0.03 * smooth_noise(rng, SIZE, 30))[..., None]
    colour = np.asarray(np.array(design.colour) * rng.uniform(0.9, 1.1) * tone, np.float32)
    known = {material.name: material for material in MATERIALS}
    if design.surface in known:
        return grain(rng, known[design.surface], SIZE) * 0.8, colour
    if design.surface == "board":
        traces = cv2.warpAffine(_traces(design.name), _warp(None, pose), (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        return 0.3 * traces, np.asarray(colour * (1 + 0.9 * traces[..., None]), np.float32)
    if design.surface == "paper":
        plain = Material("paper", design.colour, 0.03, brushed=False, gloss=0.0, shininess=1)
        return grain(rng, plain, SIZE), colour
    if design.surface == "coffee.png":
        # A printed picture is the same on every part, and lies as the part lies.
        picture = cv2.warpAffine(
            _picture(design.surface),
            _warp(None, pose),
            (SIZE, SIZE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        lit = np.asarray(picture * tone * rng.uniform(0.9, 1.1), np.float32)
        return np.zeros((SIZE, SIZE), np.float32), lit
    texture = _picture(design.surface)
    side = int(rng.integers(180, 256))
    top, left = rng.integers(0, np.array(texture.shape[:2]) - side)
    crop = cv2.resize(
        texture[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA
    )
    grey = crop / crop.mean()
    return np.zeros((SIZE, SIZE), np.float32), np.asarray(colour * (0.35 + 0.65 * grey), np.float32)


@cache
def _picture(name: str) -> Field:
    """Return a picture of scikit-image's wheel, linear 0..1; only its file is read, it is not imported."""
    package = find_spec("skimage")
    folder = Path(str(package.origin)).parent / "data" if package else Path("skimage is not installed")
    found = cv2.imread(str(folder / name), cv2.IMREAD_COLOR_RGB)
    if found is None:
        raise FileNotFoundError(folder / name)
    if name == "coffee.png":
        found = cv2.resize(found[20:380, 60:420], (SIZE * SHARP, SIZE * SHARP), interpolation=cv2.INTER_AREA)
    return np.asarray((found / 255.0) ** 2.2, np.float32)


@cache
def _traces(name: str) -> Field:
    """Return a board's traces, 0..1, the same on every board of a design."""
    rng = np.random.default_rng(len(name))
    side = SIZE * SHARP
    drawn = np.zeros((side, side), np.float32)
    for _ in range(14):
        x, y = (int(value) for value in rng.integers(0, side, 2))
        for _ in range(3):
            step = int(rng.integers(-side // 3, side // 3))
            nx, ny = (x + step, y) if rng.random() < 0.5 else (x, y + step)
            cv2.line(drawn, (x, y), (nx, ny), 1.0, SHARP, cv2.LINE_AA)
            x, y = nx, ny
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), SHARP * 0.5), np.float32)


def _warp(feature: Feature | None, pose: Pose) -> NDArray[np.float64]:
    """Return the affine map from a drawing ``SHARP`` times as large to the picture."""
    turn = np.deg2rad(pose.angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / SHARP
    centre = np.array(pose.place(*((0.0, 0.0) if feature is None else (feature.x, feature.y))))
    middle = SIZE * SHARP if feature is None else _tile(feature)
    offset = centre - matrix @ np.full(2, (middle - 1) / 2)
    return np.hstack([matrix, offset[:, None]])


def _tile(feature: Feature) -> int:
    """Return the side of a feature's drawing in pixels."""
    return int(feature.size * SIZE * SHARP * 4) | 1


@cache
def _feature(feature: Feature, design: Design) -> tuple[Field, Field, Field]:
    """Return cover 0..1, colour and relief of a feature, drawn ``SHARP`` times as large."""
    side, r = _tile(feature), feature.size * SIZE * SHARP
    middle = (side - 1) / 2
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - middle
    if feature.turned:
        x, y = y, x
    cover, colour, relief = (
        np.zeros((side, side), np.float32),
        np.zeros((side, side, 3), np.float32),
        np.zeros((side, side), np.float32),
    )
    round_ = np.hypot(x, y)
    if feature.kind == "hole":
        cover = np.clip((r - round_) / SHARP + 0.5, 0, 1)
        colour[:] = 0.02
    elif feature.kind == "rivet":
        cover = np.clip((r - round_) / SHARP + 0.5, 0, 1)
        colour[:] = (0.62, 0.62, 0.60)
        relief = 2.2 * np.sqrt(np.clip(1 - (round_ / r) ** 2, 0, 1))
    elif feature.kind == "dot":
        cover = np.clip((r - round_) / SHARP + 0.5, 0, 1)
        colour[:] = (0.65, 0.08, 0.06)
    elif feature.kind == "capacitor":
        cover = np.clip((r - round_) / SHARP + 0.5, 0, 1)
        colour[:] = np.where((x > 0.35 * r)[..., None], 0.06, np.array([0.50, 0.51, 0.53]))
        relief = 1.0 * np.clip((r - round_) / (2 * SHARP), 0, 1)
    elif feature.kind == "resistor":
        far = np.maximum(np.abs(x) - 1.7 * r, np.abs(y) - r)
        cover = np.clip(-far / SHARP + 0.5, 0, 1)
        colour[:] = np.where((np.abs(x) > 1.1 * r)[..., None], 0.6, 0.04)
    elif feature.kind == "chip":
        body = np.maximum(np.abs(x) - 1.3 * r, np.abs(y) - 0.8 * r)
        legs = (np.abs(y) < r) & (np.abs(x) < 1.3 * r) & (np.mod(x + 99 * r, 0.5 * r) < 0.25 * r)
        on_body = np.clip(-body / SHARP + 0.5, 0, 1)
        cover = np.maximum(on_body, legs.astype(np.float32))
        colour[:] = np.where((on_body > 0.5)[..., None], 0.035, 0.6)
        colour[np.hypot(x + 1.0 * r, y + 0.5 * r) < 0.14 * r] = 0.5
        relief = 0.8 * np.clip(-body / (2 * SHARP), 0, 1)
    else:
        scale = 2 * r / 22
        (width, tall), _ = cv2.getTextSize(
            feature.text, cv2.FONT_HERSHEY_SIMPLEX, scale, max(int(scale * 3), 1)
        )
        origin = (int(middle - width / 2), int(middle + tall / 2))
        ink = np.zeros((side, side), np.uint8)
        cv2.putText(
            ink,
            feature.text,
            origin,
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            255,
            max(int(scale * 3), 1),
            cv2.LINE_AA,
        )
        cover = np.asarray(ink / 255, np.float32)
        colour[:] = 0.03 if float(np.mean(design.colour)) > 0.4 else 0.75
    smooth = [cv2.GaussianBlur(np.asarray(one, np.float32), (0, 0), SHARP * 0.4) for one in (cover, relief)]
    return np.asarray(smooth[0]), colour, np.asarray(smooth[1])
