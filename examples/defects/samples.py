"""Write the demo's six sample photographs and the masks of their defects.

    python -m examples.defects.samples

Each part is the first of its series, class and material: no part was selected by its result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from examples.defects.parts import CLASSES, part

DEMO = Path(__file__).parents[2] / "gagrad_edge" / "demo"
SERIES = 3
"""Series of the demo's parts; the training series is 1, the held-out series is 2."""

# Bright, dark and coloured parts, JPEG and PNG, and one from a monochrome camera.
SAMPLES = (
    ("1-scratch-steel.jpg", "scratch", "steel", 448),
    ("2-dent-aluminium.png", "dent", "aluminium", 320),
    ("3-stain-anodised.jpg", "stain", "anodised", 400),
    ("4-missing-hole-plastic.jpg", "missing-hole", "plastic", 384),
    ("5-scratch-cast-iron-mono.png", "scratch", "cast-iron", 320),
    ("6-ok-brass.jpg", "ok", "brass", 384),
)


def write_samples() -> None:
    """Write ``samples/NAME`` and, where there is a defect, ``masks/STEM.png`` (0 or 255)."""
    for folder in (DEMO / "samples", DEMO / "masks"):
        folder.mkdir(parents=True, exist_ok=True)
    for index, (name, label, material, size) in enumerate(SAMPLES):
        made = part(SERIES, index, size, CLASSES.index(label), material)
        picture = Image.fromarray(made.image)
        if "mono" in name:
            picture = picture.convert("L")
        path = DEMO / "samples" / name
        picture.save(path, **({"quality": 92} if path.suffix == ".jpg" else {"optimize": True}))
        if made.mask.any():
            mask = Image.fromarray(made.mask.astype(np.uint8) * 255).convert("1")
            mask.save(DEMO / "masks" / f"{path.stem}.png", optimize=True)


if __name__ == "__main__":
    write_samples()
