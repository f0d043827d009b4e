"""Training and held-out parts with several defects, as tensors for the detector and the segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from examples.defects.parts import defective_part
from examples.defects.processes import drawing_processes
from examples.defects.training import INPUT, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAINING_SERIES, HELD_OUT_SERIES = 5, 6
"""Series 1 to 4 are the classifier's, 7 is for the demo's pictures, 8 to 10 are the anomaly scorer's."""
MOST = 3
"""Most defects of one part."""


@dataclass(frozen=True)
class DefectiveParts:
    """Pictures of ``N`` parts and what is on them, in pixels of the model's input.

    ``labels`` is -1, and the box zero, where a part has fewer than three defects.
    """

    images: torch.Tensor
    """uint8 ``[N, 3, 224, 224]``."""
    classes: torch.Tensor
    """uint8 ``[N, 224, 224]``: each pixel's class, 0 without a defect."""
    boxes: torch.Tensor
    """float32 ``[N, 3, 4]``: left, top, right, bottom."""
    labels: torch.Tensor
    """int64 ``[N, 3]``: an index into CLASSES, or -1."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: torch.Tensor) -> DefectiveParts:
        return DefectiveParts(self.images[index], self.classes[index], self.boxes[index], self.labels[index])


def defective_parts(series: int, count: int) -> DefectiveParts:
    """Return the first ``count`` parts of ``series``."""
    with drawing_processes() as pool:
        made = pool.map(_rendered, [(series, index) for index in range(count)], chunksize=25)
    images, classes, boxes, labels = (np.stack(column) for column in zip(*made, strict=True))
    return DefectiveParts(*(torch.from_numpy(each) for each in (images, classes, boxes, labels)))


def _rendered(
    series_and_index: tuple[int, int],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    made = defective_part(*series_and_index)
    image = cv2.resize(made.image, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    classes = np.zeros((INPUT, INPUT), np.uint8)
    boxes, labels = np.zeros((MOST, 4), np.float32), np.full(MOST, -1, np.int64)
    for place, defect in enumerate(made.defects):
        classes[shrunk(defect.mask)] = defect.label
        boxes[place] = np.array(defect.box) * INPUT / len(defect.mask)
        labels[place] = defect.label
    return np.ascontiguousarray(image.transpose(2, 0, 1)), classes, boxes, labels


def shrunk(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask ``[224, 224]``: a pixel belongs to a defect that covers at least half of it."""
    return cv2.resize(mask.astype(np.float32), (INPUT, INPUT), interpolation=cv2.INTER_AREA) >= 0.5


def augmented(parts: DefectiveParts, noise: float) -> tuple[torch.Tensor, DefectiveParts]:
    """Return the model input of a batch and its truth: mirrored, turned by quarters, brighter, noisy.

    ``noise`` is the largest standard deviation; most pictures get little. The method computes gradients at
    noisy samples, so the model must know noise.
    """
    x, classes, boxes = normalised(parts.images), parts.classes, parts.boxes
    there = (parts.labels >= 0)[..., None]
    if torch.rand(()) < 0.5:
        x, classes = x.flip(3), classes.flip(2)
        boxes = torch.stack([INPUT - boxes[..., 2], boxes[..., 1], INPUT - boxes[..., 0], boxes[..., 3]], -1)
    for _ in range(int(torch.randint(4, ()))):
        x, classes = torch.rot90(x, 1, (2, 3)), torch.rot90(classes, 1, (1, 2))
        boxes = torch.stack([boxes[..., 1], INPUT - boxes[..., 2], boxes[..., 3], INPUT - boxes[..., 0]], -1)
    x = x * (0.85 + 0.3 * torch.rand(len(x), 1, 1, 1)) + 0.3 * (torch.rand(len(x), 1, 1, 1) - 0.5)
    x = x + noise * torch.rand(len(x), 1, 1, 1) ** 2 * torch.randn_like(x)
    return x.contiguous(memory_format=torch.channels_last), DefectiveParts(
        parts.images, classes, boxes * there, parts.labels
    )
