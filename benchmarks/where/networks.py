"""The five networks: one classifier each for all parts, trained here, none chosen for its maps."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.where.defects import CLASSES
from benchmarks.where.drawing import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

logging.getLogger("torchvision").setLevel(logging.ERROR)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
"""Normalisation of the model input."""


class SmallCnn(nn.Module):
    """Eight convolutions, and the mean and the maximum of each feature."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 32, 48, 48, 96, 96, 128, 128)
        strides = (2, 1, 2, 1, 2, 1, 1, 1)
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, s, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b, s in zip(widths[:-1], widths[1:], strides, strict=True)
            )
        )
        self.head = nn.Linear(256, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``[N, K]`` of ``[N, 3, SIZE, SIZE]``, normalised."""
        far = self.features(x)
        logits: torch.Tensor = self.head(torch.cat([far.mean((2, 3)), far.amax((2, 3))], 1))
        return logits


def _mobile() -> nn.Module:
    import torchvision

    model: nn.Module = torchvision.models.mobilenet_v3_small(weights=None, num_classes=len(CLASSES))
    return model


def _resnet() -> nn.Module:
    import torchvision

    model: nn.Module = torchvision.models.resnet18(weights=None, num_classes=len(CLASSES))
    return model


def _vit() -> nn.Module:
    """Return a small ViT: 16 × 16 tokens of a convolutional stem, which trains from scratch, and a class token."""
    from timm.models.vision_transformer import VisionTransformer

    class Stem(nn.Module):
        """Three strided convolutions to tokens of 8 × 8 pixels (Xiao et al. 2021)."""

        def __init__(
            self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: object
        ) -> None:
            super().__init__()
            self.num_patches = (img_size // patch_size) ** 2
            self.patch_size = (patch_size, patch_size)
            self.grid_size = (img_size // patch_size, img_size // patch_size)
            widths = (in_chans, 24, 48, 96)
            self.convolutions = nn.Sequential(
                *(
                    nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                    for a, b in itertools.pairwise(widths)
                ),
                nn.Conv2d(widths[-1], embed_dim, 1),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Return tokens ``[N, patches, embed_dim]``."""
            tokens: torch.Tensor = self.convolutions(x).flatten(2).transpose(1, 2)
            return tokens

    model: nn.Module = VisionTransformer(
        img_size=SIZE,
        patch_size=8,
        embed_dim=64,
        depth=4,
        num_heads=4,
        num_classes=len(CLASSES),
        embed_layer=Stem,
    )
    return model


def _lite() -> nn.Module:
    """Return EfficientNet-Lite0 with ImageNet weights and a new head."""
    from tests.export.networks import lite0

    model = lite0()
    head = model._fc
    if not isinstance(head, nn.Linear):
        raise TypeError(f"{head} is no linear layer")
    model._fc = nn.Linear(head.in_features, len(CLASSES))
    return model


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "cnn": SmallCnn,
    "mobilenet": _mobile,
    "lite0": _lite,
    "resnet18": _resnet,
    "vit": _vit,
}
"""By name, the cheapest training first."""
TITLES = {
    "cnn": "CNN of eight layers",
    "mobilenet": "MobileNetV3-small",
    "lite0": "EfficientNet-Lite0",
    "resnet18": "ResNet-18",
    "vit": "ViT, 16 × 16 tokens",
}


def made(name: str) -> nn.Module:
    """Return the untrained network ``name``; the seed is fixed."""
    import tests.export.networks  # noqa: F401 - declares torchvision's operators, before torchvision is imported

    torch.manual_seed(1)
    return MAKERS[name]()


def layers(name: str, model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules whose outputs are feature maps: the last, and two of finer grids or of earlier tokens."""
    get = model.get_submodule
    if name == "cnn":
        return {"last": get("features.7"), "middle": get("features.5"), "early": get("features.3")}
    if name == "mobilenet":
        return {"last": get("features.12"), "middle": get("features.8"), "early": get("features.3")}
    if name == "resnet18":
        return {"last": get("layer4"), "middle": get("layer3"), "early": get("layer2")}
    if name == "lite0":
        return {"last": get("_bn1"), "middle": get("_blocks.10"), "early": get("_blocks.4")}
    return {"last": get("blocks.3.norm1"), "middle": get("blocks.2.norm1"), "early": get("blocks.1.norm1")}


def grid(value: torch.Tensor) -> torch.Tensor:
    """Return features ``[N, F, h, w]``; of tokens, those of the patches."""
    if value.ndim == 4:
        return value
    side = int((value.shape[1] - 1) ** 0.5)
    return value[:, 1:].transpose(1, 2).reshape(len(value), -1, side, side)
