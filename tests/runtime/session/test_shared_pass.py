"""One forward pass says what the model says and gives class activation what it differentiates from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.abi import FEATURES
from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.manifest import GraphKey
from tests.runtime.session.hostile import without_sharing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.mark.parametrize("settings", [{}, {"method": "layer-cam"}, {"preset": "paper"}])
def test_the_explanation_is_that_of_two_passes(
    tiny_bundle: Path, tmp_path: Path, frame: np.ndarray, settings: dict[str, Any]
) -> None:
    """Bit for bit: map, scores and the covering test; in the same chunks, as each bundle times its own."""
    bundle = without_sharing(read_bundle(tiny_bundle))
    write_bundle(tmp_path / "apart.gagrad", bundle.manifest, {k: bytes(v) for k, v in bundle.members.items()})
    found = []
    for path in (tiny_bundle, tmp_path / "apart.gagrad"):
        with gagrad_runtime.load(path, device="cpu", threads=1) as explainer:
            explainer.predict(frame)
            found.append(explainer.explain(frame, chunk=4, **settings))
    one, other = found
    assert (one.saliency == other.saliency).all()
    assert (one.scores == other.scores).all()
    assert one.covering == other.covering


def test_one_form_of_each_graph_is_open(tiny_bundle: Path, frame: np.ndarray) -> None:
    """The plain forms stay closed, which saves their weights in memory."""
    with gagrad_runtime.load(tiny_bundle, device="cpu") as explainer:
        explainer.explain(frame)
        opened = explainer.graphs._open or {}
        assert {GraphKey("predict", FEATURES), GraphKey("cam", FEATURES)} <= opened.keys()
        assert not {GraphKey("predict"), GraphKey("cam")} & opened.keys()


def test_a_batch_leaves_what_was_predicted(tiny_bundle: Path, frame: np.ndarray) -> None:
    """``cam`` gets the activations of the frame, not those of the covered images asked in between."""
    with gagrad_runtime.load(tiny_bundle, device="cpu", threads=1) as explainer:
        expected = explainer.explain(frame, cover=False).saliency
        explainer.predict(frame)
        explainer._work.outputs(np.zeros((3, *explainer.manifest.input.shape), np.float32))
        assert (explainer.explain(frame, cover=False).saliency == expected).all()
