"""Arranged: a model whose outputs have the form of its task; Probe: what is known of the model before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from gagrad_edge.output import AnomalySpec, DetectionSpec, SegmentationSpec, SequenceSpec, Task
    from gagrad_export.arrange.layout import Layout

    Array = NDArray[np.float32]


@dataclass(frozen=True)
class Wishes:
    """What the user says of the outputs; None where the exporter is to find out."""

    task: Task | None = None
    output_name: str | None = None
    layout: str | None = None
    """A detector's layout in words, see ``arrange.layout``."""
    classes: str | Path | Sequence[str] | None = None
    """Names of the classes or characters, or the file that holds them."""
    blank: str | int | None = None
    """A text reader's blank: ``first``, ``last``, ``none`` or a number."""
    threshold: float | None = None
    """An anomaly scorer's threshold, as the model gives its score."""
    map_threshold: float | None = None
    """The same of the map beside its score."""
    class_count: int | None = None
    """How many class names the user gives."""


def _not_run(model: onnx.ModelProto) -> Mapping[str, Array]:  # noqa: ARG001 - the signature of Probe.run
    return {}


@dataclass(frozen=True)
class Probe:
    """A model as it was given, and what it answers on a few frames of different content and brightness."""

    model: onnx.ModelProto
    image: tuple[int, int, int]
    """(C, H, W) of the model's image."""
    outputs: Mapping[str, Array]
    """[F, …]: each output of the model on F frames, one after the other."""
    metadata: Mapping[str, str]
    """What the file says of itself (``metadata_props``)."""
    whole: Mapping[str, Array] = field(default_factory=dict)
    """[F, …]: the same outputs with all their axes, wherever the batch is; of one image each."""
    run: Callable[[onnx.ModelProto], Mapping[str, Array]] = _not_run
    """Answers ``[F, …]`` of another model with the same inputs, such as this one with more outputs, on the
    frames: outputs with all their axes."""
    batch: int = 1
    """Images that the model takes at a time."""


@dataclass(frozen=True)
class Arranged:
    """A model whose outputs have the form of its task: see ``gagrad_edge.abi``.

    ``model`` is the source's or a copy with nodes behind its outputs. Canonicalisation takes it from here: it
    finds the activation, frees the batch and puts the classes first.
    """

    model: onnx.ModelProto
    output_name: str | None = None
    """Output with the scores; None to leave the choice to canonicalisation."""
    task: Task | None = None
    """None to decide by the scores: see ``reading``."""
    evidence: str = ""
    """What the decision rests on, as a sentence for the user; empty without a decision."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Outputs that ``predict`` gives beside the scores: the name in ``model`` by the ABI's name."""
    classes: tuple[str, ...] = ()
    """Class names that the file carries; what the user gives wins."""
    detection: DetectionSpec | None = None
    layout: Layout | None = None
    """Of a detector: how its own values hold the detections, to compare them with what was made of them."""
    segmentation: SegmentationSpec | None = None
    anomaly: AnomalySpec | None = None
    sequence: SequenceSpec | None = None
    notes: tuple[str, ...] = ()
    """What was changed or assumed, in sentences for the user."""
    shown_name: str = ""
    """The output as the file's user knows it, where ``output_name`` is a value that was arranged from it."""


class Finder(Protocol):
    """Looks for the outputs of one task."""

    def __call__(self, probe: Probe, wishes: Wishes) -> Arranged | None:
        """Return the model in the form of the task; None where it does not look like a model of the task.

        Raises ModelError where the task was asked for, or is certain, and cannot be arranged.
        """
