"""A network whose last feature map is coarse, so that its bundle has a finer layer, too."""

from __future__ import annotations

import torch


class Coarse(torch.nn.Module):
    """Two strided convolutions, a residual block on their grid, and two more: cells of 4 and of 16 pixels."""

    def __init__(self) -> None:
        super().__init__()

        def strided(before: int, after: int) -> torch.nn.Module:
            return torch.nn.Sequential(torch.nn.Conv2d(before, after, 3, 2, 1), torch.nn.Tanh())

        self.stem = torch.nn.Sequential(strided(3, 6), strided(6, 8))
        self.block = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3, 1, 1), torch.nn.Tanh())
        self.tail = torch.nn.Sequential(strided(8, 8), strided(8, 10))
        self.head = torch.nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores ``[N, 4]`` of images ``[N, 3, h, w]``."""
        fine = self.stem(x)
        fine = fine + self.block(fine)
        far = self.tail(fine)
        scores: torch.Tensor = self.head(far.mean((2, 3)))
        return scores
