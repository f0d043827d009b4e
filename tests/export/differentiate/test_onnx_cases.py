"""ONNX's own test cases of its operators: outputs as stored there, gradients as differences in float64.

Each case of ``onnx.backend.test`` is one operator with inputs and the outputs that every backend must give.
Here each floating-point input in turn is what is explained, and the others are constants. What is refused is
listed.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import GagradError
from gagrad_export.assemble.graph import finish
from gagrad_export.canonicalise.contract import run
from gagrad_export.canonicalise.findings import Known
from gagrad_export.canonicalise.fold.inference import supply_shapes
from gagrad_export.canonicalise.passes import ONE_OPSET, SIMPLE_OPERATORS
from gagrad_export.differentiate import gradients, registry
from gagrad_export.emit import Op
from gagrad_export.lower import lower
from gagrad_export.verify.double import in_double
from tests.long import all_but

if TYPE_CHECKING:
    from onnx.backend.test.case.test_case import TestCase

pytestmark = pytest.mark.slow  # over a thousand cases, and seconds to collect them

NEWEST, OLDER = 25, 21
"""The last opset whose operators have rules. A case of a later one is tried as of an older."""

AGREES, NO_NUMBER, NEWER = "agrees", "no output is a real number", "newer than our opsets"

REFUSED = {
    "Attention": "shapes do not fit together",  # where it also returns its weights
    "BatchNormalization": "no differentiation rule with respect to its input [1-4]",
    "Compress": "depends on what the image shows",
    "DequantizeLinear": "not made by QuantizeLinear",
    "GRU": "weights . are not constant",
    "GridSample": "3 spatial axes",
    "InstanceNormalization": "no differentiation rule with respect to its input [12]",
    "LSTM": "weights . are not constant",
    "LayerNormalization": "the mean or the inverse standard deviation",
    "MaxUnpool": "the shape of y could not be inferred",
    "NonMaxSuppression": "depends on what the image shows",
    "OneHot": "no differentiation rule with respect to its input 0",
    "OptionalGetElement": "shapes do not fit together",
    "OptionalHasElement": "could not be inferred",
    "QLinearConv": "'w_scale' is computed from the image",
    "QLinearMatMul": "'[ab]_scale' is computed from the image|its integers are read by the output",
    "QuantizeLinear": "its integers are read by the output",
    "RMSNormalization": "no differentiation rule with respect to its input 1",
    "RNN": "weights . are not constant",
    "Resize": "depends on what the image shows|its region is computed",
    "RoiAlign": "of its mode max",
    "Scan": "version 8 has a batch axis",
    "ScatterElements": "no rule with reduction 'mul'",
    "ScatterND": "no rule with reduction 'mul'",
    "SequenceMap": "could not be converted",
    "SplitToSequence": "length or positions are not constant",
    "Unique": "depends on what the image shows",
    "Upsample": "depends on what the image shows",
}
"""Operators of which some cases are refused, and the reason that is given."""

LEFT_OUT = {
    r"test_attention.*(qk_matmul_bias|nan_robustness|negative_offset)": "all of a row is masked by −∞: 0·∞",
    r"test_attention_(3d_transpose|local_window_ext_cache_float16_mask)": "equal keys: only rounding is left",
    r"test_bernoulli": "random",
    r"test_mod.*fmod_0": "of floats since opset 28 only",
    r"test_mvn": "onnx's evaluator mixes float32 and float64",
    r"test_pow_types_float32_uint": "ONNX Runtime has no kernel",
    r"test_resize_downsample_scales_(linear|cubic)_align_corners": "ONNX Runtime scales by the rounded size",
}
"""Cases that cannot be compared, and why."""

PLACED = {"DeformConv", "GridSample"}
"""They read at places that onnx's evaluator rounds to float32, which takes longer steps."""

OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})


@cache
def cases() -> dict[str, list[TestCase]]:
    """Return the cases of one node each, by operator."""
    from onnx.backend.test.case.node import collect_testcases

    found = defaultdict(list)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        collected = collect_testcases(None)
    for case in collected:
        nodes = case.model.graph.node if case.model is not None and case.data_sets else []
        left_out = "training" in case.name or any(re.match(pattern, case.name) for pattern in LEFT_OUT)
        if len(nodes) == 1 and nodes[0].domain == "" and not left_out:
            found[nodes[0].op_type].append(case)
    return dict(found)


@pytest.mark.parametrize("operator", all_but(OPERATORS, "Attention"))
def test_every_case_agrees_or_is_refused_as_listed(operator: str) -> None:
    """Outputs to 1e-4 (float16: 1e-2), gradients to 1e-4 of their norm along random directions."""
    reasons = registry.refused_operators().get(("", operator)), REFUSED.get(operator)
    for case in cases().get(operator, []):
        assert case.data_sets
        assert case.model is not None
        for value, array in zip(case.model.graph.input, case.data_sets[0][0], strict=False):
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size:
                found = outcome(case, value.name)
                listed = any(reason and re.search(reason, found) for reason in reasons)
                assert found in (AGREES, NO_NUMBER, NEWER) or listed, (case.name, value.name, found)


