"""Images as a camera writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, name: str, seed: int = 0) -> None:
    """Write an image as a camera does: at once, under its name."""
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), np.uint8)
    cv2.imwrite(str(folder / name), pixels)
