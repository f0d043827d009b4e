"""What the study of formulas needs of each selection part, computed once with torch and kept in the store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchmarks.where.data import SELECTION, Part, parts, references
from benchmarks.where.defects import CLASSES
from benchmarks.where.designs import DESIGNS
from benchmarks.where.networks import STD, grid, layers
from benchmarks.where.training import STORE, normalised, trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

COUNTS = {"present": 5, "missing": 5, "scuff": 2, "ok": 3}
"""Selection parts of each design."""
LEVELS = (0.02, 0.05, 0.10, 0.15)
"""Noise levels, relative to the range of the model input."""
SAMPLES = 5
OK = CLASSES.index("ok")
SHUFFLED = "~shuffled"
"""Suffix of a network's name."""


@dataclass(frozen=True)
class Gathered:
    """What one network says of one part, with the target that it predicts."""

    logits: Array
    """[K]"""
    target: int
    magnitude: Array
    """[levels + 1, SAMPLES, H, W]: the gradient's magnitude over the channels at each noisy copy; the last is of the
    difference to the class ok, at noise 0.05."""
    copies: Array
    """[levels, SAMPLES, K]: logits of the noisy copies."""
    cams: dict[str, Array]
    """``LAYER-METHOD`` → [h, w]; ``LAYER`` is ``last``, ``middle`` or ``early``; ``-contrast`` is of the difference."""


def network(name: str) -> nn.Module:
    """Return the trained network; with the suffix SHUFFLED, its weights in another order within each tensor."""
    model = trained(name.removesuffix(SHUFFLED))
    if name.endswith(SHUFFLED):
        torch.manual_seed(2)
        with torch.no_grad():
            for weights in model.parameters():
                weights.copy_(weights.flatten()[torch.randperm(weights.numel())].reshape(weights.shape))
    return model


class Subject:
    """A network with hooks at its layers."""

    def __init__(self, name: str, model: nn.Module | None = None) -> None:
        self.name = name
        self.model = network(name) if model is None else model
        self._seen: dict[str, torch.Tensor] = {}
        for layer, module in layers(name.removesuffix(SHUFFLED), self.model).items():
            module.register_forward_hook(self._keeper(layer))

    def _keeper(self, layer: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def keep(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            self._seen[layer] = output

        return keep

    def logits(self, images: Array) -> Array:
        """Return ``[N, K]`` of images ``[N, H, W, 3]`` in 0..255."""
        with torch.inference_mode():
            x = normalised(torch.from_numpy(np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2))))
            return self.model(x).numpy()

    def gradients(
        self, image: Array, target: int, level: float, *, against: int | None = None, seed: int = 0
    ) -> tuple[Array, Array]:
        """Return the magnitudes ``[SAMPLES, H, W]`` of the gradients at noisy copies, and the copies' logits."""
        x = normalised(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]))
        rng = np.random.Generator(np.random.Philox(seed))
        noise = torch.from_numpy(rng.standard_normal((SAMPLES, *x.shape[1:]), dtype=np.float32))
        copies = (x + noise * level * float(x.max() - x.min())).requires_grad_()
        logits = self.model(copies)
        score = logits[:, target] if against is None else logits[:, target] - logits[:, against]
        (gradient,) = torch.autograd.grad(score.sum(), copies)
        return np.asarray(
            gradient.square().sum(1).sqrt().numpy() / STD[0], np.float32
        ), logits.detach().numpy()

    def cams(self, image: Array, target: int) -> tuple[Array, dict[str, Array]]:
        """Return the logits ``[K]`` and the class activation maps of all layers."""
        x = normalised(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]))
        logits = self.model(x.requires_grad_())
        maps: dict[str, Array] = {}
        for suffix, score in (("", logits[0, target]), ("-contrast", logits[0, target] - logits[0, OK])):
            names = list(self._seen)
            gradients = torch.autograd.grad(score, [self._seen[name] for name in names], retain_graph=True)
            for name, gradient in zip(names, gradients, strict=True):
                feature, slope = grid(self._seen[name])[0].detach(), grid(gradient)[0]
                maps[f"{name}-grad{suffix}"] = (
                    (slope.mean((1, 2), keepdim=True) * feature).sum(0).relu().numpy()
                )
                maps[f"{name}-layer{suffix}"] = (slope.relu() * feature).sum(0).relu().numpy()
                maps[f"{name}-element{suffix}"] = (slope * feature).sum(0).relu().numpy()
        return logits[0].detach().numpy(), maps


@cache
def selection() -> tuple[Part, ...]:
    """Return the selection parts."""
    return tuple(parts(SELECTION, COUNTS))


def gathered(name: str) -> Iterator[tuple[Part, Gathered]]:
    """Yield each selection part with what ``name`` says of it, computed when it is not kept."""
    path = STORE / f"gathered-{name}.npz"
    chosen = selection()[::7] if name.endswith(SHUFFLED) else selection()
    if not path.exists():
        _gather(name, chosen, path)
    with np.load(path) as kept:
        whole = {key: kept[key] for key in kept.files}
    for number, one in enumerate(chosen):
        cams = {
            key[4:]: value[number].astype(np.float32)
            for key, value in whole.items()
            if key.startswith("cam:")
        }
        yield (
            one,
            Gathered(
                whole["logits"][number],
                int(whole["target"][number]),
                whole["magnitude"][number].astype(np.float32),
                whole["copies"][number],
                cams,
            ),
        )


def _gather(name: str, chosen: tuple[Part, ...], path: Path) -> None:
    subject = Subject(name)
    columns: dict[str, list[Any]] = {}

    def add(key: str, value: Any) -> None:
        columns.setdefault(key, []).append(value)

    for number, one in enumerate(chosen):
        image = one.image.astype(np.float32)
        target = int(subject.logits(image[None])[0].argmax())
        logits, cams = subject.cams(image, target)
        found = [subject.gradients(image, target, level) for level in LEVELS]
        contrast = subject.gradients(image, target, 0.05, against=OK)[0]
        add("logits", logits)
        add("target", target)
        add("magnitude", np.stack([_half(one[0]) for one in found] + [_half(contrast)]))
        add("copies", np.stack([one[1] for one in found]))
        for key, value in cams.items():
            add(f"cam:{key}", _half(value))
        if number % 50 == 0:
            print(f"{name}: {number} of {len(chosen)}", flush=True)
    whole: dict[str, Any] = {key: np.stack(values) for key, values in columns.items()}
    np.savez(path, **whole)


def _half(values: Array) -> NDArray[np.float16]:
    """Return ``values`` scaled to at most 1, as float16: only places count."""
    return np.asarray(values / max(float(values.max()), 1e-30), np.float16)


def reference_gradients(name: str, count: int = 2) -> NDArray[np.float16]:
    """Return ``[designs, count, K, H, W]``: √E[g²] at good parts of each design for each class, noise 0.05."""
    path = STORE / f"good-gradients-{name}.npy"
    if not path.exists():
        subject = Subject(name)
        rows = [
            [
                [
                    _half(np.sqrt(np.square(subject.gradients(image.astype(np.float32), k, 0.05)[0]).mean(0)))
                    for k in range(len(CLASSES))
                ]
                for image in references(SELECTION, design)[:count]
            ]
            for design in DESIGNS
        ]
        np.save(path, np.array(rows))
    found: NDArray[np.float16] = np.load(path)
    return found
