"""Materials and light: what makes a height map look like a photographed part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """How a surface reflects: colour in linear RGB 0..1, grain and gloss."""

    name: str
    colour: tuple[float, float, float]
    grain: float
    """Standard deviation of the height's texture, in pixels."""
    brushed: bool
    """Length of the texture along one direction, as grinding leaves it."""
    gloss: float
    """Strength of the specular highlight."""
    shininess: float


MATERIALS = (
    Material("steel", (0.52, 0.54, 0.56), 0.10, brushed=True, gloss=0.35, shininess=12),
    Material("aluminium", (0.70, 0.70, 0.69), 0.07, brushed=True, gloss=0.25, shininess=9),
    Material("cast-iron", (0.22, 0.22, 0.23), 0.16, brushed=False, gloss=0.12, shininess=6),
    Material("anodised", (0.07, 0.08, 0.10), 0.06, brushed=False, gloss=0.18, shininess=10),
    Material("brass", (0.60, 0.47, 0.22), 0.08, brushed=True, gloss=0.30, shininess=10),
    Material("plastic", (0.16, 0.22, 0.30), 0.05, brushed=False, gloss=0.15, shininess=14),
)


def smooth_noise(rng: np.random.Generator, size: int, scale: float) -> Field:
    """Return noise ``[size, size]`` of unit deviation whose features are about ``scale`` pixels wide."""
    coarse = max(int(size / scale) + 3, 4)
    field = rng.standard_normal((coarse, coarse)).astype(np.float32)
    fine = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine / max(float(fine.std()), 1e-6), np.float32)


def grain(rng: np.random.Generator, material: Material, size: int) -> Field:
    """Return the texture of a material's height ``[size, size]`` in pixels."""
    white = rng.standard_normal((size, size)).astype(np.float32)
    if material.brushed:
        lines = cv2.GaussianBlur(white, (0, 0), sigmaX=14, sigmaY=0.5)
        angle = float(rng.uniform(-20, 20)) + float(rng.choice([0, 90]))
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1.5)
        fine = cv2.warpAffine(lines, turn, (size, size), borderMode=cv2.BORDER_REFLECT)
    else:
        fine = cv2.GaussianBlur(white, (0, 0), 0.9) + 0.5 * cv2.GaussianBlur(white, (0, 0), 2.5)
    return np.asarray(fine / fine.std() * material.grain, np.float32)


def lit(rng: np.random.Generator, height: Field, albedo: NDArray[np.float32], material: Material) -> Field:
    """Return the light that a camera above the surface receives, linear RGB ``[size, size, 3]``.

    Lambert and Blinn-Phong from one large lamp, with its falloff over the part and a weak fill light.
    """
    size = height.shape[0]
    slope_y, slope_x = np.gradient(height)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(height)], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.15)
    lamp = np.array(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    )
    half = lamp + np.array([0, 0, 1.0])
    half /= np.linalg.norm(half)
    diffuse = np.clip(normal @ lamp, 0, None)
    gloss = np.clip(normal @ half, 0, None) ** (material.shininess * 4) * material.gloss
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    falloff = 1 + 0.45 * (x * lamp[0] + y * lamp[1]) / 0.7
    light = (0.30 + 0.85 * diffuse) * falloff
    return np.asarray(albedo * light[..., None] + (gloss * falloff)[..., None], np.float32)


def photographed(rng: np.random.Generator, light: Field) -> NDArray[np.uint8]:
    """Return the camera's picture uint8 ``[size, size, 3]``: vignetting, slight blur, noise, gamma."""
    size = light.shape[0]
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    light = light * (1 - 0.35 * (x * x + y * y) / 0.5)[..., None] * rng.uniform(0.85, 1.2)
    blurred = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.45, 0.8)))
    shot = rng.standard_normal(blurred.shape) * np.sqrt(np.clip(blurred, 0, None)) * 0.012
    noisy = blurred + shot + rng.standard_normal(blurred.shape) * 0.003
    return np.asarray(np.clip(np.clip(noisy, 0, 1) ** (1 / 2.2) * 255 + 0.5, 0, 255), np.uint8)
