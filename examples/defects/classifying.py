"""How many parts of each class the classifier names rightly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from examples.defects.answers import answers
from examples.defects.parts import CLASSES
from examples.defects.train_classifier import parts

if TYPE_CHECKING:
    from pathlib import Path


def report(model: Path, series: int, count: int) -> str:
    """Return the classifier's figures on the first ``count`` parts of ``series``, as a Markdown table."""
    images, labels, _ = parts(series, count)
    (logits,) = answers(model, images.numpy(), ("logits",))
    right, truth = logits.argmax(1) == labels.numpy(), labels.numpy()
    rows = ["| class | parts | named rightly |", "|---|---|---|"]
    for label, name in enumerate(CLASSES):
        these = truth == label
        rows.append(f"| {name} | {these.sum()} | {right[these].sum()} |")
    rows.append(f"| all | {count} | {right.sum()}: {np.mean(right):.1%} |")
    return "\n".join(rows)
