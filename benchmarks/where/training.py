"""Trains the networks: ``python -m benchmarks.where.training [NAME …]``. Finished ones are skipped, others go on.

Each batch holds defective parts and their good twins. In the first part of a training the cells of two inner layers
are told where the difference is: from labels alone, no small network finds one per cent of a picture in a few
thousand parts. In the second part there are labels alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchmarks.where.data import ACCURACY, TRAINING, part, parts
from benchmarks.where.defects import CLASSES
from benchmarks.where.designs import DESIGNS
from benchmarks.where.drawing import SIZE
from benchmarks.where.networks import MAKERS, MEAN, STD, grid, layers, made

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STORE = Path(os.environ.get("WHERE_STORE", ".where"))
PER_KIND = 40
"""Training parts of each design and class; as many good twins."""
PAIRS, TWINS = 12, 4
"""Defective parts in a batch, and good twins of the first of them."""
EPOCHS = {"cnn": 7, "mobilenet": 8, "lite0": 3, "resnet18": 7, "vit": 7}
TOLD = 0.5
"""Share of the epochs in which cells are told where the difference is."""
FROZEN = {"lite0": ("_conv_stem", "_bn0", *(f"_blocks.{number}" for number in range(5)))}
"""Modules that keep the weights that they come with."""
HALF = ("cnn", "resnet18", "vit") if torch.backends.cpu.get_cpu_capability() in {"AVX512", "AMX"} else ()
"""Networks whose products are taken in bfloat16 in training, where that is faster: on AVX2 it takes ten times as long."""
RATE = {"cnn": 3e-3, "mobilenet": 3e-3, "resnet18": 2e-3, "lite0": 1.5e-3, "vit": 1.5e-3}


def kept(name: str, make: Callable[[], Any] | None = None) -> Any:
    """Return what ``make`` returned in this run or an earlier one, as JSON; None where it may not run."""
    path = STORE / f"{name}.json"
    if not path.exists():
        if make is None:
            return None
        path.write_text(json.dumps(make()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Return the model input of uint8 or 0..255 images."""
    return (images.float() / 255 - MEAN[0]) / STD[0]


def training_set() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return uint8 images ``[N, 3, H, W]`` of defective parts, of their good twins, and the labels ``[N]``."""
    path = STORE / f"training-{PER_KIND}.npz"
    if not path.exists():
        STORE.mkdir(exist_ok=True)
        bad, good, labels = [], [], []
        for design in DESIGNS:
            for kind in CLASSES[1:]:
                for number in range(PER_KIND):
                    one = part(TRAINING, number, design, kind)
                    bad.append(one.image.transpose(2, 0, 1))
                    good.append(one.good.transpose(2, 0, 1))
                    labels.append(one.label)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, bad=np.stack(bad), good=np.stack(good), labels=np.array(labels))
        partial.rename(path)
    with np.load(path) as kept:
        return tuple(torch.from_numpy(kept[name]) for name in ("bad", "good", "labels"))  # type: ignore[return-value]


def augmented(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return model inputs, shifted by up to 4 pixels, brighter or darker, with a little noise.

    ``images`` are parts and then as many twins, of which TWINS are kept; the second result is where the parts
    differ from their twins, ``[N / 2, H, W]``.
    """
    x = normalised(images)
    x = nn.functional.pad(x, (4, 4, 4, 4), mode="reflect")
    left, top = (int(torch.randint(9, ())) for _ in range(2))
    x = x[:, :, top : top + images.shape[2], left : left + images.shape[3]]
    half = len(x) // 2
    change = ((x[:half] - x[half:]).abs().amax(1) > 0.25).float()
    x = x[: half + TWINS]
    x = x * (0.9 + 0.2 * torch.rand(len(x), 1, 1, 1)) + 0.2 * (torch.rand(len(x), 1, 1, 1) - 0.5)
    x = x + 0.12 * torch.rand(len(x), 1, 1, 1) ** 2 * torch.randn_like(x)
    return x.contiguous(memory_format=torch.channels_last), change


