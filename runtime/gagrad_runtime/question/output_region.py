"""Output region: the cells of a spatial output (segmentation, anomaly map) that are explained."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import TargetError
from gagrad_runtime.frame.placement import resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.frame.placement import Placement

    Array = NDArray[np.float32]
    RegionChoice = str | os.PathLike[str] | tuple[float, float, float, float] | NDArray[np.bool_]

_BOX = re.compile(r"\s*-?[\d.]+(\s*,\s*-?[\d.]+){3}\s*")


@dataclass(frozen=True)
class OutputRegion:
    """Cells of a spatial output ``[K, h, w]``: chosen by a box or a mask, or by the model's answer."""

    name: str
    """The box or the mask's path as the user gave it; ``mask`` for an array; where the model's own answer is
    explained, what the cells have in common."""
    cells: Array
    """float32 [h, w]: 1 for a cell inside the region, else 0."""
    found: bool = False
    """Whether the model's answer says where, and not the caller."""

    def mean(self, values: Array) -> float:
        """Return the mean of ``values [h, w]`` over the region."""
        return float((values * self.cells).sum(dtype=np.float64) / self.cells.sum())


def region_of(choice: RegionChoice, placement: Placement, spec: OutputSpec) -> OutputRegion:
    """Return the cells that ``choice`` covers of an output of three axes.

    ``choice`` is a box in frame pixels (``"left,top,right,bottom"`` or a tuple of four numbers), the path
    of a mask image of the frame's size (not 0 is inside), or such a mask as an array. A cell belongs to the
    region when at least half of the cell lies in the region; a region smaller than a cell becomes the one
    cell that holds most of the region. Raises TargetError.
    """
    if isinstance(choice, os.PathLike):
        choice = os.fspath(choice)
    elif isinstance(choice, (tuple, list)):
        choice = ",".join(map(str, choice))
    name = choice if isinstance(choice, str) else "mask"
    mask = _mask(choice, placement)
    cells = cells_of(mask, placement, (spec.shape[1], spec.shape[2]))
    if not cells.any():
        raise TargetError(
            f"the region {name} is empty, or the model does not see it",
            where="region",
            hint=f"the frame is {placement.frame_size[0]} pixels high and {placement.frame_size[1]} wide",
        )
    chosen = cells >= 0.5
    return OutputRegion(name, (chosen if chosen.any() else cells == cells.max()).astype(np.float32))


def _mask(choice: str | NDArray[np.bool_], placement: Placement) -> Array:
    height, width = placement.frame_size
    if isinstance(choice, str) and _BOX.fullmatch(choice):
        left, top, right, bottom = (float(part) for part in choice.split(","))
        if not (left < right and top < bottom):
            raise TargetError(
                f"{choice} is no box",
                where="region",
                hint="give left,top,right,bottom with left < right and top < bottom, in frame pixels",
            )
        columns = np.clip(np.minimum(np.arange(width) + 1, right) - np.maximum(np.arange(width), left), 0, 1)
        rows = np.clip(np.minimum(np.arange(height) + 1, bottom) - np.maximum(np.arange(height), top), 0, 1)
        return np.outer(rows, columns).astype(np.float32)
    if isinstance(choice, str):
        from gagrad_runtime.frame import load_frame  # noqa: PLC0415 - a box needs no decoder

        pixels = load_frame(Path(choice)).pixels
        mask = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
    else:
        mask = np.asarray(choice) != 0
    if mask.shape != placement.frame_size:
        raise TargetError(
            f"the mask is {_size(mask)}, and the frame {height} high and {width} wide",
            where="region",
            hint="give a mask of the frame's size",
        )
    return mask.astype(np.float32)


def _size(mask: NDArray[np.bool_]) -> str:
    """Return the size of a mask in words; of an array that is no mask, its shape."""
    if mask.ndim == 2:
        return f"{mask.shape[0]} high and {mask.shape[1]} wide"
    return f"an array of shape {mask.shape}"


def cells_of(mask: Array, placement: Placement, grid: tuple[int, int]) -> Array:
    """Return the share of each output cell that ``mask`` (frame pixels) covers."""
    top, left, height, width = placement.window
    on_window = resample(mask[top : top + height, left : left + width], placement.resized)
    on_model = np.zeros(placement.model_size, np.float32)
    above, before = placement.offset
    part = on_window[max(-above, 0) :, max(-before, 0) :]
    room = on_model[max(above, 0) :, max(before, 0) :]
    rows, columns = min(len(part), len(room)), min(part.shape[1], room.shape[1])
    room[:rows, :columns] = part[:rows, :columns]
    return resample(on_model, grid)
