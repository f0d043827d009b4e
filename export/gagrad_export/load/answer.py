"""The tensors in what a torch module returns: one tensor, a tuple, a dict, a dataclass, or these nested."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


def tensors(answer: Any) -> list[tuple[str, torch.Tensor]]:
    """Return each tensor of ``answer`` in order, with its key: field or index, joined by points if nested."""
    return list(_tensors(answer, ()))


def has_names(answer: Any) -> bool:
    """Whether ``answer`` itself names its parts: a dict or a dataclass. Hugging Face's outputs are both."""
    return isinstance(answer, Mapping) or dataclasses.is_dataclass(answer)


def _tensors(answer: Any, place: tuple[str, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    if isinstance(answer, torch.Tensor):
        yield ".".join(place), answer
        return
    parts: list[tuple[Any, Any]] = []
    if isinstance(answer, Mapping):
        parts = list(answer.items())
    elif dataclasses.is_dataclass(answer):
        parts = [(field.name, getattr(answer, field.name)) for field in dataclasses.fields(answer)]
    elif isinstance(answer, (list, tuple)):
        parts = list(enumerate(answer))
    for key, part in parts:
        yield from _tensors(part, (*place, str(key)))
