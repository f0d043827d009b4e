"""Write the demo's photographs and the truth about them.

    python -m examples.defects.samples

Six parts with at most one defect, for the classifier and the anomaly scorer, and four with several defects,
for the detector and the segmenter. Each part is the first of its series, classes and material: no part was
selected by its result.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from examples.defects.parts import CLASSES, defective_part, part

DEMO = Path(__file__).parents[2] / "gagrad_edge" / "demo"
SERIES, SEVERAL_SERIES = 3, 7
"""Series of the demo's parts, which no network was trained on."""

# Bright, dark and coloured parts, JPEG and PNG, and one from a monochrome camera.
SAMPLES = (
    ("1-scratch-steel.jpg", "scratch", "steel", 448),
    ("2-dent-aluminium.png", "dent", "aluminium", 320),
    ("3-stain-anodised.jpg", "stain", "anodised", 400),
    ("4-missing-hole-plastic.jpg", "missing-hole", "plastic", 384),
    ("5-scratch-cast-iron-mono.png", "scratch", "cast-iron", 320),
    ("6-ok-brass.jpg", "ok", "brass", 384),
)

SEVERAL = (
    ("1-scratch-dent-steel.jpg", ("scratch", "dent"), "steel", 400),
    ("2-stain-missing-hole-brass.jpg", ("stain", "missing-hole"), "brass", 384),
    ("3-dent-stain-scratch-plastic.jpg", ("dent", "stain", "scratch"), "plastic", 448),
    ("4-scratch-dent-cast-iron.jpg", ("scratch", "dent"), "cast-iron", 384),
)
COLOURS = (0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115, 204, 121, 167)
"""RGB of each class in a picture of the truth (Okabe and Ito's colours)."""


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


def write_several() -> None:
    """Write ``several/NAME``, ``truths/STEM.png`` (each pixel's class) and ``truths/boxes.json``.

    Boxes are left, top, right, bottom in pixels.
    """
    for folder in (DEMO / "several", DEMO / "truths"):
        folder.mkdir(parents=True, exist_ok=True)
    boxes = {}
    for index, (name, kinds, material, size) in enumerate(SEVERAL):
        labels = tuple(CLASSES.index(kind) for kind in kinds)
        made = defective_part(SEVERAL_SERIES, index, size, labels, material)
        path = DEMO / "several" / name
        Image.fromarray(made.image).save(path, quality=92)
        classes = np.zeros((size, size), np.uint8)
        for defect in made.defects:
            classes[defect.mask] = defect.label
        truth = Image.fromarray(classes)
        truth.putpalette(COLOURS)
        truth.save(DEMO / "truths" / f"{path.stem}.png", optimize=True)
        boxes[name] = [{"class": CLASSES[d.label], "box": d.box} for d in made.defects]
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(defects)}" for name, defects in boxes.items())
    (DEMO / "truths" / "boxes.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    write_samples()
    write_several()
