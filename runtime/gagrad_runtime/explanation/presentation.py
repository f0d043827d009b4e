"""Presentation: the interface through which an explanation gives its picture, its record and its files.

The room ``report`` fulfils the interface, and stands above this room; so an explanation does not import
``report``. The package ``gagrad_runtime`` registers ``Report`` here when the package is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class Presentation(Protocol):
    """One explanation as people and programs read it; ``gagrad_runtime.Report`` is the implementation."""

    def picture(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 RGB [h, w, 3]."""

    def png(self) -> bytes:
        """Return the picture as the bytes of a PNG file."""

    def record(self) -> dict[str, Any]:
        """Return the record (docs/record.md) without names of files."""

    def save(
        self, directory: str | Path, *, stem: str | None, raw: tuple[str, ...], full: bool, replace: bool
    ) -> dict[str, Path]:
        """Write the result files to ``directory`` and return their paths by kind."""

    def show(self) -> None:
        """Show the picture in the notebook or in the image viewer."""


_registered: list[Callable[[Any], Presentation]] = []


def register(present: Callable[[Any], Presentation]) -> None:
    """Register the function that returns the presentation of an explanation; the last one counts."""
    _registered[:] = [present]


def present(explanation: object) -> Presentation:
    """Return the presentation of ``explanation``, made by the registered function."""
    return _registered[0](explanation)
