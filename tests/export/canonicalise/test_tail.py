"""The activation at a model's end is found behind whatever reshapes it; outputs of any rank are scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from gagrad_edge.errors import SettingError
from tests.export.source_check import check_rows, exported, model_of

rng = np.random.default_rng(0)
WEIGHTS = {
    "w": rng.normal(0, 0.5, (4, 3, 3, 3)).astype(np.float32),
    "one": np.array([1]),
    "four": np.array([4]),
    "three": np.array([3]),
    "last": np.array([-1]),
    "axes": np.array([2, 3]),
    "flat": np.array([-1, 4]),
    "zero": np.array(0),
    "column": rng.normal(0, 1, (4, 1)).astype(np.float32),
}
LOGITS = "s = Squeeze (m, axes)"
SHIFTED = f"{LOGITS} x = ReduceMax (s, last) y = Sub (s, x) e = Exp (y) z = ReduceSum (e, one)"

TAILS = {
    "Softmax, Flatten": ("p = Softmax <axis = 1> (m) scores = Flatten (p)", "softmax"),
    "Softmax, Squeeze": ("p = Softmax <axis = 1> (m) scores = Squeeze (p, axes)", "softmax"),
    "LogSoftmax, Reshape": ("p = LogSoftmax <axis = 1> (m) scores = Reshape (p, flat)", "softmax"),
    "Softmax, Cast, Identity": (
        f"{LOGITS} p = Softmax (s) q = Cast <to = 11> (p) r = Cast <to = 1> (q) scores = Identity (r)",
        "softmax",
    ),
    "Transpose, Softmax, Transpose": (
        (
            "t = Transpose <perm = [0, 2, 3, 1]> (m) p = Softmax (t) u = Transpose <perm = [0, 3, 1, 2]> (p) "
            "scores = Flatten (u)"
        ),
        "softmax",
    ),
    "Sigmoid, Squeeze": ("p = Sigmoid (m) scores = Squeeze (p, axes)", "sigmoid"),
    "Exp, ReduceSum, Div": (f"{LOGITS} e = Exp (s) z = ReduceSum (e, one) scores = Div (e, z)", "softmax"),
    "the maximum subtracted": (f"{SHIFTED} scores = Div (e, z)", "softmax"),
    "its logarithm": (f"{SHIFTED} d = Div (e, z) scores = Log (d)", "softmax"),
    "log-sum-exp": (f"{SHIFTED} l = Log (z) scores = Sub (y, l)", "softmax"),
    "ReduceLogSumExp": (f"{LOGITS} l = ReduceLogSumExp (s, one) scores = Sub (s, l)", "softmax"),
    "a Concat of sigmoids": (
        (
            "a, b = Split <axis = 1, num_outputs = 2> (m) p = Sigmoid (a) q = Sigmoid (b)"
            " j = Concat <axis = 1> (q, p) scores = Squeeze (j, axes)"
        ),
        "sigmoid",
    ),
    "no activation": (f"{LOGITS} scores = Relu (s)", None),
}


@pytest.mark.parametrize("what", TAILS)
def test_the_gradient_starts_before_it(what: str) -> None:
    """The scores, with the activation put back, are the source's; nothing of it stays in the graph."""
    body, activation = TAILS[what]
    canonical = check_rows(network(body, "N, K"))
    assert canonical.tail == activation
    assert canonical.score_shape == (4,)
    assert not {"Softmax", "LogSoftmax", "Sigmoid", "Exp", "Log", "ReduceMax"} & set(canonical.operators)


@pytest.mark.slow
def test_one_probability(tmp_path: Path) -> None:
    """A binary classifier: one output behind a sigmoid."""
    proto = network(f"{LOGITS} l = MatMul (s, column) p = Sigmoid (l) scores = Cast <to = 1> (p)", "N, 1")
    output = exported(proto, tmp_path).manifest.output
    assert (output.shape, output.activation) == ([1], "sigmoid")


def test_a_written_softmax_inside_stays_one_operator() -> None:
    """Attention by hand: one Softmax is faster, and its gradient is shorter."""
    body = f"{SHIFTED} d = Div (e, z) scores = Mul (d, s)"
    canonical = check_rows(network(body, "N, 4"))
    assert canonical.tail is None
    assert canonical.operators["Softmax"] == 1
    assert not {"Exp", "ReduceMax", "ReduceSum"} & set(canonical.operators)


def test_a_softmax_over_mixed_axes_is_part_of_the_model() -> None:
    """Behind a reshape that breaks the classes up there is no class to start the gradient at."""
    body = "p = Softmax <axis = 1> (m) scores = Reshape (p, parts)"
    canonical = check_rows(network(body, "N, 2, 2", parts=np.array([-1, 2, 2])))
    assert canonical.tail is None
    assert canonical.operators["Softmax"] == 1


