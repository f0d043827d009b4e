"""Answers a question with autograd through the producer's own module, in float64.

    python -m benchmarks.models.autograd NAME FOLDER

Runs in ``.venv-models`` and knows nothing of gagrad-edge. The explained value often lies inside of the module: in
front of a sigmoid, a suppression or a clamp. So every tensor that a submodule returns is kept, and the value
is found among them by its number, on three frames. Writes ``autograd.json``.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.models.entry import entries
from benchmarks.models.torch_file import flat

if TYPE_CHECKING:
    import torch
    from torch import nn

_CLOSE = 2e-4
"""Largest difference of two float32 computations of a value, relative to the tensor's spread."""
_SMOOTH = 1e-4
_FEW = 512
"""Number of weighted elements up to which each is looked for by its own value."""


def main() -> None:
    """Compare the gradients of one question."""
    import torch

    warnings.simplefilter("ignore")
    name, folder = sys.argv[1], Path(sys.argv[2])
    question = dict(np.load(folder / "question.npz"))
    build = entries()[name].module
    if build is None:
        raise SystemExit(f"{name} has no torch module")
    module = build()
    # Backbones that are frozen under no_grad pass a gradient on when the score is asked for one.
    torch.no_grad.__enter__ = torch.no_grad.__exit__ = lambda *_: None  # type: ignore[method-assign,assignment]
    watched = Watched(module)
    # What is detached for training, the queries of RT-DETR, is part of what the file computes.
    torch.Tensor.detach = lambda tensor: tensor  # type: ignore[assignment,return-value]
    place = _find(watched, question)
    if place is None:
        answer: dict[str, Any] = {"missing": "the explained value is no tensor of the module"}
    else:
        answer = {"where": place.name, **_errors(watched, place, question, folder)}
    (folder / "autograd.json").write_text(json.dumps(answer), encoding="utf-8")


