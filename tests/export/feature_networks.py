"""Small networks of the kinds that factories use, in plain torch with fixed random weights.

Each has the last map of features in another place: scales of a detector, a decoder, an encoder that queries
read, a recurrent layer, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as f

if TYPE_CHECKING:
    from collections.abc import Callable


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution, its normalisation and its activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
    )


class Pyramid(nn.Module):
    """A detector as YOLOv8 is: three scales up and down, class rows ``[N, K, A]`` joined over the scales."""

    def __init__(self, classes: int = 5, *, boxes: bool = False, single: bool = False) -> None:
        super().__init__()
        self.boxes, width = boxes, 16
        self.stem = nn.Sequential(block(3, width, 2), block(width, width, 2))
        self.down = nn.ModuleList(block(width, width, 2) for _ in range(3))
        self.up = nn.ModuleList(block(2 * width, width) for _ in range(2))
        self.again = nn.ModuleList(block(width, width, 2) for _ in range(2))
        self.joined = nn.ModuleList(block(2 * width, width) for _ in range(2))
        self.scores = nn.ModuleList(
            nn.Conv2d(width, classes, 1)
            if single
            else nn.Sequential(block(width, width), nn.Conv2d(width, classes, 1))
            for _ in range(3)
        )
        self.places = nn.ModuleList(
            nn.Sequential(block(width, width), nn.Conv2d(width, 4, 1)) for _ in range(3)
        )

    def levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps that the heads read, the finest first."""
        maps = [self.stem(x)]
        for down in self.down:
            maps.append(down(maps[-1]))
        fine, middle, coarse = maps[1:]
        middle = self.up[0](torch.cat([f.interpolate(coarse, scale_factor=2.0), middle], 1))
        fine = self.up[1](torch.cat([f.interpolate(middle, scale_factor=2.0), fine], 1))
        middle = self.joined[0](torch.cat([self.again[0](fine), middle], 1))
        return [fine, middle, self.joined[1](torch.cat([self.again[1](middle), coarse], 1))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores ``[N, K, A]``, with boxes ``[N, 4 + K, A]``."""
        levels = self.levels(x)
        rows = [scores(level).flatten(2) for scores, level in zip(self.scores, levels, strict=True)]
        if not self.boxes:
            return torch.cat(rows, 2)
        places = [head(level).flatten(2) for head, level in zip(self.places, levels, strict=True)]
        return torch.cat([torch.cat(places, 2), torch.cat(rows, 2).sigmoid()], 1)


class SingleShot(nn.Module):
    """An SSD head: each scale is the next one's input, 3×3 class convolutions, rows ``[N, A, K]``."""

    def __init__(self, classes: int = 5, anchors: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.stem = nn.Sequential(block(3, 16, 2), block(16, 16, 2))
        self.down = nn.ModuleList([block(16, 24, 2), block(24, 24, 2), block(24, 24, 2)])
        self.scores = nn.ModuleList(nn.Conv2d(24, anchors * classes, 3, padding=1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores ``[N, A, K]``."""
        x, rows = self.stem(x), []
        for down, scores in zip(self.down, self.scores, strict=True):
            x = down(x)
            rows.append(scores(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.classes))
        return torch.cat(rows, 1)


class UNet(nn.Module):
    """A segmenter with skip connections: logits ``[N, K, H, W]``."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.first, self.second, self.bottom = block(3, 8), block(8, 16), block(16, 32)
        self.up, self.down = nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.third, self.last = block(32, 16), block(16, 8)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        a = self.first(x)
        b = self.second(f.max_pool2d(a, 2))
        c = self.third(torch.cat([b, self.up(self.bottom(f.max_pool2d(b, 2)))], 1))
        logits: torch.Tensor = self.head(self.last(torch.cat([a, self.down(c)], 1)))
        return logits


class Queries(nn.Module):
    """A detector as DETR is: an encoder over the tokens of a map, and queries that read them."""

    def __init__(self, classes: int = 5, queries: int = 9, *, size: int = 128) -> None:
        super().__init__()
        width, cells = 32, size // 16
        self.backbone = nn.Sequential(block(3, 16, 4), block(16, 32, 2), block(32, width, 2))
        self.positions = nn.Parameter(torch.randn(1, cells * cells, width) * 0.1)
        self.queries = nn.Parameter(torch.randn(1, queries, width))
        self.own = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(2))
        self.reads = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.scores = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return class logits ``[N, Q, K]``."""
        tokens = self.backbone(x).flatten(2).transpose(1, 2)
        for attention, norm in zip(self.own, self.norms[:2], strict=True):
            placed = tokens + self.positions
            tokens = norm(tokens + attention(placed, placed, tokens, need_weights=False)[0])
        queries = self.queries.expand(len(x), -1, -1)
        for attention, norm in zip(self.reads, self.norms[2:], strict=True):
            read = attention(queries, tokens + self.positions, tokens, need_weights=False)[0]
            queries = norm(queries + read)
        logits: torch.Tensor = self.scores(queries)
        return logits


class TextLine(nn.Module):
    """A reader of text lines: columns of a map through an LSTM, logits ``[N, T, K]``."""

    def __init__(self, characters: int = 11) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(3, 16), nn.MaxPool2d(2), block(16, 32), nn.MaxPool2d(2), block(32, 32), nn.MaxPool2d((8, 1))
        )
        self.recurrent = nn.LSTM(32, 16, bidirectional=True, batch_first=True)
        self.scores = nn.Linear(32, characters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        columns = self.features(x).squeeze(2).transpose(1, 2)
        logits: torch.Tensor = self.scores(self.recurrent(columns)[0])
        return logits


class Autoencoder(nn.Module):
    """An anomaly scorer: the mean squared difference of the image and its reconstruction."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(block(3, 16, 2), block(16, 16, 2))
        self.up = nn.Sequential(nn.ConvTranspose2d(16, 16, 2, 2), nn.SiLU(), nn.ConvTranspose2d(16, 3, 2, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the score ``[N, 1]``."""
        return ((x - self.up(self.down(x))) ** 2).mean((1, 2, 3)).unsqueeze(1)


class Teacher(nn.Module):
    """An anomaly scorer as STFPM is: differences of two networks' features, on three scales."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher, self.student = (
            nn.ModuleList([block(3, 16, 4), block(16, 24, 2), block(24, 32, 2)]) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the anomaly map ``[N, 1, H, W]``."""
        size, a, b, total = x.shape[2:], x, x, torch.ones(1)
        for teacher, student in zip(self.teacher, self.student, strict=True):
            a, b = teacher(a), student(b)
            apart = (f.normalize(a) - f.normalize(b)).square().sum(1, keepdim=True)
            total = total * f.interpolate(apart, size=size, mode="bilinear")
        return total


class Memory(nn.Module):
    """An anomaly scorer as PatchCore is: the largest distance of a patch from stored patches."""

    def __init__(self, stored: int = 40) -> None:
        super().__init__()
        self.first, self.second = nn.Sequential(block(3, 16, 4), block(16, 16, 2)), block(16, 24, 2)
        self.bank = nn.Parameter(torch.randn(stored, 40))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the score ``[N, 1]``."""
        a = self.first(x)
        b = f.interpolate(self.second(a), scale_factor=2.0, mode="bilinear")
        patches = torch.cat([a, b], 1).flatten(2).transpose(1, 2)
        squares = patches.square().sum(2, keepdim=True) + self.bank.square().sum(1)
        distances = (squares - 2 * patches @ self.bank.T).clamp_min(1e-6).sqrt()
        return distances.amin(2).amax(1, keepdim=True)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "U-Net": UNet,
    "pyramid, class rows": Pyramid,
    "pyramid, heads of one convolution": lambda: Pyramid(single=True),
    "pyramid, boxes and classes": lambda: Pyramid(boxes=True),
    "SSD head": SingleShot,
    "DETR": Queries,
    "text line (CRNN)": TextLine,
    "anomaly: autoencoder": Autoencoder,
    "anomaly: teacher and student": Teacher,
    "anomaly: memory of patches": Memory,
}
SIZES = {"text line (CRNN)": (32, 128)}
SIZE = (128, 128)
"""Height and width of the images of a network that is not in SIZES."""


def feature_network(name: str) -> nn.Module:
    """Return one of NETWORKS, with the same weights each time."""
    torch.manual_seed(0)
    return NETWORKS[name]().eval()
