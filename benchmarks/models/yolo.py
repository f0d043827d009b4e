"""ultralytics, built from its YAML files and written by its own exporter; YOLOX by its authors' heirs."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.models.entry import Entry
from benchmarks.models.torch_file import enlivened, torch_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

_YAML = {
    "yolov3-tiny": ("YOLOv3", 160),
    "yolov5n": ("YOLOv5u", 160),
    "yolov6n": ("YOLOv6", 160),
    "yolov8n": ("YOLOv8", 160),
    "yolov8n-p2": ("YOLOv8", 160),
    "yolov8n-seg": ("YOLOv8", 160),
    "yolov8n-pose": ("YOLOv8", 160),
    "yolov8n-obb": ("YOLOv8", 160),
    "yolov8n-cls": ("YOLOv8", 160),
    "yolov9t": ("YOLOv9", 160),
    "yolov10n": ("YOLOv10", 160),
    "yolo11n": ("YOLO11", 160),
    "yolo11n-seg": ("YOLO11", 160),
    "yolo11n-obb": ("YOLO11", 160),
    "yolo12n": ("YOLO12", 160),
    "yolo26n": ("YOLO26", 160),
    "rtdetr-l": ("RT-DETR", 160),
}
"""Name of the YAML file, its family and the side of the images."""
_SELECTING = {"yolov8n-nms": True, "yolov10n-e2e": False, "yolo26n-e2e": False}
"""Files that select their detections inside: by suppression, or by the head that needs none; the option `nms`."""


def entries() -> Iterator[Entry]:
    """Return the YOLO models."""
    for name, (family, side) in _YAML.items():
        make = functools.partial(_export, name, side, None)
        module = functools.partial(_module, name, side)
        yield Entry(name, family, "ultralytics, its own export", (side, side), make, module)
    for name, nms in _SELECTING.items():
        plain = name.rpartition("-")[0]
        family, side = _YAML[plain]
        make = functools.partial(_export, plain, side, nms)
        # Autograd asks the module in front of the selection, which is the same.
        module = functools.partial(_module, plain, side, one_to_one=not nms)
        yield Entry(name, family, f"ultralytics, its own export, nms={nms}", (side, side), make, module)
    for name, scale in {"yolox-nano": (0.33, 0.25, True), "yolox-tiny": (0.33, 0.375, False)}.items():
        build = functools.partial(_yolox, *scale)
        yield torch_entry(
            name, "YOLOX", "pixeltable-yolox", build, (160, 160), dynamo=False, outputs=("output",)
        )


def _yolo(name: str, side: int) -> Any:
    """Return ultralytics' model object with settled statistics and a class head that finds something."""
    import torch

    from benchmarks.models.vision_operators import declare

    declare()
    from ultralytics import RTDETR, YOLO

    torch.manual_seed(0)
    model = (RTDETR if name.startswith("rtdetr") else YOLO)(f"{name}.yaml")
    model.model.eval()
    enlivened(model.model, (3, side, side))
    head = model.model.model[-1]
    # The biases that training starts from let nothing be found: one in ten thousand.
    for heads in (getattr(head, "cv3", None), getattr(head, "one2one_cv3", None)):
        for part in heads or ():
            part[-1].weight.data *= 3
            part[-1].bias.data[:] = -2
    for part in getattr(head, "dec_score_head", None) or ():
        part.bias.data[:] = -1
    return model


def _export(name: str, side: int, nms: bool | None, path: Path) -> None:
    model = _yolo(name, side)
    with tempfile.TemporaryDirectory() as folder:
        # The file is written beside the weights that the model is said to come from.
        model.model.pt_path = str(Path(folder) / "model.pt")
        written = model.export(format="onnx", imgsz=side, simplify=True, nms=nms, verbose=False)
        shutil.move(written, path)


def _module(name: str, side: int, *, one_to_one: bool = False) -> nn.Module:
    """Return the module as ultralytics' exporter prepares it, with the head that its files have by default."""
    model = _yolo(name, side).model
    if hasattr(model, "end2end"):
        model.end2end = one_to_one
    model = model.fuse(verbose=False)
    for part in model.modules():
        if hasattr(part, "export"):
            part.export = True
            part.format = "onnx"
            part.dynamic = False
    return model.float().eval()


def _yolox(depth: float, width: float, depthwise: bool) -> nn.Module:
    from benchmarks.models.vision_operators import declare

    declare()
    from yolox.models.yolo_head import YoloxHead
    from yolox.models.yolo_pafpn import YoloPafpn
    from yolox.models.yolox import YoloxModule

    channels = [256, 512, 1024]
    neck = YoloPafpn(depth, width, in_channels=channels, depthwise=depthwise)
    head = YoloxHead(80, width, in_channels=channels, depthwise=depthwise)
    head.decode_in_inference = False  # its README: decoding stays outside of the file
    for predictions in (head.cls_preds, head.obj_preds):
        for part in predictions:
            part.weight.data *= 3
            part.bias.data[:] = -1
    return YoloxModule(neck, head)
