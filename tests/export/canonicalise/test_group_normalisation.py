"""GroupNormalization becomes InstanceNormalization, in both of its versions and at any rank."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from gagrad_export.canonicalise import canonicalise
from gagrad_export.canonicalise.contract import run
from gagrad_export.canonicalise.rewrite.group_normalisation import ReplaceGroupNormalisation

RNG = np.random.default_rng(0)


def model_of(opset: int, parameters: int, dims: str, *, tail: str = "") -> onnx.ModelProto:
    body = tail or "y = GroupNormalization <num_groups = 3, epsilon = 0.01> (x, gamma, beta)"
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]>
        m (float[N, {dims}] x) => (float[N, M] y) <float gamma = {{0}}, float beta = {{0}}> {{ {body} }}"""
    model = parser.parse_model(text)
    del model.graph.initializer[:]
    for name in ("gamma", "beta"):
        values = RNG.standard_normal(parameters).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def normalised(x: np.ndarray, model: onnx.ModelProto) -> np.ndarray:
    """Return y by the definition, in float64; the number of γ tells whether they are per group."""
    gamma, beta = (numpy_helper.to_array(value) for value in model.graph.initializer)
    groups = x.astype(np.float64).reshape(len(x), 3, -1)
    centred = groups - groups.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 0.01)
    channels = scaled.reshape(len(x), x.shape[1], -1)
    repeats = x.shape[1] // len(gamma)
    return (channels * gamma.repeat(repeats)[:, None] + beta.repeat(repeats)[:, None]).reshape(x.shape)


@pytest.mark.parametrize(("opset", "parameters"), [(18, 3), (20, 3), (21, 6), (23, 6)])
@pytest.mark.parametrize("dims", [(5, 4), (7,), ()], ids=str)
def test_the_rewriting_is_exact(opset: int, parameters: int, dims: tuple[int, ...]) -> None:
    """The rewritten GroupNormalization gives the values of the definition to 1e-5."""
    model = model_of(opset, parameters, ", ".join(map(str, (6, *dims))))
    rewritten = ir.serde.deserialize_model(model)
    assert run(rewritten, [ReplaceGroupNormalisation()])
    x = RNG.standard_normal((2, 6, *dims)).astype(np.float32)
    found = ReferenceEvaluator(ir.serde.serialize_model(rewritten)).run(["y"], {"x": x})[0]
    np.testing.assert_allclose(found, normalised(x, model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("opset", "parameters"), [(18, 3), (21, 6)])
def test_a_model_with_it_has_a_canonical_form(opset: int, parameters: int) -> None:
    """Though onnx infers no shape behind it, and its checker refuses the one of version 18."""
    tail = """c = Concat <axis = 1> (x, x) n = GroupNormalization <num_groups = 3> (c, gamma, beta)
        p = GlobalAveragePool (n) y = Flatten (p)"""
    model = model_of(opset, parameters, "3, 8, 8", tail=tail)
    operators = canonicalise(model).operators
    assert operators["InstanceNormalization"] == 1
    assert "GroupNormalization" not in operators
