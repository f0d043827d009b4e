"""The training loop of the detector and the segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from examples.defects.defective import augmented

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from examples.defects.defective import DefectiveParts

BATCH = 20
FULL_NOISE = 0.6


def fit(
    model: nn.Module,
    parts: DefectiveParts,
    losses: Callable[[torch.Tensor, DefectiveParts], torch.Tensor],
    *,
    epochs: int,
    trunk: str = "trunk.",
) -> None:
    """Train ``model``; ``losses`` returns the loss of a batch of model inputs and its truth.

    Parameters whose name begins with ``trunk`` are trained already: their steps are a quarter of the others'.
    Each series of numbers comes from torch's generator and one thread computes, so a machine repeats itself.
    """
    named = list(model.named_parameters())
    groups = [[p for name, p in named if name.startswith(trunk) == known] for known in (False, True)]
    optimizer = torch.optim.AdamW([{"params": group} for group in groups], weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [4e-3, 1e-3], total_steps=epochs * -(-len(parts) // BATCH), pct_start=0.2
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own stubs lack it
    model.train()
    for epoch in range(epochs):
        seen = []
        # Little noise at first, full noise in the second half.
        noise = FULL_NOISE * min(1.0, 2 * epoch / epochs)
        for index in torch.randperm(len(parts)).split(BATCH):
            x, truth = augmented(parts[index], noise)
            loss = losses(x, truth)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            seen.append(loss.item())
        print(f"epoch {epoch + 1}/{epochs}: loss {np.mean(seen):.4f}", flush=True)
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    model.eval()
