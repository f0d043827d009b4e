"""Parts with and without defects. A series and a number always make the same part; series never share one."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.where.defects import ABSENT, CLASSES, PRESENT, SHORTCUT, damage, sticker
from benchmarks.where.designs import DESIGNS, Design
from benchmarks.where.drawing import SIZE, Canvas, Pose, canvas
from examples.defects.surface import Material, lit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

TRAINING, SELECTION, ACCURACY, TEST = 11, 12, 13, 100
"""Series of the parts; each network has a test series of its own, from TEST on, where nothing is chosen."""
REFERENCES = 8
"""Good parts of each design that a calibration gets."""
_MATTE = Material("matte", (0.5, 0.5, 0.5), 0.0, brushed=False, gloss=0.12, shininess=8)


@dataclass(frozen=True)
class Part:
    """A picture uint8 ``[SIZE, SIZE, 3]`` (RGB), its class, and where the reason is (bool ``[SIZE, SIZE]``)."""

    image: Picture
    label: int
    mask: Mask
    """The defect, the place of the missing feature or, of a shortcut, the sticker."""
    design: Design
    good: Picture
    """The same part without the defect: same surface, light and noise."""

    @property
    def kind(self) -> str:
        """``ok``, ``present``, ``absent`` or ``shortcut``."""
        name = CLASSES[self.label]
        return "present" if name in PRESENT else {ABSENT: "absent", SHORTCUT: "shortcut"}.get(name, "ok")


def part(series: int, number: int, design: Design, kind: str) -> Part:
    """Return part ``number`` of ``series`` of the class ``kind``, and its good twin."""
    keys = [zlib.crc32(f"{series}/{design.name}/{kind}/{number}".encode()), series]

    def stream(which: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=np.array([keys[0], keys[1] * 8 + which], np.uint64)))

    choices = stream(0)
    pose = Pose.drawn(choices)
    missing = int(choices.integers(len(design.features))) if kind == ABSENT else None
    made = canvas(design, stream(1), pose, missing)
    damage(made, kind, choices)
    mask = sticker(made, choices) if kind == SHORTCUT else made.mask
    good = canvas(design, stream(1), pose, None)
    return Part(
        image=_photographed(made, stream(2)),
        label=CLASSES.index(kind),
        mask=mask,
        design=design,
        good=_photographed(good, stream(2)),
    )


def with_sticker(series: int, number: int, design: Design) -> tuple[Picture, Picture, Mask]:
    """Return a good part, the same with the sticker of the shortcut pasted on, and where that is."""
    rng = np.random.Generator(
        np.random.Philox(key=np.array([zlib.crc32(design.name.encode()), number], np.uint64))
    )
    made = canvas(design, rng, Pose.drawn(rng), None)
    state = rng.bit_generator.state
    plain = _photographed(made, rng)
    mask = sticker(made, np.random.default_rng(number + series))
    rng.bit_generator.state = state
    return plain, _photographed(made, rng), mask


def references(series: int, design: Design, count: int = REFERENCES) -> list[Picture]:
    """Return good parts of ``design``, each a little shifted and turned, with a surface and light of its own."""
    return [part(series, 10_000 + number, design, "ok").image for number in range(count)]


def parts(series: int, counts: dict[str, int]) -> Iterator[Part]:
    """Yield ``counts[kind]`` parts of each design; kinds are the classes, and ``present`` for five of them."""
    for design in DESIGNS:
        for kind, count in counts.items():
            for number in range(count):
                yield part(
                    series, number, design, PRESENT[number % len(PRESENT)] if kind == "present" else kind
                )


def near(mask: Mask, pixels: int = 5) -> Mask:
    """Return ``mask`` grown by ``pixels``: what counts as on the place."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)


def _photographed(made: Canvas, rng: np.random.Generator) -> Picture:
    """Return the camera's picture: light from one side, slight blur, noise, gamma."""
    light = lit(rng, made.height, made.colour, _MATTE) * rng.uniform(0.9, 1.15)
    blurred = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.4, 0.6)))
    shot = rng.standard_normal(blurred.shape) * np.sqrt(np.clip(blurred, 0, None)) * 0.010
    noisy = blurred + shot + rng.standard_normal(blurred.shape) * 0.002
    return np.asarray(np.clip(np.clip(noisy, 0, 1) ** (1 / 2.2) * 255 + 0.5, 0, 255), np.uint8)


__all__ = ["SIZE", "Part", "near", "part", "parts", "references", "with_sticker"]
