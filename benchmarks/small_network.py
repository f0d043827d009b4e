"""A network of seven convolutions that learns drawn parts in half a minute, for studies that train many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.where.data import part
from benchmarks.where.networks import MEAN, STD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.where.designs import Design

    Picture = NDArray[np.uint8]

SIDE = 96
"""Side of the images, in pixels."""
BATCH, RATE = 24, 4e-3


class Network(nn.Module):
    """Seven convolutions, and the mean and the maximum of each feature."""

    def __init__(self) -> None:
        super().__init__()
        widths, strides = (3, 16, 24, 32, 32, 64, 64, 64), (2, 1, 2, 1, 2, 1, 1)
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, s, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b, s in zip(widths[:-1], widths[1:], strides, strict=True)
            )
        )
        self.head = nn.Linear(2 * widths[-1], 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``[N, 2]`` of ``[N, 3, SIDE, SIDE]``, normalised."""
        far = self.features(x)
        logits: torch.Tensor = self.head(torch.cat([far.mean((2, 3)), far.amax((2, 3))], 1))
        return logits


def drawn(series: int, number: int, design: Design, kind: str) -> Picture:
    """Return part ``number`` of ``series``, uint8 ``[SIDE, SIDE, 3]``."""
    picture = part(series, number, design, kind).image
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def tensor(images: list[Picture]) -> torch.Tensor:
    """Return the model input ``[N, 3, SIDE, SIDE]``."""
    x = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()).float() / 255
    return (x - MEAN[0]) / STD[0]


def trained(
    images: list[Picture], bad: list[bool], seed: int, epochs: int, *, balanced: bool = False
) -> nn.Module:
    """Return a network that has learned from labels alone, in inference mode; 0 is good, 1 is bad.

    ``balanced`` lets both classes count the same, however many images each has.
    """
    torch.manual_seed(seed)
    inputs, labels = tensor(images), torch.tensor(bad).long()
    weight = len(bad) / (2 * torch.bincount(labels, minlength=2)) if balanced else None
    model = Network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02)
    steps = epochs * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
    for _ in range(epochs):
        for index in torch.randperm(len(images)).split(BATCH):
            x = inputs[index] * (0.95 + 0.1 * torch.rand(len(index), 1, 1, 1))
            x = x + 0.05 * torch.randn_like(x)
            logits = model(x.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(logits, labels[index], weight, label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def called_bad(model: nn.Module, images: list[Picture]) -> NDArray[np.bool_]:
    """Return which images ``[N]`` the model calls bad."""
    with torch.inference_mode():
        return np.concatenate(
            [model(tensor(images[i : i + 100])).argmax(1).bool().numpy() for i in range(0, len(images), 100)]
        )