def test_the_cases_are_many() -> None:
    """More than a thousand gradients, of most operators with a rule: an empty collection would pass too."""
    rules = {op_type for domain, op_type, _ in registry.registered_rules() if domain == ""}
    assert len(rules & cases().keys()) > 100
    assert sum(len(some) for some in cases().values()) > 1000


class NoNumberError(Exception):
    """All outputs are integers, truth values or text."""


def outcome(case: TestCase, name: str) -> str:
    """Return how the case ends for one input: AGREES, or why not. Raises AssertionError."""
    assert case.data_sets
    assert case.model is not None
    model = at_opset(case.model)
    if model is None:
        return NEWER
    inputs, expected = case.data_sets[0]
    arrays = [np.asarray(value) if isinstance(value, np.generic) else value for value in inputs]
    feeds = dict(zip((value.name for value in model.graph.input), arrays, strict=True))
    stored = dict(zip((value.name for value in model.graph.output), expected, strict=True))
    try:
        data, names = graph_of(explained(model, feeds, name))
    except GagradError as error:
        return str(error).splitlines()[0]
    except NoNumberError:
        return NO_NUMBER
    session = onnxruntime.InferenceSession(data)
    given = {value.name for value in session.get_inputs()}
    x = np.asarray(feeds[name], np.float32)
    close = 1e-2 if any(getattr(value, "dtype", None) == np.float16 for value in arrays) else 1e-4
    for output, value in names.items():
        (found,) = session.run([value], {"explained": x} if given else {})
        np.testing.assert_allclose(
            found.astype(np.float64), np.asarray(stored[output], np.float64), rtol=close, atol=close
        )
    check_gradient(data, session, x, placed=case.model.graph.node[0].op_type in PLACED)
    return AGREES


def check_gradient(data: bytes, session: Any, x: np.ndarray, *, placed: bool) -> None:
    """Compare ``dx`` with differences of ``total`` beside x: the stored inputs often lie on a kink."""
    rng = np.random.default_rng(1)
    aside, reach, tolerance = (0.1, 1e-4, 2e-2) if placed else (0.013, 1e-6, 1e-4)
    x = np.asarray(x + aside * rng.standard_normal(x.shape), np.float32)
    feed = {"explained": x} if session.get_inputs() else {}
    outputs = [value.name for value in session.get_outputs()]
    found = dict(zip(outputs, session.run(None, feed), strict=True))
    dx = found.get("dx", np.zeros_like(x)).astype(np.float64)
    total = in_double(GraphFile(data), "total")
    for _ in range(3):
        step = reach * rng.standard_normal(x.shape)
        plus, minus = (float(total({"explained": x + sign * step})) for sign in (1, -1))
        mismatch = (plus - minus) / 2 - float(np.vdot(dx, step))
        assert abs(mismatch) <= tolerance * reach * (float(np.linalg.norm(dx)) + 1e-2)


def at_opset(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return a copy of ``model`` of an opset that we know; None where its operator is newer."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    if copy.opset_import[0].version > NEWEST:
        copy.opset_import[0].version, copy.ir_version = OLDER, 10
        try:
            onnx.checker.check_model(copy, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            return None
    return copy


def explained(model: onnx.ModelProto, feeds: dict[str, Any], name: str) -> ir.Model:
    """Return ``model`` in simple operators, input ``name`` in float32 and the other ``feeds`` constant."""
    graph = model.graph
    kept = next(value for value in graph.input if value.name == name)
    others = {
        other: array for other, array in feeds.items() if other != name and isinstance(array, np.ndarray)
    }
    graph.initializer.extend(numpy_helper.from_array(array, other) for other, array in others.items())
    kind = kept.type.tensor_type.elem_type
    kept.name, kept.type.tensor_type.elem_type = "explained", onnx.TensorProto.FLOAT
    graph.node.insert(0, helper.make_node("Cast", ["explained"], [name], to=kind))
    del graph.input[:]
    graph.input.append(kept)
    written = ir.from_proto(model)
    run(written, ONE_OPSET)
    passes.RemoveUnusedNodesPass()(written)
    run(written, SIMPLE_OPERATORS)
    supply_shapes(written, Known.ALL)
    return written


def graph_of(written: ir.Model) -> tuple[bytes, dict[str, str]]:
    """Return a graph of the outputs, of a weighted sum of all and its gradient; and the outputs' names."""
    graph = written.graph
    op, rng = Op(graph, "gradient"), np.random.default_rng(0)
    outputs = list(graph.outputs)
    graph.outputs.clear()
    names = {y.name or "": f"found{k}" for k, y in enumerate(outputs)}
    # Lowering may replace a model's last node; an identity outlives that.
    named = {f"found{k}": op.Identity(y) for k, y in enumerate(outputs)}
    weights = {
        y: op.constant(rng.standard_normal([int(n) for n in y.shape or ()]), like=y)
        for y in named.values()
        if y.dtype is not None and y.dtype.is_floating_point()
    }
    if not weights:
        raise NoNumberError
    (dx,) = gradients(op, weights, list(graph.inputs)) if graph.inputs else (None,)
    wanted = {**named, "total": op.Sum(*(op.ReduceSum(op.Mul(y, w), keepdims=0) for y, w in weights.items()))}
    if dx is not None:
        wanted["dx"] = op.Identity(dx)
    lower(op)
    return finish(op, wanted).complete(), names
