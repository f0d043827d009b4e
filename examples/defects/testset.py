"""Write test parts and the masks of their defects, for ``gagrad-edge evaluate`` and ``calibrate``.

    python -m examples.defects.testset -o testset/ --count 200

The same count gives the same files: ``images/0007-stain-brass.png`` and, where there is a defect,
``masks/0007-stain-brass.png`` (0 or 255). Classes alternate, materials are random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from examples.defects.parts import CLASSES, part

SERIES = 4
"""Series of the test parts; 1 is for training, 2 is held out, 3 is for the demo."""


def write_testset(output: Path, count: int) -> None:
    """Write ``count`` parts to ``output``/images and ``output``/masks."""
    images, masks = output / "images", output / "masks"
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        made = part(SERIES, index, label=index % len(CLASSES))
        name = f"{index:04d}-{CLASSES[made.label]}-{made.material}.png"
        Image.fromarray(made.image).save(images / name)
        if made.mask.any():
            Image.fromarray(made.mask.astype(np.uint8) * 255).save(masks / name)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Write test parts with masks.")
    arguments.add_argument("-o", "--output", type=Path, default=Path("testset"))
    arguments.add_argument("--count", type=int, default=200)
    options = arguments.parse_args()
    write_testset(options.output, options.count)
    print(f"{options.count} parts in {options.output}/")
