"""Train the demo's detector and write ``gagrad_edge/demo/detector.onnx``.

    python -m examples.defects.train_detector

An anchor-free detector on two levels, with the output that YOLOv8's users know: ``[N, 4 + K, A]``, for each
of ``A`` places the box's centre, width and height in pixels, then the K scores 0..1. Suppression is the
caller's. About ten minutes on one core; all random numbers come from SEED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from examples.defects.defective import HELD_OUT_SERIES, TRAINING_SERIES, defective_parts
from examples.defects.detecting import report
from examples.defects.fitting import fit
from examples.defects.parts import CLASSES
from examples.defects.training import DEMO, INPUT, separable, trained_trunk, write_onnx

if TYPE_CHECKING:
    from examples.defects.defective import DefectiveParts

SEED = 21
TRAINING_PARTS, HELD_OUT_PARTS = 2500, 500
EPOCHS = 12
KINDS = CLASSES[1:]
"""What is detected: all but ``ok``."""
STRIDES = (8, 16)
LARGE = 40.0
"""Boxes whose longer side is at least as many pixels belong to the second level."""
REACH = 1.0
"""A place is responsible for a box whose centre is at most as many strides away, along both axes."""


class Head(nn.Module):
    """One level's answers: which class, and which box."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        body, last = separable(channels, 64, 1), nn.Conv2d(64, len(KINDS), 1)
        self.scores = nn.Sequential(body, last)
        self.boxes = nn.Sequential(separable(channels, 64, 1), nn.Conv2d(64, 4, 1))
        if last.bias is not None:
            nn.init.constant_(last.bias, -4.5)  # nearly all places are empty

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[N, 4 + K, places]``: shift of the centre, logarithm of the size, logits."""
        return torch.cat([self.boxes(x), self.scores(x)], dim=1).flatten(2)


class Detector(nn.Module):
    """The classifier's trunk, a top-down path, and a head on cells of 8 and of 16 pixels."""

    centres: torch.Tensor
    strides: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trained_trunk()
        self.wide = separable(128, 96, 1)
        self.down = nn.Conv2d(96, 72, 1)
        self.merged = separable(144, 96, 1)
        self.heads = nn.ModuleList([Head(96), Head(96)])
        centres, strides = places()
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[N, 4 + K, A]`` of images ``[N, 3, 224, 224]``, normalised: boxes and scores."""
        boxes, logits = self.parts(x)
        return torch.cat([boxes, torch.sigmoid(logits)], dim=1)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes ``[N, 4, A]`` (centre, width, height in pixels) and logits ``[N, K, A]``."""
        _, _, near, far = self.trunk(x)
        far = self.wide(far)
        raised = nn.functional.interpolate(self.down(far), scale_factor=2.0, mode="nearest")
        levels = self.merged(torch.cat([near, raised], dim=1)), far
        said = torch.cat([head(level) for head, level in zip(self.heads, levels, strict=True)], dim=2)
        centre = self.centres + said[:, :2] * self.strides
        size = torch.exp(torch.clamp(said[:, 2:4], max=4.0)) * self.strides
        return torch.cat([centre, size], dim=1), said[:, 4:]

    def losses(self, x: torch.Tensor, truth: DefectiveParts) -> torch.Tensor:
        """Return the loss: generalised IoU of the responsible places, cross-entropy of all places."""
        boxes, logits = self.parts(x)
        chosen, wanted, labels = self.assigned(truth)
        count = max(int(chosen.sum()), 1)
        overlap, generalised = overlaps(corners(boxes).transpose(1, 2)[chosen], wanted[chosen])
        target = torch.zeros_like(logits)
        rows, places_ = chosen.nonzero(as_tuple=True)
        # The better the box, the higher the score: after suppression the best box is left.
        target[rows, labels[chosen], places_] = 0.5 + 0.5 * overlap.detach().clamp(0, 1)
        scores = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        return (scores + 2.0 * (1 - generalised).sum()) / count

    def assigned(self, truth: DefectiveParts) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return which places ``[N, A]`` answer for a box, the box ``[N, A, 4]`` and its class ``[N, A]``."""
        left_top, right_bottom = truth.boxes[..., :2], truth.boxes[..., 2:]
        centre, side = (left_top + right_bottom) / 2, (right_bottom - left_top).amax(-1)
        away = (centre[..., None] - self.centres).abs().amax(2) / self.strides  # [N, 3, A]
        level = torch.where(side >= LARGE, STRIDES[1], STRIDES[0])
        fits = (away <= REACH) & (self.strides == level[..., None]) & (truth.labels >= 0)[..., None]
        nearest = torch.where(fits, away, torch.inf).argmin(1)  # of several boxes, the nearest
        wanted = torch.gather(truth.boxes, 1, nearest[..., None].expand(-1, -1, 4))
        labels = torch.gather(truth.labels, 1, nearest) - 1
        return fits.any(1), wanted, labels


def places() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the centres ``[2, A]`` (column, row) and strides ``[A]`` of all places, in pixels."""
    centres, strides = [], []
    for stride in STRIDES:
        along = (torch.arange(INPUT // stride) + 0.5) * stride
        rows, columns = torch.meshgrid(along, along, indexing="ij")
        centres.append(torch.stack([columns.flatten(), rows.flatten()]))
        strides.append(torch.full((rows.numel(),), float(stride)))
    return torch.cat(centres, dim=1), torch.cat(strides)


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Return left, top, right, bottom ``[N, 4, A]`` of centres and sizes ``[N, 4, A]``."""
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)


def overlaps(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the IoU and the generalised IoU (Rezatofighi et al. 2019) of boxes ``[P, 4]``, pair by pair."""
    common = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - common
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    overlap = common / union.clamp(min=1e-6)
    return overlap, overlap - (hull - union) / hull.clamp(min=1e-6)


def train() -> Detector:
    """Return the trained detector in evaluation mode."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = Detector()
    fit(model, defective_parts(TRAINING_SERIES, TRAINING_PARTS), model.losses, epochs=EPOCHS)
    return model


if __name__ == "__main__":
    write_onnx(train(), DEMO / "detector.onnx", ("output0",))
    (DEMO / "detector.txt").write_text("\n".join(KINDS) + "\n")
    held_out = defective_parts(HELD_OUT_SERIES, HELD_OUT_PARTS)
    print(report(DEMO / "detector.onnx", held_out))
