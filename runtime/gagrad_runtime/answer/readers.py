"""Which reader reads which task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_runtime.answer.anomaly import AnomalyReader
from gagrad_runtime.answer.detection import DetectionReader
from gagrad_runtime.answer.reader import Reader
from gagrad_runtime.answer.segmentation import SegmentationReader
from gagrad_runtime.answer.sequence import SequenceReader

if TYPE_CHECKING:
    from gagrad_edge.output import OutputSpec, Task

_READERS: dict[Task, type[Reader]] = {
    "anomaly": AnomalyReader,
    "detection": DetectionReader,
    "segmentation": SegmentationReader,
    "sequence": SequenceReader,
}
"""Readers of tasks that are not read as scores of classes."""


def reader_of(spec: OutputSpec) -> Reader:
    """Return the reader of a model's output."""
    return _READERS.get(spec.task, Reader)(spec)
