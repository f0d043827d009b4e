"""The networks of the run as torch modules: those of the speed tables, and two small ones for the rehearsal."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.networks import MAKERS


class _Refused(nn.Module):
    """A module whose scores do not depend on the image, which the exporter refuses."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return scores of zero."""
        return image.mean((2, 3)) * 0


def module_of(network: str) -> nn.Module:
    """Return the module of ``network`` in evaluation mode, with the same weights each time."""
    if network == "refused":
        return _Refused().eval()
    if network != "small":
        return MAKERS[network]()
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).eval()
