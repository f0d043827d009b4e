"""What the four trainings share: the size and scale of the pictures, the classifier's trunk, writing ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch
from onnx import numpy_helper
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT = 224
"""Side of the models' input in pixels; parts are rendered at 288 and resized as the runtime does it."""

DEMO = Path(__file__).parents[2] / "gagrad_edge" / "demo"


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Return the model input of ``images``; the demo exports with ``--mean 0.5 --std 0.25``."""
    return (images.float() / 255 - 0.5) / 0.25


def separable(channels: int, out: int, stride: int) -> nn.Sequential:
    """Return a depthwise 3×3 convolution, with the stride, and a pointwise convolution, each with ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels),
        nn.ReLU(),
        nn.Conv2d(channels, out, 1),
        nn.ReLU(),
    )


class Trunk(nn.Module):
    """The demo classifier's layers in front of its head, its normalisations folded into the convolutions.

    The networks beside the classifier begin with its trained weights: they know the parts already, and train
    in minutes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU())
        self.second = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Conv2d(16, 32, 3, 1, 1), nn.ReLU())
        self.near = nn.Sequential(separable(32, 48, 1), separable(48, 72, 2), separable(72, 72, 1))
        self.far = nn.Sequential(separable(72, 96, 2), separable(96, 128, 1), separable(128, 128, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return features of 16, 32, 72 and 128 channels at 1/2, 1/4, 1/8 and 1/16 of the image's side."""
        first = self.first(x)
        second = self.second(first)
        near = self.near(second)
        return first, second, near, self.far(near)


def trained_trunk() -> Trunk:
    """Return the trunk with the weights of ``gagrad_edge/demo/defects.onnx``."""
    graph = onnx.load(DEMO / "defects.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = ["stem.0", "stem.4"]
    layers += [f"{level}.{n}.{kind}" for level in ("near", "far") for n in range(3) for kind in _KINDS]
    trunk = Trunk()
    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        for layer, convolution in zip(layers, convolutions, strict=True):
            if convolution.bias is None:
                raise ValueError(f"{layer} has no bias")
            convolution.weight.copy_(torch.from_numpy(stored[f"{layer}.weight"].copy()))
            convolution.bias.copy_(torch.from_numpy(stored[f"{layer}.weight_bias"].copy()))
    return trunk


_KINDS = ("depthwise", "pointwise")


def write_onnx(model: nn.Module, path: Path, outputs: Sequence[str]) -> None:
    """Write ``model`` as ONNX with a free batch, without the names and traces of this machine."""
    example = torch.zeros(2, 3, INPUT, INPUT)
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        opset_version=18,
        input_names=["image"],
        output_names=list(outputs),
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    proto = program.model_proto
    del proto.metadata_props[:], proto.graph.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
