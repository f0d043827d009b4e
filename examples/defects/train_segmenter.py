"""Train the demo's segmenter and write ``gagrad_edge/demo/segmenter.onnx``.

    python -m examples.defects.train_segmenter

A small U-Net: logits ``[N, K + 1, 224, 224]``, the background first. About five minutes on one core; all
random numbers come from SEED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from examples.defects.defective import HELD_OUT_SERIES, TRAINING_SERIES, defective_parts
from examples.defects.fitting import fit
from examples.defects.parts import CLASSES
from examples.defects.segmenting import report
from examples.defects.training import DEMO, separable, trained_trunk, write_onnx

if TYPE_CHECKING:
    from examples.defects.defective import DefectiveParts

SEED = 22
TRAINING_PARTS, HELD_OUT_PARTS = 1600, 500
EPOCHS = 8
WEIGHTS = (0.3, 3.0, 3.0, 3.0, 3.0)
"""What a pixel of each class counts: a defect covers about one pixel in a hundred."""


class Segmenter(nn.Module):
    """The classifier's trunk as the way down, and a way up with the features of each size."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trained_trunk()
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, out, 1), nn.ReLU())
            for channels, out in ((128, 64), (64, 40), (40, 16))
        )
        self.up = nn.ModuleList(
            [separable(64 + 72, 64, 1), separable(40 + 32, 40, 1), separable(16 + 16, 24, 1)]
        )
        self.fine = nn.Conv2d(24, 4 * len(CLASSES), 1)
        """Four pixels for each cell of 2×2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``[N, 5, 224, 224]`` of images ``[N, 3, 224, 224]``, normalised."""
        *beside, features = self.trunk(x)
        for narrow, level, up in zip(self.narrow, reversed(beside), self.up, strict=True):
            raised = nn.functional.interpolate(narrow(features), scale_factor=2.0, mode="nearest")
            features = up(torch.cat([raised, level], dim=1))
        return nn.functional.pixel_shuffle(self.fine(features), 2)

    def losses(self, x: torch.Tensor, truth: DefectiveParts) -> torch.Tensor:
        """Return the loss: weighted cross-entropy of the pixels, and one minus Dice of each class."""
        classes = truth.classes.long()
        logarithms = torch.log_softmax(self(x), dim=1)
        right = torch.gather(logarithms, 1, classes[:, None])[:, 0]
        weights = torch.tensor(WEIGHTS)[classes]
        pixels = -(right * weights).sum() / weights.sum()
        said = torch.exp(logarithms).sum((0, 2, 3))
        wanted = torch.bincount(classes.flatten(), minlength=len(CLASSES))
        both = torch.zeros(len(CLASSES)).index_add(0, classes.flatten(), torch.exp(right).flatten())
        dice = (2 * both + 1) / (said + wanted + 1)
        return pixels + (1 - dice[1:]).mean()


def train() -> Segmenter:
    """Return the trained segmenter in evaluation mode."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = Segmenter()
    fit(model, defective_parts(TRAINING_SERIES, TRAINING_PARTS), model.losses, epochs=EPOCHS)
    return model


if __name__ == "__main__":
    write_onnx(train(), DEMO / "segmenter.onnx", ("logits",))
    (DEMO / "segmenter.txt").write_text("\n".join(("background", *CLASSES[1:])) + "\n")
    print(report(DEMO / "segmenter.onnx", defective_parts(HELD_OUT_SERIES, HELD_OUT_PARTS)))
