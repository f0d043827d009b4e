"""RCAP's handful of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gagrad_edge.manifest import MethodSpec
from gagrad_edge.method.reference import rcap_levels, recover
from gagrad_edge.output import Activation, OutputSpec
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Reader
from gagrad_runtime.question.probability import probabilities
from gagrad_runtime.question.target import Target
from gagrad_runtime.sampling.rcap import rcap


def _confidence(
    recovered: NDArray[np.float32], original: NDArray[np.float32], target: Target, activation: Activation
) -> NDArray[np.float64]:
    spec = OutputSpec(name="scores", shape=list(original.shape[1:]), activation=activation, classes=[])
    return Reader(spec).confidence(Outputs(recovered), Outputs(original), target)


@pytest.mark.parametrize("name", ["rcap_distinct", "rcap_ties"])
@pytest.mark.parametrize(("lower", "interval"), [(0.5, 0.1), (0.7, 0.05), (0.1, 0.3)])
def test_scores_equal_the_authors(golden: Path, name: str, lower: float, interval: float) -> None:
    """From the map and the logits of the recovered images to the score, to 1e-6."""
    with np.load(golden / f"{name}.npz") as vectors:
        key = f"lb{lower}_iv{interval}"
        _, ratio = recover(vectors["image"], vectors["saliency"], rcap_levels(lower, interval))
        logits, target = vectors[f"{key}_logits"], int(vectors[f"{key}_target"])
        # The authors' program has no row for a level that it leaves out.
        rows = np.zeros((len(ratio), logits.shape[1]), np.float32)
        rows[ratio >= 0] = logits
        conf = _confidence(rows, rows[:1], Target((target,), ""), "softmax")
        score = rcap(ratio, conf, MethodSpec(rcap_lower_bound=lower, rcap_interval=interval))
        assert score.score == pytest.approx(float(vectors[f"{key}_rcap"]), abs=1e-6)
        assert len(score.levels) == len(score.ratio) == len(score.confidence) == len(logits)


def test_probabilities() -> None:
    """Softmax and sigmoid of extreme scores do not overflow; no activation gives no probabilities."""
    scores = np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32)
    softmax, sigmoid = probabilities(scores, "softmax"), probabilities(-scores, "sigmoid")
    assert softmax is not None
    assert sigmoid is not None
    np.testing.assert_allclose(softmax, [[1, 0], [0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(sigmoid, [[0, 0.5], [0.5, 0.5]], atol=1e-7)
    assert probabilities(scores, "none") is None


def test_a_plain_score_recovers_in_part() -> None:
    """clip(f(I_r) / f(I), 0, 1), and nothing where there was no score."""
    recovered = np.array([[-1.0], [2.0], [9.0]], np.float32)
    target = Target((0,), "")
    found = _confidence(recovered, np.array([[4.0]], np.float32), target, "none")
    np.testing.assert_allclose(found, [0, 0.5, 1])
    assert (_confidence(recovered, np.array([[0.0]], np.float32), target, "none") == 0).all()
