"""The picture of the feature layers: the frame, and on it the cells of the class activation maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.summary import layer_text
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.frame.placement import resample
from gagrad_runtime.report.colour import to_eight_bits
from gagrad_runtime.report.lettering import Style, lettering
from gagrad_runtime.report.sheet import Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_edge.manifest import FeatureLayer, Manifest
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.frame.placement import Placement

    Canvas = NDArray[np.uint8]

_PANEL = 420
"""Longer side of a panel in pixels."""
_FINE = 8
"""Least distance of two lines in pixels; of a finer layer one line in two, four, … is drawn."""
_LINE, _HALO = (255, 214, 0), (40, 40, 40)
_MARGIN, _GAP, _TEXT_WIDTH = 28, 24, 1000
_TITLE = Style(30, (24, 28, 34), bold=True, lines=3)
_LABEL = Style(19, (24, 28, 34), lines=3)
_SMALL = Style(16, (92, 98, 108), lines=4)


def render_layers(manifest: Manifest, frame: Frame) -> Canvas:
    """Return the picture as uint8 [h, w, 3] RGB: a panel for each layer, largest grid first.

    A cell is drawn where the map's cell is laid over the frame. What the cell saw reaches further. Raises
    SettingError for a bundle without a feature layer.
    """
    layers = manifest.model.feature_layers
    if not layers:
        raise SettingError(
            "this bundle has no feature layer, so there is nothing to draw",
            where="layer",
            hint="the notes of the model say why; export it again with a feature layer",
        )
    _, placement = prepare(frame, manifest.input)
    pen = lettering()
    panels = [_panel(frame, placement, layer) for layer in layers]
    sheet = Sheet(max(_TEXT_WIDTH, panels[0][0].shape[1]), _MARGIN, pen)
    many = f"{len(layers)} layers, added" if len(layers) > 1 else "one layer"
    sheet.text(f"{manifest.name}: class activation maps of {many}", _TITLE)
    sheet.text(f"{frame.name}: {frame.height} high, {frame.width} wide", _SMALL)
    for layer, (panel, drawn) in zip(layers, panels, strict=True):
        sheet.y += _GAP
        sheet.text(layer_text(layer), _LABEL)
        sheet.text(_cells(manifest, layer, drawn), _SMALL)
        sheet.y += 6
        sheet.paste(panel, 0, sheet.y)
        sheet.y += len(panel)
    return sheet.finish()


def _cells(manifest: Manifest, layer: FeatureLayer, drawn: int) -> str:
    """Return what one cell is, in words."""
    height, width = manifest.input.height / layer.height, manifest.input.width / layer.width
    lines = "" if drawn == 1 else f" One line in {drawn} is drawn."
    return f"One cell stands for {height:.4g} × {width:.4g} pixels of the model's image.{lines}"


def _panel(frame: Frame, placement: Placement, layer: FeatureLayer) -> tuple[Canvas, int]:
    """Return the frame with the borders of the layer's cells, of which one in n is drawn, and n."""
    scale = _PANEL / max(frame.height, frame.width)
    size = (max(round(frame.height * scale), 1), max(round(frame.width * scale), 1))
    pixels = frame.pixels[..., None] if frame.pixels.ndim == 2 else frame.pixels
    planes = [resample(pixels[..., channel], size) for channel in range(pixels.shape[2])]
    panel, _ = to_eight_bits(frame, planes[0] if len(planes) == 1 else np.stack(planes, axis=2))
    panel = np.ascontiguousarray(panel)
    height, width = placement.model_size
    rows = [_on_panel(placement, 0, i * height / layer.height, size) for i in range(layer.height + 1)]
    columns = [_on_panel(placement, 1, i * width / layer.width, size) for i in range(layer.width + 1)]
    between = min(abs(at[1] - at[0]) for at in (rows, columns))
    every = 1
    while every * between < _FINE:
        every *= 2
    for colour, thickness in ((_HALO, 4), (_LINE, 2)):
        for y in rows[::every]:
            cv2.line(panel, (round(columns[0]), round(y)), (round(columns[-1]), round(y)), colour, thickness)
        for x in columns[::every]:
            cv2.line(panel, (round(x), round(rows[0])), (round(x), round(rows[-1])), colour, thickness)
    return panel, every


def _on_panel(placement: Placement, axis: int, position: float, size: tuple[int, int]) -> float:
    """Return where a row (axis 0) or column of the model's image lies on a panel of ``size``, in pixels."""
    point = placement.point_to_frame(position, position)[1 - axis]
    return min(point * size[axis] / placement.frame_size[axis], size[axis] - 1.0)
