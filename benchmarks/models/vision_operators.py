"""Lets torchvision be imported, and its detectors run, beside a torch build that its binary was not made for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_DECLARED: list[Any] = []


def declare() -> None:
    """Declare torchvision's operators in Python where its binary does not load, before torchvision is imported."""
    import torch

    if _DECLARED or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define(
        "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
        "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor"
    )
    library.impl("nms", _suppress, "CPU")
    library.impl("roi_align", _align, "CPU")
    _DECLARED.append(library)
    import torchvision

    torchvision.extension._has_ops = _true
    torchvision.extension._assert_has_ops = _nothing
    for name, module in list(sys.modules.items()):
        for own, replacement in (("_has_ops", _true), ("_assert_has_ops", _nothing)):
            if name.startswith("torchvision.ops") and hasattr(module, own):
                setattr(module, own, replacement)


def _true() -> bool:
    return True


# torchvision compiles the function in whose place this stands, which a lambda cannot be.
def _nothing() -> None:
    return


def _suppress(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Return the indices of the boxes that greedy suppression keeps, best first."""
    import torch

    order = scores.argsort(descending=True)
    corners = boxes[order]
    low = torch.maximum(corners[:, None, :2], corners[None, :, :2])
    high = torch.minimum(corners[:, None, 2:], corners[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = (corners[:, 2:] - corners[:, :2]).prod(-1)
    overlap = common / (areas[:, None] + areas[None] - common)
    kept = torch.ones(len(order), dtype=torch.bool)
    for i in range(len(order)):
        if kept[i]:
            kept[i + 1 :] &= overlap[i, i + 1 :] <= threshold
    return order[kept]


def _align(
    features: torch.Tensor,
    rois: torch.Tensor,
    scale: float,
    height: int,
    width: int,
    ratio: int,
    aligned: bool,
) -> torch.Tensor:
    import importlib

    # torchvision has it in Python, for compilers; the package has a function of the module's name.
    plain = importlib.import_module("torchvision.ops.roi_align")._roi_align
    return plain(features, rois, scale, height, width, ratio, aligned)
