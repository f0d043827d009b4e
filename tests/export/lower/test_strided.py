"""Gradients of strided convolutions: phases kept apart, merged, and interleaved where it costs least."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import GraphKey, GraphTarget
from gagrad_edge.method.noise import noise_chunks
from gagrad_export.assemble import accumulate_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.load.torch_module import load_torch_module
from gagrad_export.verify.sessions import Sessions
from tests.export.networks import tensorrt_refuses
from tests.export.test_networks import autograd, relative
from tests.long import all_but

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS: tuple[GraphTarget, ...] = ("portable", "tensorrt")


class InvertedBottleneck(nn.Module):
    """Expansion to many channels, a strided depthwise convolution, and back: where phases stay apart."""

    def __init__(self, act: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.expand, self.act = nn.Conv2d(16, 64, 1), act()
        self.depthwise = nn.Conv2d(64, 64, 5, 2, 2, groups=64)
        self.project, self.head = nn.Conv2d(64, 32, 1), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] → [N, 5]."""
        x = self.act(self.expand(self.stem(x)))
        scores: torch.Tensor = self.head(self.project(self.act(self.depthwise(x))).mean((2, 3)))
        return scores


class Residual(nn.Module):
    """A strided block whose shortcut is a strided pointwise convolution: two sets of phases meet in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 16, 7, 2, 3), nn.MaxPool2d(3, 2, 1)
        self.one, self.two = nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(32, 32, 3, 1, 1)
        self.shortcut, self.head = nn.Conv2d(16, 32, 1, 2), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] → [N, 5]."""
        x = self.pool(self.stem(x).relu())
        x = (self.two(self.one(x).relu()) + self.shortcut(x)).relu()
        scores: torch.Tensor = self.head(x.mean((2, 3)))
        return scores


class Stage(nn.Module):
    """Residual blocks without a stride: the gradient passes their sums, one behind the other."""

    def __init__(self, blocks: int = 4) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 32, 3, 2, 1), nn.Linear(32, 5)
        self.blocks = nn.ModuleList(nn.Conv2d(32, 32, 3, 1, 1) for _ in range(blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] → [N, 5]."""
        x = self.stem(x).relu()
        for block in self.blocks:
            x = (block(x) + x).relu()
        scores: torch.Tensor = self.head(x.mean((2, 3)))
        return scores


class Patches(nn.Module):
    """Patches, and pixels behind the last that belong to none."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 24, 4, 4), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] → [N, 5]."""
        scores: torch.Tensor = self.head(self.embed(x).sigmoid().mean((2, 3)))
        return scores


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ReLU6": lambda: InvertedBottleneck(nn.ReLU6),
    "Hardswish": lambda: InvertedBottleneck(nn.Hardswish),
    "SiLU": lambda: InvertedBottleneck(nn.SiLU),
    "residual": Residual,
    "stage": Stage,
    "patches": Patches,
}


def compiled(module: nn.Module, size: tuple[int, int], target: GraphTarget = "portable") -> GraphFile:
    """Return the module's ``accumulate`` graph; its parameters are drawn anew."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False).normal_(std=0.2)
    source = load_torch_module(module, name="strided", input_shape=(3, *size))
    spec = InputSpec(height=size[0], width=size[1], colour="rgb", mean=[0.0] * 3, std=[1.0] * 3)
    graph, _ = accumulate_graph(canonicalise(source.model), spec, target)
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", all_but([(32, 32), (31, 29), (34, 27)], (34, 27)))
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_matches_autograd(name: str, size: tuple[int, int], target: GraphTarget) -> None:
    """At sizes that the strides divide and at sizes that they do not."""
    module = NETWORKS[name]()
    graph = compiled(module, size, target)
    (noise,) = noise_chunks(0, 3, 3, (3, *size))
    image = np.random.default_rng(1).uniform(0, 1, (1, 3, *size)).astype(np.float32)
    copies = image + noise * (0.15 * (image.max() - image.min()))
    cotangent = np.eye(1, 5, 2, dtype=np.float32)
    state, _ = Sessions({GraphKey("accumulate"): graph}).accumulate(image, noise, 0.15, cotangent)
    expected = autograd(module.double(), copies.astype(np.float64), cotangent.astype(np.float64)).mean(0)
    assert relative(state.mean, expected) < 1e-5
    if size == (31, 29):
        assert tensorrt_refuses(graph, batch=3) == ""


@pytest.mark.slow
def test_phases_are_interleaved_where_channels_are_few() -> None:
    """Behind the pointwise convolution, whose 16 channels are a quarter of what the depthwise one has."""
    model = onnx.load_from_string(compiled(InvertedBottleneck(nn.ReLU6), (32, 32)).complete())
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in graph.value_info}
    joined = [shapes[node.output[0]][1].dim_value for node in graph.node if node.op_type == "Concat"]
    assert joined == [16] * 3 + [3] * 3  # the image's own at the end


@pytest.mark.slow
def test_a_shortcut_is_added_before_its_zeros_are_written() -> None:
    """One interleaving for both, one for each axis of the max pooling, and one for the image."""
    model = onnx.load_from_string(compiled(Residual(), (32, 32)).complete())
    nodes = Counter(node.op_type for node in model.graph.node)
    assert (nodes["Concat"], nodes["ConvTranspose"]) == (3 + 2 + 3, 0)
