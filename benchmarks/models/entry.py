"""One row of the table: a model, who makes its file, and how. Imports no producer's package."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRODUCERS = (
    "yolo",
    "vision",
    "segmentation",
    "anomaly",
    "transformer",
    "reading",
    "tensorflow",
    "own",
)
"""The modules of this package that make models; each has ``entries()``."""


@dataclass(frozen=True)
class Entry:
    """A model of the table."""

    name: str
    family: str
    producer: str
    """The package that has the model, and the exporter that writes the file."""
    size: tuple[int, int]
    """Height and width of its images."""
    make: Callable[[Path], None]
    """Writes the model as an ONNX file."""
    module: Callable[[], Any] | None = None
    """Returns the torch module whose outputs are those of the file, in their order; None where there is none."""
    channels: int = 3


@cache
def entries() -> dict[str, Entry]:
    """Return every entry by its name, in the order of the table."""
    found: dict[str, Entry] = {}
    for producer in PRODUCERS:
        for entry in importlib.import_module(f"benchmarks.models.{producer}").entries():
            if entry.name in found:
                raise ValueError(f"two models are called {entry.name}")
            found[entry.name] = entry
    return found
