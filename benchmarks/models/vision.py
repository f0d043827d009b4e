"""torchvision's detectors and segmenters, with random weights."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from benchmarks.models.torch_file import answering, torch_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from benchmarks.models.entry import Entry

_DETECTORS = {
    "ssd300_vgg16": ("SSD", 300),
    "ssdlite320_mobilenet_v3_large": ("SSDlite", 320),
    "retinanet_resnet50_fpn": ("RetinaNet", 160),
    "fcos_resnet50_fpn": ("FCOS", 160),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ("Faster R-CNN", 160),
}
_SEGMENTERS = {
    "deeplabv3_mobilenet_v3_large": "DeepLabV3",
    "fcn_resnet50": "FCN",
    "lraspp_mobilenet_v3_large": "LR-ASPP",
}
CLASSES = 5


def entries() -> Iterator[Entry]:
    """Return torchvision's models."""
    for name, (family, side) in _DETECTORS.items():
        yield torch_entry(
            f"tv-{name.split('_')[0]}",
            family,
            "torchvision",
            functools.partial(_detector, name, side),
            (side, side),
            outputs=("boxes", "scores", "labels"),
            dynamo=False,
        )
    for name, family in _SEGMENTERS.items():
        yield torch_entry(
            f"tv-{name.split('_')[0]}",
            family,
            "torchvision",
            functools.partial(_segmenter, name),
            (160, 160),
            outputs=("out",),
        )


def _models() -> Any:
    from benchmarks.models.vision_operators import declare

    declare()
    import torchvision

    return torchvision.models


def _detector(name: str, side: int) -> nn.Module:
    sizes = {} if name.startswith("ssd") else {"min_size": side, "max_size": side}
    options = {"weights": None, "weights_backbone": None, "num_classes": CLASSES, **sizes}
    model: nn.Module = getattr(_models().detection, name)(**options)
    # torch.onnx names the outputs in the order of the dictionary: boxes, scores, labels.
    return answering(model, lambda found: [found[0][key] for key in ("boxes", "scores", "labels")])


def _segmenter(name: str) -> nn.Module:
    model = getattr(_models().segmentation, name)(weights=None, weights_backbone=None, num_classes=CLASSES)
    return answering(model, lambda answer: answer["out"])
