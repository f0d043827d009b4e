"""What a model's files state of its answer: class names and kind of problem, by Hugging Face and timm.

Hugging Face's ``config.json`` lies beside the model, or one folder above where the model lies in ``onnx/``.
It has ``id2label``, ``problem_type`` and ``architectures``. timm's has ``label_names``. Some exporters write
the same keys into the ONNX file's ``metadata_props``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gagrad_export.arrange.metadata import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gagrad_edge.output import Task
    from gagrad_export.arrange.arranged import Arranged

    Classes = Sequence[str] | str | Path | None

CONFIG = "config.json"
_LARGEST = 1 << 24
"""Bytes of the largest file that is read: id2label of 21,000 classes has 1 MB."""
_PROBLEMS: Mapping[str, Task] = {
    "single_label_classification": "classification",
    "multi_label_classification": "multilabel",
    "regression": "regression",
}
_CLASSIFIER = re.compile(r"\w+ForImageClassification(WithTeacher)?")
_PLACEHOLDER = re.compile(r"(LABEL_)?\d+")
"""Hugging Face's names of classes that nobody has named."""


@dataclass(frozen=True)
class Stated:
    """What the model's files state; empty where they state nothing."""

    names: tuple[str, ...] = ()
    """Class names in order, each once."""
    named_by: str = ""
    """Where the names stand, in words."""
    task: Task | None = None
    stated_by: str = ""
    """Where the task stands, in words."""
    notes: tuple[str, ...] = ()
    """What stands there and is of no use, in sentences for the user."""

    @property
    def metadata(self) -> dict[str, str]:
        """The names in the form of ``metadata_props``, for a finder that counts classes."""
        return {"id2label": json.dumps(self.names)} if self.names else {}

    def classes(self, given: Classes, arranged: Arranged, scores: int) -> tuple[Classes, str]:
        """Return the classes to use for a model of ``scores`` scores, and what to say of that.

        What the user gives wins, and what a text reader reads are characters.
        """
        if given is not None or not self.names or arranged.sequence is not None:
            return given, ""
        if arranged.classes and not set(self.names) <= set(arranged.classes):
            return given, ""  # the file has names of its own, of another kind
        background = arranged.detection is not None and arranged.detection.background is not None
        if len(self.names) not in (scores, scores - background):
            said = f"{self.named_by} has {len(self.names)} names, and the model gives {scores} scores"
            return given, f"{said}: the names are not used"
        taken = f"the class names are those of {self.named_by}; `classes` gives others"
        return self.names, taken


def stated(model: object, metadata: Mapping[str, str], preprocessing: str | Path | None = None) -> Stated:
    """Return what is stated in the ONNX file's ``metadata`` and in the configuration beside it.

    ``model`` is as the user gave it; only a path has files beside it. ``preprocessing`` is a file that the
    user names: timm's says both, and Hugging Face's lies beside the configuration. The first that has class
    names, or a task, is followed.
    """
    names: tuple[str, ...] = ()
    named_by, stated_by = "", ""
    task: Task | None = None
    notes: list[str] = []
    for where, keys in _places(model, metadata, preprocessing, notes):
        if not names and (found := _names(keys)) is not None:
            key, names = found
            named_by = f"{key} in {where}"
            if all(_PLACEHOLDER.fullmatch(name) for name in names):
                notes.append(f"{named_by} holds only placeholders such as {names[0]}: they are not used")
                names = ()
        if task is None and (said := _task(keys)) is not None:
            key, task = said
            stated_by = f"{key} in {where}"
    return Stated(_once(names), named_by, task, stated_by, tuple(notes))


def _places(
    model: object, metadata: Mapping[str, str], preprocessing: str | Path | None, notes: list[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each place that may state something, in words, and its keys.

    What is unreadable is added to ``notes``.
    """
    yield (
        "the file's metadata",
        {
            key: text if key == "problem_type" else literal(text)
            for key, text in metadata.items()
            if key in ("id2label", "label_names", "problem_type", "architectures")
        },
    )
    paths: dict[Path, str] = {}
    if isinstance(model, (str, Path)):
        folder = Path(model).parent
        if Path(model).is_file():
            paths[folder / CONFIG] = f"{CONFIG} beside the model"
            if folder.absolute().name == "onnx":
                paths[folder.absolute().parent / CONFIG] = f"{CONFIG} above the model's folder"
    if preprocessing is not None and Path(preprocessing).is_file():
        given = Path(preprocessing)
        paths.setdefault(given, given.name)
        paths.setdefault(given.parent / CONFIG, f"{CONFIG} beside {given.name}")
    for path, where in paths.items():
        if not path.is_file():
            continue
        try:
            if path.stat().st_size > _LARGEST:
                raise ValueError("it is too large for a configuration")
            keys = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            notes.append(f"{where} is not used: it cannot be read ({error})")
            continue
        if isinstance(keys, dict):
            yield where, keys


def _names(keys: Mapping[str, Any]) -> tuple[str, tuple[str, ...]] | None:
    """Return the key and the class names in order; None where there are none."""
    nested = keys.get("pretrained_cfg")
    for key, said in (
        ("id2label", keys.get("id2label")),
        ("label_names", keys.get("label_names")),
        ("label_names", nested.get("label_names") if isinstance(nested, dict) else None),
    ):
        names = _in_order(said) if isinstance(said, dict) else said
        if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
            return key, tuple(names)
    return None


def _in_order(by_number: Mapping[Any, Any]) -> list[Any]:
    """Return the names by their numbers from 0 on; none where a number is missing."""
    try:
        names = {int(number): name for number, name in by_number.items()}
    except (TypeError, ValueError):
        return []
    return [names.get(number) for number in range(len(names))]


def _task(keys: Mapping[str, Any]) -> tuple[str, Task] | None:
    """Return the key with its value, and the task; None where nothing is said of it."""
    problem = keys.get("problem_type")
    if isinstance(problem, str) and problem in _PROBLEMS:
        return f"problem_type {problem}", _PROBLEMS[problem]
    kinds = keys.get("architectures")
    for kind in kinds if isinstance(kinds, (list, tuple)) else ():
        if isinstance(kind, str) and _CLASSIFIER.fullmatch(kind):
            return f"the architecture {kind}", "classification"
    return None


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names; where one stands for several classes, such as COCO's ``N/A``, with their numbers."""
    counts = Counter(names)
    return tuple(name if counts[name] == 1 else f"{name} {index}" for index, name in enumerate(names))
