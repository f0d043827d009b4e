"""Labelled images as evidence that the pictures are fed right: what both sides know of a check.

The exporter asks for a check and the runtime makes it, and neither imports the other. So the function of the
runtime is found by an entry point, as the commands are.
"""

from __future__ import annotations

import glob
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gagrad_edge.errors import MissingPackageError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import Checked, NoiseLevel
    from gagrad_edge.output import OutputSpec

ENTRY_POINTS = "gagrad_edge.checkers"
AT_LEAST = 0.9
"""Share of the labelled images that must be answered as labelled, where no other is asked for."""
NO_LABEL = "none"
"""Answer of a model that may find none of its labels or classes."""
SEVERAL = ("multilabel", "detection")
"""Tasks whose answer may be several names, joined by ``+``."""


class Labelled(NamedTuple):
    """An image file and what the model should say of it."""

    path: str
    label: str


class Tried(NamedTuple):
    """What labelled images say of a bundle."""

    checked: Checked
    """How they are answered."""
    noise: NoiseLevel
    """As much noise as they bear."""


class Checker(Protocol):
    """The runtime's function that makes a check."""

    def __call__(
        self,
        bundle: Bundle,
        labelled: Sequence[Labelled],
        *,
        at_least: float,
        progress: Callable[[int, int, str], None],
    ) -> Tried:
        """Return what ``labelled`` images say of ``bundle``, which the caller has just made, on the CPU."""


def checker() -> Checker:
    """Return the installed checker. Raises MissingPackageError."""
    for point in entry_points(group=ENTRY_POINTS):
        found: Checker = point.load()
        return found
    raise MissingPackageError(
        "the part of gagrad-edge that runs a bundle is not installed",
        where="check",
        hint='pip install "gagrad-edge[cpu,export]"',
    )


def read_checks(checks: Sequence[str]) -> list[Labelled]:
    """Return the labelled images of ``PATTERN=LABEL`` texts, sorted within each. Raises SettingError."""
    labels: dict[str, str] = {}
    for check in checks:
        pattern, equals, label = check.rpartition("=")
        if not equals or not pattern or not label.strip():
            raise SettingError(
                f"{check!r} is not PATTERN=LABEL",
                where="check",
                hint="give images and what the model should say of them, such as 'good/*.png=ok'",
            )
        found = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not found:
            raise SettingError(f"no file matches {pattern!r}", where="check", hint="check the path")
        for path in found:
            if labels.setdefault(path, label.strip()) != label.strip():
                raise SettingError(f"{path} is labelled {labels[path]} and {label.strip()}", where="check")
    return [Labelled(path, label) for path, label in labels.items()]


def check_share(at_least: float) -> None:
    """Raise SettingError unless ``at_least`` is a share."""
    if not 0 <= at_least <= 1:
        raise SettingError(
            f"{at_least:g} is not from 0 to 1", where="check_at_least", hint="0.9 asks for nine of ten images"
        )


def answers(output: OutputSpec) -> list[str]:
    """Return what a model with ``output`` can say, as ``answer.label`` of the runtime writes it.

    Of labels and detections, several of which may come together, these are the single ones. Raises
    SettingError for a task whose answers are no names.
    """
    names = output.classes or [str(index) for index in range(output.shape[0])]
    flat = len(output.shape) == 1
    if output.task == "segmentation" and len(output.shape) == 3:
        return names + [NO_LABEL] * (output.activation == "sigmoid")
    if output.detection is not None:
        return [*(n for i, n in enumerate(names) if i != output.detection.background), NO_LABEL]
    if output.task in ("classification", "multilabel") and flat and output.shape[0] > 1:
        return names + [NO_LABEL] * (output.task == "multilabel")
    if output.task in ("classification", "multilabel") and flat and output.activation == "sigmoid":
        return [output.classes[0], f"not {output.classes[0]}"] if output.classes else ["1", "0"]
    if output.anomaly is not None and output.anomaly.threshold is not None:
        return ["OK", "NG"]
    raise SettingError(
        f"a check compares names, and the model's task is {output.task}"
        + (" without a threshold" if output.task == "anomaly" else ""),
        where="check",
        hint="export it with `threshold`"
        if output.task == "anomaly"
        else "look at the pictures of `gagrad-edge explain` on a few images instead",
    )


def require_labels(labelled: Sequence[Labelled], output: OutputSpec) -> None:
    """Raise SettingError for a label that the model cannot give."""
    known = answers(output)
    for _, label in labelled:
        parts = label.split("+") if output.task in SEVERAL and len(known) > 2 else [label]
        unknown = [part for part in parts if part not in known]
        if unknown:
            raise SettingError(
                f"the model cannot answer {unknown[0]!r}",
                where="check",
                hint="a label is a class name, or an index where the classes have no names",
                choices=known[:20],
            )


def in_order(labelled: Sequence[Labelled], output: OutputSpec) -> list[Labelled]:
    """Return ``labelled`` with the names of each label in the order in which ``output`` has them."""
    known = answers(output)
    if output.task not in SEVERAL or len(known) <= 2:
        return list(labelled)
    return [
        Labelled(path, "+".join(sorted(set(label.split("+")), key=known.index))) for path, label in labelled
    ]
