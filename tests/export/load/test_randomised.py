"""Shuffled weights: the same network, with nothing learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import gagrad_runtime
from gagrad_edge.errors import ModelError
from gagrad_export import BundleOptions, export
from gagrad_export.load.onnx_file import load_onnx_file
from gagrad_export.load.randomised import randomised
from tests.models import tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(tiny_model(), tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_weights_keep_their_values_and_lose_their_places(model: Path) -> None:
    """Shuffling moves the weights within each tensor, the same way for a seed; biases stay."""
    source = load_onnx_file(model)
    before, after = weights(source.model), weights(randomised(source, 1).model)
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert moved
    assert all(before[name].ndim > 1 for name in moved)
    for name in before:
        np.testing.assert_array_equal(np.sort(before[name], axis=None), np.sort(after[name], axis=None))
    again, other = (weights(randomised(source, seed).model) for seed in (1, 2))
    assert all(np.array_equal(after[name], again[name]) for name in after)
    assert any(not np.array_equal(after[name], other[name]) for name in after)


@pytest.mark.slow
def test_a_bundle_of_it_says_so_and_explains_otherwise(model: Path, tmp_path: Path) -> None:
    """A bundle of shuffled weights notes so, and its map is another one."""
    frame = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    maps = []
    for name, seed in (("plain", None), ("shuffled", 1)):
        options = BundleOptions(randomize=seed)
        manifest = export(model, tmp_path / f"{name}.gagrad", bundle=options).manifest
        assert any("shuffled" in note for note in manifest.model.notes) == (seed is not None)
        with gagrad_runtime.load(tmp_path / f"{name}.gagrad", device="cpu") as explainer:
            maps.append(explainer.explain(frame, 0).saliency)
    assert not np.allclose(*maps, atol=0.05)


def test_nothing_to_shuffle_is_said(model: Path) -> None:
    """A model without float weights raises ModelError."""
    source = load_onnx_file(model)
    for tensor in source.model.graph.initializer:
        tensor.data_type = onnx.TensorProto.INT8
    with pytest.raises(ModelError, match="no weights"):
        randomised(source, 0)
