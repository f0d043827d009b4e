"""A table of what models end in: the bundle's probabilities are the model's own, or there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_export.assemble import predict_graph
from gagrad_export.canonicalise import Canonical, canonicalise
from gagrad_export.settings import input_spec
from gagrad_export.verify.sessions import open_session
from gagrad_runtime.question.probability import probabilities
from tests.export.source_check import check_rows, model_of

if TYPE_CHECKING:
    import onnx

SOFTMAX = {
    "operator": "p = Softmax (s)",
    "temperature in front": "t = Div (s, three) p = Softmax (t)",
    "by hand": "e = Exp (s) z = ReduceSum (e, last) p = Div (e, z)",
    "by hand, less the maximum": (
        "x = ReduceMax (s, last) d = Sub (s, x) e = Exp (d) z = ReduceSum (e, last) p = Div (e, z)"
    ),
    "exponential of a log-softmax": "l = LogSoftmax (s) p = Exp (l)",
}
SIGMOID = {
    "operator": "p = Sigmoid (s)",
    "temperature in front": "t = Div (s, three) p = Sigmoid (t)",
    "1 / (1 + Exp(−s))": "n = Neg (s) e = Exp (n) o = Add (e, one) p = Div (one, o)",
    "Reciprocal(1 + Exp(−s))": "n = Mul (s, minus) e = Exp (n) o = Add (one, e) p = Reciprocal (o)",
    "Exp(s) / (1 + Exp(s))": "e = Exp (s) o = Add (e, one) p = Div (e, o)",
    "half of 1 + Tanh(s / 2)": "h = Mul (s, half) t = Tanh (h) o = Add (t, one) p = Mul (o, half)",
    "1 − Sigmoid(s)": "k = Sigmoid (s) p = Sub (one, k)",
}
BEHIND = {
    "nothing": ("y = Identity (p)", 1.0, False),
    "a clip": ("y = Clip (p, low, high)", 1.0, False),
    "Max and Min": ("q = Max (p, low) y = Min (q, high)", 1.0, False),
    "percent": ("y = Mul (p, hundred)", 100.0, False),
    "percent, by a division, clipped": ("q = Div (p, hundredth) y = Clip (q, zero, hundred)", 100.0, False),
    "a small number": ("y = Add (p, low)", 1.0, False),
    "float16": ("q = Cast <to = 10> (p) y = Cast <to = 1> (q)", 1.0, False),
    "float64": ("q = Cast <to = 11> (p) y = Cast <to = 1> (q)", 1.0, False),
    "a logarithm": ("y = Log (p)", 1.0, True),
    "a logarithm of the clipped": ("q = Clip (p, low, high) y = Log (q)", 1.0, True),
    "a small number and a logarithm": ("q = Add (p, low) y = Log (q)", 1.0, True),
    "a reshape and a clip": (
        "q = Unsqueeze (p, last) u = Squeeze (q, last) y = Clip (u, low, high)",
        1.0,
        False,
    ),
    "two axes of one": ("y = Unsqueeze (p, places)", 1.0, False),
}
NUMBERS = {
    "one": 1.0,
    "half": 0.5,
    "zero": 0.0,
    "minus": -1.0,
    "three": 3.0,
    "hundred": 100.0,
    "hundredth": 0.01,
    "low": 1e-7,
    "high": 1 - 1e-7,
}
IMAGE = np.random.default_rng(5).random((1, 3, 12, 12)).astype(np.float32)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(
    ("activation", "how"),
    [*(("softmax", how) for how in SOFTMAX), *(("sigmoid", how) for how in SIGMOID)],
)
def test_probabilities_are_the_models_own(activation: str, how: str, behind: str) -> None:
    """To 1e-4, whatever stands for the activation and whatever lies behind it."""
    body = (SOFTMAX if activation == "softmax" else SIGMOID)[how]
    after, scale, logarithm = BEHIND[behind]
    proto = network(f"{body} {after}", 5, rank=4 if behind == "two axes of one" else 2)
    canonical = canonicalise(proto)
    assert canonical.tail == activation
    assert canonical.score_shape == (5,)
    own = run(proto) / scale
    own = np.exp(own) if logarithm else own
    # The model's own float16 has steps of 4.9e-4 below 1.
    allowed = 2.5e-4 if behind == "float16" else 1e-4
    assert np.abs(shown(canonical) - own.reshape(1, -1)).max() <= allowed
    assert not {"Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Log", "Clip"} & set(canonical.operators)


@pytest.mark.parametrize("classes", [2, 3, 10, 101, 1000])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_any_number_of_classes(activation: str, classes: int) -> None:
    """From 2 to 1000, behind a clip."""
    body = (SOFTMAX if activation == "softmax" else SIGMOID)["operator"]
    proto = network(f"{body} y = Clip (p, low, high)", classes)
    canonical = check_rows(proto)
    assert canonical.tail == activation
    assert np.abs(shown(canonical) - run(proto)).max() <= 1e-4


@pytest.mark.parametrize(
    "tail",
    [
        "p = Sigmoid (s) q = Mul (p, three) y = Sub (q, one)",
        "p = Sigmoid (s) y = Mul (p, three)",
        "p = Softmax (s) y = Clip (p, half, one)",
        "p = Softmax (s) l = Log (p) y = Neg (l)",
        "p = Softmax (s) y = Sub (one, p)",
        "p = LogSoftmax (s) y = Div (p, three)",
    ],
)
def test_what_is_no_probability_stays_in_the_model(tail: str) -> None:
    """A quantity made from an activation is explained as it is, and the reason is kept."""
    canonical = check_rows(network(tail, 5))
    assert canonical.tail is None
    assert canonical.plain


@pytest.mark.parametrize("tail", ["y = Tanh (s)", "y = Softplus (s)", "t = Mul (s, three) y = Add (t, one)"])
def test_scores_without_an_activation(tail: str) -> None:
    """A Tanh or a Softplus is an output of its own."""
    canonical = check_rows(network(tail, 5))
    assert (canonical.tail, canonical.plain) == (None, None)


def network(tail: str, classes: int, *, rank: int = 2) -> onnx.ModelProto:
    """Return a convolution, ``classes`` scores ``s`` of a range of about 10, and ``tail`` from s to y."""
    rng = np.random.default_rng(2)
    shape = f"N, {classes}" + ", 1" * (rank - 2)
    body = (
        f"c = Conv (image, w) r = Relu (c) m = ReduceMean <keepdims = 0> (r, places) s = MatMul (m, v) {tail}"
    )
    constants: dict[str, Any] = {name: np.array(value, np.float32) for name, value in NUMBERS.items()}
    return model_of(
        f"(float[N, 3, 12, 12] image) => (float[{shape}] y) {{ {body} }}",
        w=rng.normal(0, 0.5, (8, 3, 3, 3)).astype(np.float32),
        v=rng.normal(0, 6, (8, classes)).astype(np.float32),
        last=np.array([-1]),
        places=np.array([2, 3]),
        **constants,
    )


def run(proto: onnx.ModelProto) -> np.ndarray:
    """Return the model's own output for IMAGE."""
    output: np.ndarray = open_session(GraphFile(proto.SerializeToString()), "the model").run(
        None, {"image": IMAGE}
    )[0]
    return output


def shown(canonical: Canonical) -> np.ndarray:
    """Return the probabilities that a device shows for IMAGE."""
    assert canonical.tail is not None
    data = predict_graph(canonical, input_spec(canonical, mean=None, std=None))
    scores = open_session(data, "predict").run(None, {"image": IMAGE})[0]
    found = probabilities(scores, canonical.tail)
    assert found is not None
    return found
