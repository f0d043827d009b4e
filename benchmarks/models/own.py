"""Heads that people write themselves: labels, measured values, several lights, a tuple of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.models.torch_file import torch_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    from benchmarks.models.entry import Entry


def entries() -> Iterator[Entry]:
    """Return the modules of this file."""
    yield torch_entry("multilabel", "Multilabel", "own module", _multilabel, (128, 128), outputs=("labels",))
    yield torch_entry(
        "six-lights", "Photometric", "own module", _lights, (128, 128), channels=6, outputs=("scores",)
    )
    yield torch_entry(
        "gauge", "Regression", "own module", _gauge, (96, 160), channels=1, outputs=("millimetres",)
    )
    yield torch_entry("yolo-v7-head", "YOLOv7 head", "own module", _anchors, (160, 160), outputs=("output",))


def _layers(channels: int, *widths: int) -> list[nn.Module]:
    from torch import nn

    steps: list[nn.Module] = []
    for narrow, wide in zip((channels, *widths), widths, strict=False):
        steps += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.SiLU()]
    return steps


def _multilabel() -> nn.Module:
    from torch import nn

    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 7), nn.Sigmoid()]
    return nn.Sequential(*_layers(3, 24, 48, 96), *pooled)


def _lights() -> nn.Module:
    """Return a classifier of photometric stereo: six images of one part under six lights."""
    from torch import nn

    return nn.Sequential(*_layers(6, 24, 48, 96), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(96, 4))


def _gauge() -> nn.Module:
    from torch import nn

    return nn.Sequential(*_layers(1, 16, 32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))


def _anchors() -> nn.Module:
    """Return a detector with the decoding of YOLOv5 and YOLOv7: three anchors a cell, objectness, sigmoid."""
    import torch
    from torch import nn

    class Anchors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            steps = _layers(3, 16, 32, 64)
            self.levels = nn.ModuleList([nn.Sequential(*steps), nn.Sequential(*_layers(64, 96))])
            heads = [nn.Conv2d(wide, 3 * (5 + 4), 1) for wide in (64, 96)]
            for head in heads:
                head.weight.data.normal_(std=0.4)
                head.bias.data.fill_(-0.5)  # type: ignore[union-attr]
            self.heads = nn.ModuleList(heads)
            for level, stride in enumerate((8, 16)):
                side = 160 // stride
                y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
                self.register_buffer(
                    f"grid{level}", torch.stack((x, y), -1).float().view(1, 1, side, side, 2)
                )
                sizes = torch.tensor([[1.0, 1.2], [2.0, 1.5], [1.5, 3.0]]) * stride
                self.register_buffer(f"sizes{level}", sizes.view(1, 3, 1, 1, 2))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x, rows = image, []
            for level, stride in enumerate((8, 16)):
                x = self.levels[level](x)
                batch, _, height, width = (answer := self.heads[level](x)).shape
                cells = answer.view(batch, 3, 9, height, width).permute(0, 1, 3, 4, 2).sigmoid()
                centre, extent, scores = cells.split((2, 2, 5), 4)
                centre = (centre * 2 - 0.5 + getattr(self, f"grid{level}")) * stride
                extent = (extent * 2) ** 2 * getattr(self, f"sizes{level}")
                rows.append(torch.cat((centre, extent, scores), 4).view(batch, 3 * height * width, 9))
            return torch.cat(rows, 1)

    return Anchors()