class Told(nn.Module):
    """A network in training, and what reads the cells of its inner layers."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = made(name)
        self._seen: dict[str, torch.Tensor] = {}
        for layer in ("middle", "early"):
            layers(name, self.network)[layer].register_forward_hook(self._keeper(layer))
        self.network.eval()
        with torch.inference_mode():
            self.network(torch.zeros(1, 3, SIZE, SIZE))
        self.cells = nn.ModuleDict(
            {k: nn.Conv2d(grid(v).shape[1], len(CLASSES), 1) for k, v in self._seen.items()}
        )

    def _keeper(self, layer: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def keep(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            self._seen[layer] = output

        return keep

    def told(self, labels: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """Return the loss of the cells; ``change`` is where the first half of the batch differs from its twins."""
        loss = torch.zeros(())
        named = nn.functional.one_hot(labels, len(CLASSES)).float()[:, :, None, None]
        for layer, value in self._seen.items():
            cells = self.cells[layer](grid(value).float())
            touched = (nn.functional.adaptive_avg_pool2d(change[:, None], cells.shape[2:]) > 0.02).float()
            truth = torch.cat([named * touched, torch.zeros_like(cells[len(labels) :])])
            each = nn.functional.binary_cross_entropy_with_logits(cells, truth, reduction="none")
            # Cells with a defect are one in a thousand: they count as much as all others.
            loss = loss + (each * truth).sum() / truth.sum().clamp(min=1) + (each * (1 - truth)).mean()
        return loss


def train(name: str) -> None:
    """Train ``name`` and write its weights, unless they are there."""
    final, kept = STORE / f"{name}.pt", STORE / f"{name}.checkpoint"
    if final.exists():
        return
    bad, good, labels = training_set()
    model = Told(name)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own stubs lack it
    steps = -(-len(bad) // PAIRS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE[name], weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE[name], total_steps=EPOCHS[name] * steps, pct_start=0.2
    )
    first = 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["epoch"]
    for epoch in range(first, EPOCHS[name]):
        torch.manual_seed(100 + epoch)
        model.train()
        for module in FROZEN.get(name, ()):
            model.network.get_submodule(module).eval().requires_grad_(requires_grad=False)
        losses, hits, start = [], [], time.process_time()
        for index in torch.randperm(len(bad)).split(PAIRS):
            # A part and its twin are shifted alike; each gets noise and brightness of its own.
            x, change = augmented(torch.cat([bad[index], good[index]]))
            truth = torch.cat([labels[index], torch.zeros_like(labels[index])])[: len(x)]
            with torch.autocast("cpu", torch.bfloat16, enabled=name in HALF):
                logits = model.network(x)
            loss = nn.functional.cross_entropy(logits.float(), truth, label_smoothing=0.02)
            if epoch < TOLD * EPOCHS[name]:
                loss = loss + model.told(labels[index], change)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            hits.append(float((logits.argmax(1) == truth).float().mean()))
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        torch.save({**state, "epoch": epoch + 1}, kept)
        print(
            f"{name} {epoch + 1}/{EPOCHS[name]}: loss {np.mean(losses):.3f}, {np.mean(hits):.2f} right, {time.process_time() - start:.0f} s",
            flush=True,
        )
    torch.save(model.network.state_dict(), final)
    kept.unlink(missing_ok=True)


def trained(name: str) -> nn.Module:
    """Return the trained network in evaluation mode."""
    train(name)
    model = made(name)
    model.load_state_dict(torch.load(STORE / f"{name}.pt", weights_only=True))
    return model.eval()


def confusion(name: str, series: int, counts: dict[str, int]) -> NDArray[np.int64]:
    """Return how often parts of each class (rows) are given each class (columns)."""
    model = trained(name)
    table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    with torch.inference_mode():
        for one in parts(series, counts):
            x = normalised(torch.from_numpy(one.image.transpose(2, 0, 1)[None].copy()))
            table[one.label, int(model(x).argmax())] += 1
    return table


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or MAKERS:
        train(chosen)
        table = confusion(chosen, ACCURACY, {"ok": 7, **dict.fromkeys(CLASSES[1:], 2)})
        print(chosen, f"{table.trace() / table.sum():.3f}", table.diagonal() / table.sum(1), flush=True)
