"""The bundles of the trained networks, as anyone would export them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from benchmarks.where.data import REFERENCES, TEST, references
from benchmarks.where.defects import CLASSES
from benchmarks.where.drawing import SIZE
from benchmarks.where.gathering import network
from benchmarks.where.networks import MEAN, STD
from benchmarks.where.training import STORE

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.where.designs import Design

FORGOTTEN = "~unscaled"
"""Suffix of a bundle that was exported without the mean and the standard deviation."""


def bundle(name: str) -> Path:
    """Return the path of the bundle of ``name``, exported when it is not there."""
    path = STORE / f"{name}.gagrad"
    if not path.exists():
        from gagrad_export import export

        model = network(name.removesuffix(FORGOTTEN))
        mean, std = (None, None) if name.endswith(FORGOTTEN) else (MEAN, STD)
        export(model, path, size=(SIZE, SIZE), mean=mean, std=std, classes=CLASSES)
    return path


def reference(name: str, design: Design) -> Path:
    """Return the file of good parts of ``design`` for the bundle of ``name``, calibrated when it is not there."""
    path = STORE / f"{name}-{design.name}.good"
    if not path.exists():
        from gagrad_runtime.jobs.calibrating import calibrate_images

        images = good_images(design)
        given = [str(one) for one in images]
        calibrate_images(bundle(name), given, path, device="cpu", threads=1, target=None, settings={})
    return path


def good_images(design: Design) -> list[Path]:
    """Return the pictures of the good parts of ``design`` that a calibration gets."""
    folder = STORE / "good" / design.name
    paths = [folder / f"{number}.png" for number in range(REFERENCES)]
    if not all(one.exists() for one in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, picture in zip(paths, references(TEST, design), strict=True):
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return paths
