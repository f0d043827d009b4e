"""Small detectors with the heads that people deploy: what each returns, and its class scores by torch."""

from __future__ import annotations

import torch
from torch import nn

CLASSES, SIZE = 5, 32


class Detector(nn.Module):
    """A trunk with feature maps of 8² and 4²."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.SiLU())
        self.down = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.SiLU())

    def levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps."""
        one = self.stem(x)
        return [one, self.down(one)]

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation, ``[N, K, A]``."""
        raise NotImplementedError


class ClassRows(Detector):
    """As YOLOv8: ``[N, 4 + K, A]``, the boxes from distributions by a softmax, the class rows by sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = nn.ModuleList([nn.Conv2d(8, 16, 1) for _ in range(2)])
        self.scores = nn.ModuleList([nn.Conv2d(8, CLASSES, 1) for _ in range(2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the detections."""
        levels = self.levels(x)
        joined = [
            torch.cat([box(y), score(y)], 1).flatten(2)
            for y, box, score in zip(levels, self.boxes, self.scores, strict=True)
        ]
        boxes, scores = torch.cat(joined, 2).split((16, CLASSES), 1)
        parts = boxes.view(-1, 4, 4, boxes.shape[-1]).transpose(1, 2).softmax(1)
        box = (parts * torch.arange(4.0).to(x.dtype).view(1, 4, 1, 1)).sum(1)
        return torch.cat([box * 8, scores.sigmoid()], 1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation."""
        found = [score(y).flatten(2) for y, score in zip(self.levels(x), self.scores, strict=True)]
        return torch.cat(found, 2)


class Objectness(Detector):
    """As YOLOv5: ``[N, A, 5 + K]``; per level a sigmoid over all, then arithmetic on the boxes' part."""

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(8, 2 * (5 + CLASSES), 1) for _ in range(2)])
        self.in_place = in_place

    def raw(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return ``[N, 2, H, W, 5 + K]`` of each level."""
        maps = [head(y) for head, y in zip(self.heads, self.levels(x), strict=True)]
        return [
            y.view(-1, 2, 5 + CLASSES, y.shape[2], y.shape[3]).permute(0, 1, 3, 4, 2).contiguous()
            for y in maps
        ]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the detections."""
        found = []
        for y in self.raw(x):
            p = y.sigmoid()
            if self.in_place:
                p[..., 0:2] = p[..., 0:2] * 2 - 0.5
                p[..., 2:4] = (p[..., 2:4] * 2) ** 2
            else:
                xy, wh, rest = p.split((2, 2, 1 + CLASSES), 4)
                p = torch.cat([xy * 2 - 0.5, (wh * 2) ** 2, rest], 4)
            found.append(p.view(-1, p.shape[1] * p.shape[2] * p.shape[3], 5 + CLASSES))
        return torch.cat(found, 1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation."""
        return torch.cat([y.flatten(1, 3) for y in self.raw(x)], 1)[..., 5:].transpose(1, 2)


class Anchorless(Detector):
    """As YOLOX: boxes, sigmoid of objectness and of classes joined per level, flattened, then permuted."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes, self.objects, self.scores = (
            nn.ModuleList([nn.Conv2d(8, width, 1) for _ in range(2)]) for width in (4, 1, CLASSES)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the detections."""
        heads = zip(self.levels(x), self.boxes, self.objects, self.scores, strict=True)
        joined = [torch.cat([box(y), obj(y).sigmoid(), cls(y).sigmoid()], 1) for y, box, obj, cls in heads]
        return torch.cat([y.flatten(2) for y in joined], 2).permute(0, 2, 1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation."""
        found = [score(y).flatten(2) for y, score in zip(self.levels(x), self.scores, strict=True)]
        return torch.cat(found, 2)


class Queries(Detector):
    """As RT-DETR: the best positions become queries, gathered by computed indices; ``[N, Q, 4 + K]``."""

    def __init__(self) -> None:
        super().__init__()
        self.choose, self.classes, self.boxes = nn.Linear(8, 2), nn.Linear(8, CLASSES), nn.Linear(8, 4)

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """Return the best 6 positions, ``[N, 6, 8]``, picked by row and index as ultralytics does."""
        memory = torch.cat([y.flatten(2) for y in self.levels(x)], 2).transpose(1, 2)
        _, best = self.choose(memory).max(-1)[0].topk(6, dim=1)
        rows = torch.arange(memory.shape[0]).unsqueeze(-1).repeat(1, 6).view(-1)
        return memory[rows, best.view(-1)].view(memory.shape[0], 6, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the detections."""
        q = self.queries(x)
        return torch.cat([self.boxes(q).sigmoid(), self.classes(q).sigmoid()], 2)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation."""
        scores: torch.Tensor = self.classes(self.queries(x))
        return scores.transpose(1, 2)


class SoftmaxClasses(Detector):
    """As SSD: a softmax over the classes of ``[N, A, K]``, joined behind the boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.ModuleList([nn.Conv2d(8, 2 * CLASSES, 1) for _ in range(2)])
        self.boxes = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in range(2)])

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation."""
        return self._joined(x, self.scores, CLASSES).transpose(1, 2)

    def _joined(self, x: torch.Tensor, heads: nn.ModuleList, width: int) -> torch.Tensor:
        maps = [head(y) for head, y in zip(heads, self.levels(x), strict=True)]
        flat = [y.permute(0, 2, 3, 1).reshape(-1, y.shape[2] * y.shape[3] * 2, width) for y in maps]
        return torch.cat(flat, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the detections."""
        scores = self._joined(x, self.scores, CLASSES).softmax(-1)
        return torch.cat([self._joined(x, self.boxes, 4), scores], 2)


class EndToEnd(ClassRows):
    """As YOLOv10: the best 7 anchors by TopK, ``[N, 7, 6]`` of box, score and class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the detections."""
        boxes, scores = super().forward(x).transpose(1, 2).split((4, CLASSES), 2)
        _, anchors = scores.amax(2).topk(7)
        anchors = anchors.unsqueeze(-1)
        boxes = boxes.gather(1, anchors.repeat(1, 1, 4))
        best, index = scores.gather(1, anchors.repeat(1, 1, CLASSES)).flatten(1).topk(7)
        own = boxes.gather(1, (index // CLASSES).unsqueeze(-1).repeat(1, 1, 4))
        return torch.cat([own, best[..., None], (index % CLASSES)[..., None].to(x.dtype)], 2)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Return the class scores in front of the activation."""
        scores = super().logits(x).transpose(1, 2)
        _, anchors = scores.amax(2).topk(7)
        chosen = scores.gather(1, anchors.unsqueeze(-1).repeat(1, 1, CLASSES))
        return chosen.flatten(1).topk(7)[0].unsqueeze(1)
