"""The networks of the speed tables, as torch modules (None: an ONNX file only)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch

from gagrad_export.load.torch_module import load_torch_module
from tests.export.networks import lite0, network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

SIZE = (224, 224)
_DEMO = Path(__file__).parent.parent / "gagrad_edge" / "demo" / "defects.onnx"


@dataclass(frozen=True)
class Subject:
    """A network as an ONNX model, and as a torch module if torch has the network."""

    name: str
    module: nn.Module | None
    model: onnx.ModelProto


def _timm(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import timm

        torch.manual_seed(0)
        model: nn.Module = timm.create_model(name, pretrained=False)
        return model.eval()

    return make


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "efficientnet_lite0": lite0,
    "mobilenet_v3_large": lambda: network("mobilenet_v3_large"),
    "resnet18": lambda: network("resnet18"),
    "resnet50": lambda: network("resnet50"),
    "convnext_atto": _timm("convnext_atto"),
    "vit_tiny": _timm("vit_tiny_patch16_224"),
    "vit_base": _timm("vit_base_patch16_224"),
}
NAMES = (*(name for name in MAKERS if name != "vit_base"), "demo")
"""The networks of the speed tables; the large ViT is only exported."""


def subject(name: str, *, calibrated: bool = False) -> Subject:
    """Return the network ``name``, one of NAMES; with ``calibrated`` its batch norms scale to unit variance."""
    if name == "demo":
        return Subject(name, None, onnx.load(_DEMO))
    module = MAKERS[name]()
    if calibrated and MAKERS[name] is not lite0:
        _calibrate(module)
    return Subject(name, module, load_torch_module(module, name=name, input_shape=(3, *SIZE)).model)


def _calibrate(module: nn.Module) -> None:
    """Set the statistics of the batch norms on noise, so that activations of random weights keep their magnitude."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train()
            part.reset_running_stats()
            part.momentum = None
    torch.manual_seed(1)
    with torch.no_grad():
        for _ in range(2):
            module(torch.randn(4, 3, *SIZE))
    module.eval()
