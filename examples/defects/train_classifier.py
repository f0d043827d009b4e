"""Train the demo's classifier and write ``gagrad_edge/demo/defects.onnx``.

    python -m examples.defects.train_classifier

All random numbers come from SEED, and the held-out parts (series 2) are not used for training (series 1).
Takes about a quarter of an hour on two cores. The last bits of the weights depend on the machine's matrix
kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import nn

from examples.defects.parts import CLASSES, part
from examples.defects.processes import drawing_processes
from examples.defects.training import DEMO, INPUT, normalised, write_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20
TRAINING_SERIES, HELD_OUT_SERIES = 1, 2
TRAINING_PARTS, HELD_OUT_PARTS = 4000, 1000
EPOCHS, BATCH = 24, 25
CELLS = 28


class Block(nn.Module):
    """A depthwise 3×3 convolution, with the stride, and a pointwise convolution."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(out)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[N, out, H / stride, W / stride]``."""
        x = torch.relu(self.norms[0](self.depthwise(x)))
        return torch.relu(self.norms[1](self.pointwise(x)))


class DefectNet(nn.Module):
    """A small CNN with common operators: dense, depthwise and strided convolutions, max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(16, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.near = nn.Sequential(Block(32, 48, 1), Block(48, 72, 2), Block(72, 72, 1))
        self.far = nn.Sequential(Block(72, 96, 2), Block(96, 128, 1), Block(128, 128, 1))
        self.head = nn.Linear(256 + 2 * len(CLASSES), len(CLASSES))
        self.near_cells = nn.Conv2d(72, len(CLASSES), 1)
        self.far_cells = nn.Conv2d(128, len(CLASSES), 1)
        """Which defect is in which cell, of 8 and of 16 pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``[N, 5]`` of images ``[N, 3, 224, 224]``, normalised."""
        return self.parts(x)[0]

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the logits ``[N, 5]``, and those of the cells ``[N, 5, 28, 28]`` and ``[N, 5, 14, 14]``."""
        near = self.near(self.stem(x))
        far = self.far(near)
        cells = self.near_cells(near), self.far_cells(far)
        # The mean shows what is missing from the whole part; the maxima show a small mark.
        pooled = [far.mean((2, 3)), far.amax((2, 3)), *(each.amax((2, 3)) for each in cells)]
        return self.head(torch.cat(pooled, dim=1)), *cells

    def losses(self, x: torch.Tensor, labels: torch.Tensor, touched: torch.Tensor) -> torch.Tensor:
        """Return the loss: the class, and in every cell ``[N, 28, 28]`` whether the defect is there.

        Defects cover about one per cent of a picture. From the class alone, a small network does not learn to
        find them in a few thousand parts. With the cells of the defects as a second target it does.
        """
        logits, near, far = self.parts(x)
        named = nn.functional.one_hot(labels, len(CLASSES))[:, :, None, None]
        where = touched[:, None] * named.float()
        # In a small cell a missing hole looks like a flat area; a larger cell shows that it is missing.
        seen_near = where * (named.argmax(1, keepdim=True) != CLASSES.index("missing-hole"))
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.02)
        for cells, truth in ((near, seen_near), (far, nn.functional.max_pool2d(where, 2))):
            loss = loss + 3 * nn.functional.binary_cross_entropy_with_logits(
                cells, truth, pos_weight=torch.tensor(8.0)
            )
        return loss


def shrunk(series_and_index: tuple[int, int]) -> tuple[NDArray[np.uint8], int, NDArray[np.bool_]]:
    """Return a part's picture uint8 ``[3, 224, 224]``, its class, and the cells that its defect touches."""
    made = part(*series_and_index)
    image = cv2.resize(made.image, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    touched = cv2.resize(made.mask.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA) > 0.03
    return np.ascontiguousarray(image.transpose(2, 0, 1)), made.label, touched


def parts(series: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return uint8 images ``[count, 3, 224, 224]``, labels ``[count]``, cells bool ``[count, 28, 28]``."""
    with drawing_processes() as pool:
        made = pool.map(shrunk, [(series, index) for index in range(count)], chunksize=50)
    images, labels, cells = (np.stack(column) for column in zip(*made, strict=True))
    return torch.from_numpy(images), torch.from_numpy(labels), torch.from_numpy(cells)


def augmented(images: torch.Tensor, cells: torch.Tensor, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch and its cells, mirrored, turned by quarters, brighter or darker, and noisy."""
    x = normalised(images)
    if torch.rand(()) < 0.5:
        x, cells = x.flip(3), cells.flip(2)
    turns = int(torch.randint(4, ()))
    x, cells = torch.rot90(x, turns, (2, 3)), torch.rot90(cells, turns, (1, 2))
    x = x * (0.85 + 0.3 * torch.rand(len(x), 1, 1, 1)) + 0.3 * (torch.rand(len(x), 1, 1, 1) - 0.5)
    # The method computes gradients at noisy samples (0.15 of the range, about 0.6 here): the model must know
    # noise. Most pictures get little noise, because a scratch cannot be seen in full noise.
    x = x + noise * torch.rand(len(x), 1, 1, 1) ** 2 * torch.randn_like(x)
    return x.contiguous(memory_format=torch.channels_last), cells


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images that ``model`` classifies rightly, 0..1."""
    model.eval()
    with torch.inference_mode():
        named = torch.cat([model(normalised(batch)).argmax(1) for batch in images.split(100)])
    return float((named == labels).float().mean())


def train() -> nn.Module:
    """Return the trained classifier in evaluation mode, and print its accuracy on held-out parts."""
    torch.manual_seed(SEED)
    images, labels, cells = parts(TRAINING_SERIES, TRAINING_PARTS)
    model = DefectNet()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own stubs lack it
    steps = EPOCHS * (TRAINING_PARTS // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        model.train()
        losses = []
        # No noise at first, full noise from three quarters of the training on.
        noise = 0.6 * min(1.0, max(0.0, 2 * epoch / EPOCHS - 0.5))
        for index in torch.randperm(TRAINING_PARTS).split(BATCH):
            x, where = augmented(images[index], cells[index], noise)
            loss = model.losses(x, labels[index], where)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {np.mean(losses):.4f}", flush=True)
    images, labels, _ = parts(HELD_OUT_SERIES, HELD_OUT_PARTS)
    held_out = accuracy(model, images, labels)
    print(f"{held_out:.1%} of {HELD_OUT_PARTS} held-out parts are named rightly")
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return model.eval()


if __name__ == "__main__":
    DEMO.mkdir(exist_ok=True)
    write_onnx(train(), DEMO / "defects.onnx", ("logits",))
    (DEMO / "labels.txt").write_text("\n".join(CLASSES) + "\n")