@dataclass
class Watched:
    """A module, and every tensor that its parts return on one call, by the part's name."""

    module: nn.Module
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    only: str = ""
    """The part whose tensors are kept; empty for all."""

    def __post_init__(self) -> None:
        """Keep what each part returns."""
        for name, part in self.module.named_modules():
            part.register_forward_hook(self._keeper(name or "output"))

    def _keeper(self, name: str) -> Any:
        def keep(_part: Any, _inputs: Any, answer: Any) -> None:
            if self.only not in ("", name):
                return
            try:
                tensors = flat(answer if not hasattr(answer, "_asdict") else answer._asdict())
            except TypeError:  # an object of the producer's own
                return
            for index, tensor in enumerate(tensors):
                if not tensor.is_floating_point():
                    continue
                key = f"{name}[{index}]"
                while key in self.kept:  # a part that is called for each level
                    key += "'"
                # A later step may overwrite it in place.
                self.kept[key] = tensor.clone()

        return keep

    def __call__(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return all tensors of one pass over ``x``."""
        self.kept = {}
        self.module(x * 1)
        for key, tensor in list(self.kept.items()):
            if key.startswith("output["):
                self.kept.update(_joined(key, tensor))
        return self.kept


def _joined(key: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the logits of an answer ``[N, A, 5 + K]`` that holds objectness and classes behind sigmoids, joined."""
    if tensor.ndim != 3 or tensor.shape[2] < 6:
        return {}
    joined = tensor[..., 4:5] * tensor[..., 5:]
    inside = bool(((joined > 0) & (joined < 1)).all())
    return {f"{key}, objectness and class joined": joined.log() - (-joined).log1p()} if inside else {}


@dataclass(frozen=True)
class Place:
    """Where the explained value is: a tensor of the module, flat indices into one row, and their weights."""

    name: str
    indices: np.ndarray[Any, Any]
    weights: np.ndarray[Any, Any]


def _find(watched: Watched, question: dict[str, Any]) -> Place | None:
    import torch

    passes = []
    for frame in question["frames"]:
        kept = watched(torch.from_numpy(frame[None]))
        passes.append({key: value.detach().numpy().reshape(-1) for key, value in kept.items()})
    scores = question["scores"].reshape(len(passes), -1)
    weights = question["cotangent"].reshape(-1)
    chosen = np.flatnonzero(weights)
    if scores.shape[1] == 1:
        # An output may be limited, and be at its limit on a noisy sample: what lies in front of it is explained.
        inner = [
            {key: one for key, one in kept.items() if one.size > 1 or not np.isclose(one, score)}
            for kept, score in zip(passes, scores[:, 0], strict=True)
        ]
        if (raw := _find_raw(inner, scores[:, 0], weights)) is not None:
            return raw
    # The last tensors first: the nearer to the output, the fewer there are that look alike.
    for key in reversed(passes[0]):
        if not all(key in values for values in passes):
            continue
        tensors = [values[key] for values in passes]
        if any(tensor.size != tensors[0].size for tensor in tensors):
            continue
        indices = _whole(tensors, scores)
        if indices is not None:
            return Place(key, indices[chosen], weights[chosen])
        if len(chosen) <= _FEW:
            indices = _each(tensors, scores[:, chosen])
            if indices is not None:
                return Place(key, indices, weights[chosen])
    return _find_raw(passes, scores[:, chosen[0]], weights[chosen]) if len(chosen) == 1 else None


def _find_raw(passes: list[dict[str, Any]], scores: Any, weight: Any) -> Place | None:
    """Return the raw score that one score ``[F]`` is an affine function of, as a normalised score is."""
    for key in reversed(passes[0]):
        raw = [float(values[key][0]) for values in passes if key in values and values[key].size == 1]
        slope = _slope(np.array(raw), scores) if len(raw) == len(passes) else None
        if slope is not None:
            return Place(key, np.array([0]), weight * slope)
    return None


def _slope(raw: Any, scores: Any) -> float | None:
    """Return the slope of ``scores`` over ``raw``, three of each; None where they lie on no line."""
    (x1, x2), (y1, y2) = np.diff(raw), np.diff(scores.astype(np.float64))
    if min(abs(x1), abs(x2), abs(y1), abs(y2)) < 1e-9 or abs(y1 * x2 - y2 * x1) > 1e-2 * abs(y1 * x2):
        return None
    return float((scores.max() - scores.min()) / (raw.max() - raw.min()) * np.sign(y1 * x1))


def _whole(tensors: list[Any], scores: Any) -> Any:
    """Return the indices of all scores where the tensor is the scores, in the same order; else None."""
    if tensors[0].size != scores.shape[1]:
        return None
    close = all(_same(tensor, row) for tensor, row in zip(tensors, scores, strict=True))
    return np.arange(scores.shape[1]) if close else None


def _same(tensor: Any, row: Any) -> bool:
    return bool(
        np.abs(tensor - row).max() <= _CLOSE * max(float(np.ptp(row)), float(np.abs(row).max()), 1e-12)
    )


def _each(tensors: list[Any], values: Any) -> Any:
    """Return the index of each value ``[F, N]``, which agrees on all F frames; None unless there is exactly one."""
    spread = [_CLOSE * max(float(np.abs(row).max()), 1e-12) for row in values]
    found = []
    for column in values.T:
        fits = np.ones(tensors[0].size, bool)
        for tensor, value, slack in zip(tensors, column, spread, strict=True):
            fits &= np.abs(tensor - value) <= slack
        places = np.flatnonzero(fits)
        if len(places) == 0:
            return None
        # A tensor with one value everywhere tells nothing.
        if len(places) > 1 and len({tensors[0][place].tobytes() for place in places}) > 1:
            differences = sum(np.abs(t[places] - v) for t, v in zip(tensors, column, strict=True))
            places = places[[int(np.argmin(differences))]]
        found.append(int(places[0]))
    return np.array(found)


def _errors(watched: Watched, place: Place, question: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the relative errors of the gradients, and autograd's own in float32 where they are not small.

    Autograd's gradient of the first sample is written to ``autograd.npy``.
    """
    inputs, batches = question["inputs"], question["batches"]
    watched.only = place.name.partition("[")[0]
    precision = "float64"
    try:
        watched.module.double()
        means = _means(watched, place, inputs.astype(np.float64), batches)
    except RuntimeError:  # the module makes float32 constants of its own
        precision = "float32"
        watched.module.float()
        means = _means(watched, place, inputs, batches)
    errors = _relative(question["gradients"], means)
    kind = inputs.dtype if precision == "float32" else np.float64
    if np.median(errors) > _SMOOTH:
        with contextlib.suppress(RuntimeError):  # a module for one image
            pairs = _means(watched, place, inputs.astype(kind), batches, rows=2)
            if np.median(of_pairs := _relative(question["gradients"], pairs)) < np.median(errors):
                means, errors = pairs, of_pairs
    np.save(folder / "autograd.npy", means[0])
    answer: dict[str, Any] = {"error": float(np.median(errors)), "worst": max(errors), "precision": precision}
    if answer["error"] > _SMOOTH and precision == "float64":
        watched.module.float()
        answer["own"] = float(np.median(_relative(_means(watched, place, inputs, batches), means)))
    return answer


def _means(
    watched: Watched, place: Place, inputs: np.ndarray[Any, Any], batches: np.ndarray[Any, Any], rows: int = 1
) -> list[np.ndarray[Any, Any]]:
    """Return the mean gradient of each batch, of ``rows`` equal images at a time.

    Of one image torch 2.13 misreads the layout of a cotangent behind BatchNorm on a CPU, and is wrong by more than
    the gradient's own size: RT-DETR of transformers. Of two it does not.
    """
    import torch

    found = [_gradient(watched, place, torch.from_numpy(np.repeat(row[None], rows, 0))) for row in inputs]
    return [part.mean(0) for part in np.split(np.stack(found), np.cumsum(batches)[:-1])]


def _gradient(watched: Watched, place: Place, x: torch.Tensor) -> np.ndarray[Any, Any]:
    import torch

    x = x.requires_grad_()
    with torch.enable_grad():
        value = watched(x)[place.name].reshape(-1)[torch.from_numpy(place.indices)]
        asked = (value * torch.from_numpy(place.weights).to(value)).sum()
        (gradient,) = torch.autograd.grad(asked, x)
    return gradient[0].double().numpy()


def _relative(found: Any, expected: list[np.ndarray[Any, Any]]) -> list[float]:
    """Return the relative error of each batch's gradient."""
    return [
        float(np.linalg.norm(one - other) / max(float(np.linalg.norm(other)), 1e-30))
        for one, other in zip(found, expected, strict=True)
    ]


if __name__ == "__main__":
    main()
