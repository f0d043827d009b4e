"""pytorch-grad-cam as the peer: its own maps for a torch module, at the layer that its users name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

import numpy as np
import torch
from torch import nn

from gagrad_edge.method.class_activation import CAMS
from tests.export import networks  # noqa: F401 - lets torchvision be imported

if TYPE_CHECKING:
    from collections.abc import Callable

_UNUSED = (
    "matplotlib",
    "matplotlib.lines",
    "requests",
    "sklearn",
    "sklearn.decomposition",
    "tqdm",
)
"""What pytorch-grad-cam imports for its legends and its other methods: stand-ins do for these three."""


class Lite0WithNamedFeatures(nn.Module):
    """EfficientNet-Lite0 with a module behind the head's activation, which shares one with the stem."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.features = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        model: Any = self.model
        pooled = model._avg_pooling(self.features(model.extract_features(x)))
        scores: torch.Tensor = model._fc(model._dropout(pooled.flatten(1)))
        return scores


def pytorch_grad_cam(
    model: nn.Module,
    layer: nn.Module,
    x: np.ndarray,
    target: int,
    reshape: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> np.ndarray:
    """Return the package's maps ``[3, H, W]`` in the order of ``CAMS`` for one model input ``x``."""
    absent = {name: MagicMock() for name in _UNUSED if name not in sys.modules}
    with patch.dict(sys.modules, absent):
        from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model.requires_grad_(True)  # the package has no gradient otherwise
    maps = []
    for method in (GradCAM, GradCAMPlusPlus, LayerCAM):
        with method(model, [layer], reshape_transform=reshape) as cam:
            maps.append(cam(torch.from_numpy(x), targets=[ClassifierOutputTarget(target)])[0])
    assert len(maps) == len(CAMS)
    return np.stack(maps)