def test_the_largest_of_sigmoids() -> None:
    """The scores of the values that the model itself picked, from the sigmoids that it compared."""
    body = "p = Sigmoid (s) v, i = TopK <axis = 1> (p, four) x = ReduceMax (v, one)"
    canonical = check_rows(network(f"{LOGITS} {body} scores = Concat <axis = 1> (x, v)", "N, 5"))
    assert (canonical.tail, canonical.score_shape) == ("sigmoid", (5,))
    assert canonical.operators["Sigmoid"] == 1


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (
            "a, b = Split <axis = 1, num_outputs = 2> (s) p = Sigmoid (a) scores = Concat <axis = 1> (p, b)",
            None,
        ),
        ("p = Sigmoid (s) d = Mul (p, column4) e = Sigmoid (s) scores = Concat <axis = 1> (d, e)", None),
        ("p = Softmax (s) scores = Slice (p, one, four, one)", "only some of them"),
    ],
    ids=["one of two parts", "two kinds", "a part of the classes"],
)
def test_not_the_same_activation_everywhere(body: str, plain: str | None) -> None:
    """Then the output is what the model says it is, and no activation is taken off."""
    column = np.array([[2, 3, 4, 5]], np.float32)
    canonical = check_rows(network(f"{LOGITS} {body}", "N, K", column4=column))
    assert canonical.tail is None
    assert (canonical.plain is None) if plain is None else (plain in str(canonical.plain))


@pytest.mark.parametrize("axis", [2, -1])
def test_the_axis_of_the_classes_can_be_given(axis: int) -> None:
    """Queries come before classes in a DETR's output; the scores have the classes first."""
    body = "t = Transpose <perm = [0, 2, 3, 1]> (c) scores = Reshape (t, queries)"
    proto = network(body, "N, 100, 4", queries=np.array([0, 100, 4]))
    assert check_rows(proto).score_shape == (100, 4)
    assert check_rows(proto, class_axis=axis).score_shape == (4, 100)


def test_an_axis_of_classes_that_is_not_there_is_refused() -> None:
    """An axis out of range, or another than the softmax runs over."""
    with pytest.raises(SettingError, match="class_axis"):
        check_rows(network(f"{LOGITS} scores = Relu (s)", "N, 4"), class_axis=2)
    with pytest.raises(SettingError, match="runs over axis 1"):
        check_rows(network("scores = Softmax <axis = 1> (c)", "N, 4, 10, 10"), class_axis=2)


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["N", "1"])
@pytest.mark.parametrize(
    ("body", "shape", "expected"),
    [
        (f"{LOGITS} scores = ReduceMean <keepdims = 0> (s, one)", "{}", (1,)),
        (f"{LOGITS} scores = MatMul (s, column)", "{}, 1", (1,)),
        ("scores = Relu (c)", "{}, 4, 10, 10", (4, 10, 10)),
        ("scores = Softmax <axis = 1> (c)", "{}, 4, 10, 10", (4, 10, 10)),
        ("scores = Transpose <perm = [1, 0, 2, 3]> (c)", "4, {}, 10, 10", (4, 10, 10)),
    ],
    ids=["[N]", "[N, 1]", "a map", "a segmentation", "the batch behind"],
)
def test_outputs_of_any_rank(
    tmp_path: Path, batch: str, body: str, shape: str, expected: tuple[int, ...]
) -> None:
    """``[N]`` gets an axis; what follows the batch is the scores' shape."""
    proto = network(body, shape.format(batch), batch=batch)
    assert check_rows(proto).score_shape == expected
    manifest = exported(proto, tmp_path).manifest
    assert manifest.output.shape == list(expected)
    assert (manifest.output.activation == "none") == (expected == (1,))


@pytest.mark.parametrize(
    "tail",
    [
        "p = Gather <axis = 0> (s, zero) scores = Softmax <axis = 0> (p)",
        "scores = Gather <axis = 0> (s, zero)",
    ],
)
def test_an_output_without_a_batch(tail: str) -> None:
    """``[K]`` of a model for one image: the batch is put back in front."""
    canonical = check_rows(network(f"{LOGITS} {tail}", "4", batch="1"))
    assert canonical.score_shape == (4,)
    assert canonical.tail == ("softmax" if "Softmax" in tail else None)


def network(tail: str, shape: str, *, batch: str = "N", **more: np.ndarray) -> onnx.ModelProto:
    """Return a convolution, its mean ``m [N, 4, 1, 1]``, and ``tail``."""
    body = f"c = Conv (image, w) m = ReduceMean (c, axes) {tail}"
    text = f"(float[{batch}, 3, 12, 12] image) => (float[{shape}] scores) {{ {body} }}"
    return model_of(text, **WEIGHTS, **more)


@pytest.mark.slow
def test_a_saturated_sigmoid(tmp_path: Path) -> None:
    """Probabilities below the steps of ONNX Runtime's Sigmoid, as of a text detector on an empty page."""
    body = "p = Add (m, low) scores = Sigmoid (p)"
    low = np.array(-18, np.float32)
    assert exported(network(body, "N, 4, 1, 1", low=low), tmp_path).manifest.output.activation == "sigmoid"


@pytest.mark.slow
def test_scores_that_drown_their_changes(tmp_path: Path) -> None:
    """A constant of 300 takes the digits of what a short segment changes; a longer proves the gradient."""
    proto = network(f"{LOGITS} scores = Add (s, offset)", "N, 4", offset=np.array(300, np.float32))
    assert exported(proto, tmp_path).manifest.verification.gradient_error <= 1e-2
