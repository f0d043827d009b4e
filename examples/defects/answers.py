"""What a written model answers: figures are measured on the file that ships, in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def answers(
    model: Path, images: NDArray[np.uint8], outputs: Sequence[str], batch: int = 20
) -> list[NDArray[np.float32]]:
    """Return each of ``outputs`` for uint8 ``images [N, 3, 224, 224]``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    said = []
    for start in range(0, len(images), batch):
        x = (images[start : start + batch].astype(np.float32) / 255 - 0.5) / 0.25
        said.append(session.run(list(outputs), {"image": x}))
    return [np.concatenate(column) for column in zip(*said, strict=True)]
