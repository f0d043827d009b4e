"""The methods against their definitions, on gradients of a model whose gradient is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import gagrad_runtime
from gagrad_edge.errors import SettingError, TargetError
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.reference import normalise
from gagrad_export import BundleOptions, OutputOptions, export
from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.session.explainer import Explainer

SIZE = (16, 20)
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 3, *SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory, weights: np.ndarray) -> Iterator[Explainer]:
    """f_k(x) = Σ w_k x², so that the gradient is 2 w_k x: it differs from copy to copy and is known."""
    flat = numpy_helper.from_array(weights.reshape(2, -1).T.copy(), "w")
    shape = numpy_helper.from_array(np.array([0, -1]), "shape")
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squared"]),
        helper.make_node("Reshape", ["squared", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("x", 1, ["N", 3, *SIZE])
    scores = helper.make_tensor_value_info("scores", 1, ["N", 2])
    graph = helper.make_graph(nodes, "squares", [image], [scores], [flat, shape])
    folder = tmp_path_factory.mktemp("squares")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "squares.onnx")
    export(
        folder / "squares.onnx",
        folder / "squares.gagrad",
        mean=MEAN,
        std=STD,
        outputs=OutputOptions(activation="softmax"),
        bundle=BundleOptions(feature_layer=None),
    )
    with gagrad_runtime.load(folder / "squares.gagrad", device="cpu") as explainer:
        yield explainer


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def x(frame: np.ndarray) -> np.ndarray:
    image = frame.transpose(2, 0, 1) / 255
    return (image - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("target", [0, 1])
def test_methods_are_their_definitions(
    squares: Explainer, frame: np.ndarray, x: np.ndarray, weights: np.ndarray, target: int
) -> None:
    """On a model with a known gradient, each method's map and raw range are those of its formula."""
    noise = np.concatenate(list(noise_chunks(3, 9, 9, x.shape)))
    copies = x + noise * (0.15 * (x.max() - x.min()))
    w = weights[target].astype(np.float64)
    gradients, plain = 2 * w * copies, 2 * w * x
    black = (0 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    expected = {
        "absolutegrad": np.abs(gradients).mean(0),
        "gradient": np.abs(plain),
        "input-x-gradient": np.abs(x * plain),
        "smoothgrad": np.abs(gradients.mean(0)),
        "smoothgrad-squared": np.square(gradients).mean(0),
        "vargrad": gradients.var(0, ddof=1),
        # The mean of 2 w x over the straight path is 2 w times its middle.
        "integrated-gradients": np.abs((x - black) * 2 * w * (x + black) / 2),
    }
    for method, per_channel in expected.items():
        found = squares.explain(frame, target, method=method, samples=9, seed=3)
        total = per_channel.sum(0)
        np.testing.assert_allclose(found.saliency, normalise(total), atol=2e-5, err_msg=method)
        np.testing.assert_allclose(found.raw, (total.min(), total.max()), rtol=1e-4, err_msg=method)
        assert found.provenance.method == method
        assert (found.stability is None) == (METHODS[method].samples_at != "noisy")


@pytest.mark.slow
def test_each_preset_has_its_method(squares: Explainer, frame: np.ndarray) -> None:
    """The operator's is the default; the paper's is guided-absolutegrad, the only guided one."""
    assert squares.explain(frame).provenance.method == "gradient-x-cam"
    assert squares.explain(frame, preset="paper").provenance.method == "guided-absolutegrad"
    assert [name for name in METHODS if METHODS[name].map == "guided"] == ["guided-absolutegrad"]


def test_a_baseline_moves_integrated_gradients(squares: Explainer, frame: np.ndarray) -> None:
    """Integrated gradients from black and from white are different maps."""
    maps = [
        squares.explain(frame, 0, method="integrated-gradients", baseline=value).saliency for value in (0, 1)
    ]
    assert not np.allclose(*maps, atol=0.01)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "grad"}, "no method"),
        ({"method": "gradient", "guide": "paper"}, "has no guide"),
        ({"guide": "nice"}, "no guide 'nice'"),
        ({"method": "integrated-gradients", "budget_ms": 10}, "stop early"),
        ({"method": "gradient", "until_stable": 0.9}, "stop early"),
        ({"baseline": 2}, "out of range"),
        ({"until_stable": 1.0}, "out of range"),
        ({"budget_ms": 0.0}, "out of range"),
        ({"method": "grad-cam"}, "no graph for the Grad-CAM"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(
    squares: Explainer, frame: np.ndarray, settings: dict[str, object], said: str
) -> None:
    """A setting that the method does not have raises SettingError with the reason."""
    with pytest.raises(SettingError, match=said):
        squares.explain(frame, **settings)


def test_several_targets_share_the_noise(squares: Explainer, frame: np.ndarray) -> None:
    """Each of several targets gets the map that it has alone with the same seed."""
    both = [squares.explain(frame, target, seed=4) for target in (0, 1)]
    for index, found in enumerate(both):
        alone = squares.explain(frame, index, seed=4)
        np.testing.assert_array_equal(found.saliency, alone.saliency)


def test_a_region_needs_a_spatial_output(squares: Explainer, frame: np.ndarray) -> None:
    """A region for a model without a spatial output raises TargetError."""
    with pytest.raises(TargetError, match="no places"):
        squares.explain(frame, 0, region="0,0,4,4")
