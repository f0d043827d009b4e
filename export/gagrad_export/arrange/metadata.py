"""What a detector's file says of itself: ultralytics writes task, class names and thresholds."""

from __future__ import annotations

import ast
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TASKS = ("detect", "segment", "pose", "obb")
"""ultralytics' tasks whose models give boxes."""
_OTHER_TASKS = ("classify", "semantic")


@dataclass(frozen=True)
class FileSays:
    """What ``metadata_props`` hold for a detector."""

    detects: bool | None = None
    """Whether the file says that the model gives boxes; None where it says nothing of its task."""
    task: str = ""
    """ultralytics' word for the task."""
    names: tuple[str, ...] = ()
    threshold: float | None = None
    overlap: float | None = None


def file_says(metadata: Mapping[str, str]) -> FileSays:
    """Return what the file says; nothing is said by what cannot be read."""
    task = metadata.get("task", "")
    args = literal(metadata.get("args", ""))
    args = args if isinstance(args, dict) else {}
    return FileSays(
        detects=True if task in _TASKS else False if task in _OTHER_TASKS else None,
        task=task,
        names=_names(metadata),
        threshold=_share(args.get("conf")),
        overlap=_share(args.get("iou")),
    )


def _names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the class names in order: ultralytics' ``names`` or Hugging Face's ``id2label``.

    Names that are only their index are none, and neither are names that stand there twice.
    """
    for key in ("names", "id2label", "classes"):
        said = literal(metadata.get(key, ""))
        if isinstance(said, dict):
            try:
                said = [said[index] for index in sorted(said, key=int)]
            except (TypeError, ValueError):
                continue
        if isinstance(said, (list, tuple)) and said:
            return tuple(str(name) for name in said)
    return ()


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that tell the classes apart; none where they are the index, or stand there twice."""
    plain = all(name == str(index) for index, name in enumerate(names))
    return () if plain or len(set(names)) < len(names) else names


def literal(text: str) -> Any:
    """Return what a text of JSON or Python holds; None where it is neither."""
    with contextlib.suppress(ValueError):
        return json.loads(text)
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(text)
    return None


def _share(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 < value < 1 else None
