"""The bundles of the trained networks, as anyone would export them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.where.defects import CLASSES
from benchmarks.where.drawing import SIZE
from benchmarks.where.gathering import network
from benchmarks.where.networks import MEAN, STD
from benchmarks.where.training import STORE

if TYPE_CHECKING:
    from pathlib import Path

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
