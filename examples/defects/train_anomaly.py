"""Fit the demo's anomaly scorer and write ``gagrad_edge/demo/anomaly.onnx``.

    python -m examples.defects.train_anomaly

The features of good parts are taken to be normally distributed, in the manner of PaDiM (Defard et al. 2021);
the score of a place is its Mahalanobis distance. A part lies in any place and turned by any angle, so there
is one distribution for all places. Nothing is trained by steps: two minutes on one core. The features are
those of the classifier's trunk, which has seen defects; the distribution and the threshold know good parts
only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import nn

from examples.defects.anomalies import report
from examples.defects.defective import shrunk
from examples.defects.parts import CLASSES, part
from examples.defects.processes import drawing_processes
from examples.defects.training import DEMO, INPUT, Trunk, normalised, trained_trunk, write_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

FITTING_SERIES, THRESHOLD_SERIES, HELD_OUT_SERIES = 8, 9, 10
FITTING_PARTS, THRESHOLD_PARTS, HELD_OUT_PARTS = 800, 200, 500
CELL = 16.0
"""Side in pixels of a cell of the trunk's last features."""
SHRINKAGE = 0.3
"""Share of the mean variance that is added to each: the covariance of few parts is uncertain."""
SPAN = 6.0
"""How many times the threshold's distance the score 1 is."""
LEVEL = 0.98
"""Quantile of the good parts' scores that becomes the threshold: two good parts in a hundred lie above it."""


class AnomalyScorer(nn.Module):
    """Distances of the trunk's features from those of good parts, as anomalib 2 exports them.

    A score is 0.5 where the distance is the threshold, 1 where it is six times as large, 0 where it is a
    sixth; between them it grows with the logarithm, and beyond it is clamped.
    """

    def __init__(self, trunk: Trunk, mean: torch.Tensor, whitening: torch.Tensor) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("mean", mean)
        self.register_buffer("whitening", whitening)
        self.threshold = 1.0

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ``pred_score`` and ``pred_label [N, 1]``, ``anomaly_map`` and ``pred_mask [N, 1, H, W]``."""
        scaled = 0.5 + 0.5 * (self.logarithms(x) - math.log(self.threshold)) / math.log(SPAN)
        score = torch.clamp(scaled.amax((2, 3)), 0.0, 1.0)
        scaled = torch.clamp(scaled, 0.0, 1.0)
        return score, score > 0.5, scaled, scaled > 0.5

    def logarithms(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of each pixel's distance, ``[N, 1, H, W]``."""
        features = self.trunk(x)[-1].movedim(1, -1)
        away = (features - self.mean) @ self.whitening
        cells = 0.5 * torch.log((away * away).sum(-1) + 1e-6)[:, None]
        return nn.functional.interpolate(cells, scale_factor=CELL, mode="bilinear", align_corners=False)


def fitted(images: torch.Tensor) -> AnomalyScorer:
    """Return the scorer of good parts, uint8 ``[N, 3, 224, 224]``, without a threshold."""
    trunk = trained_trunk().eval()
    with torch.inference_mode():
        maps = torch.cat([trunk(normalised(batch))[-1] for batch in images.split(50)])
    cells = maps.movedim(1, -1).flatten(0, 2).double()
    covariance = torch.cov(cells.T)
    channels = len(covariance)
    covariance += SHRINKAGE * covariance.trace() / channels * torch.eye(channels, dtype=torch.double)
    # The inverse is L Lᵀ, so the distance is the length of (features - mean) L.
    whitening = torch.linalg.cholesky(torch.linalg.inv(covariance))
    return AnomalyScorer(trunk, cells.mean(0).float(), whitening.float()).eval()


def set_threshold(model: AnomalyScorer, images: torch.Tensor) -> None:
    """Set the threshold by good parts that the distribution was not fitted to."""
    with torch.inference_mode():
        far = torch.cat([model.logarithms(normalised(batch)).amax((1, 2, 3)) for batch in images.split(50)])
    model.threshold = float(torch.quantile(far, LEVEL).exp())
    median = float(far.median().exp())
    print(
        f"largest distance on {len(images)} good parts: median {median:.2f}, threshold {model.threshold:.2f}"
    )


def good_parts(series: int, count: int) -> torch.Tensor:
    """Return pictures uint8 ``[count, 3, 224, 224]`` of good parts."""
    return torch.from_numpy(rendered([(series, index, 0) for index in range(count)])[0])


def held_out_parts(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Return pictures, classes ``[count]`` and masks ``[count, 224, 224]``, all classes in turn."""
    wanted = [(HELD_OUT_SERIES, index, index % len(CLASSES)) for index in range(count)]
    images, masks = rendered(wanted)
    return images, np.array([label for _, _, label in wanted], np.int64), masks


def rendered(wanted: list[tuple[int, int, int]]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return pictures and masks of the parts that series, index and class name."""
    with drawing_processes() as pool:
        images, masks = zip(*pool.map(_rendered, wanted, chunksize=25), strict=True)
    return np.stack(images), np.stack(masks)


def _rendered(wanted: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    series, index, label = wanted
    made = part(series, index, label=label)
    image = cv2.resize(made.image, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image.transpose(2, 0, 1)), shrunk(made.mask)


def fit() -> AnomalyScorer:
    """Return the scorer with its threshold."""
    torch.set_num_threads(1)
    model = fitted(good_parts(FITTING_SERIES, FITTING_PARTS))
    set_threshold(model, good_parts(THRESHOLD_SERIES, THRESHOLD_PARTS))
    return model


if __name__ == "__main__":
    outputs = ("pred_score", "pred_label", "anomaly_map", "pred_mask")
    write_onnx(fit(), DEMO / "anomaly.onnx", outputs)
    print(report(DEMO / "anomaly.onnx", *held_out_parts(HELD_OUT_PARTS)))
