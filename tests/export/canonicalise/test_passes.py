"""The pass contract: one list of passes, preconditions that are checked, results that tell the truth."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
import pytest
from onnx import parser

import gagrad_export.canonicalise as room
from gagrad_export.canonicalise import canonicalise
from gagrad_export.canonicalise.contract import Pass, Repeat, run, single_passes
from gagrad_export.canonicalise.findings import Known, findings_of
from gagrad_export.canonicalise.fold.folding import FoldConstants
from gagrad_export.canonicalise.fold.inference import infer_shapes, invalidate_shapes
from gagrad_export.canonicalise.passes import PASSES, rewritten_operators
from gagrad_export.canonicalise.rewrite.dft import ReplaceDFT
from gagrad_export.canonicalise.rewrite.softmax import FuseSoftmax
from gagrad_export.emit import Op
from tests.export.canonicalise.test_rewriting import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        yield importlib.import_module(found.name)


def softmax() -> ir.Model:
    """Return a model with a softmax that is written out, and no shape of any value inside."""
    return ir.serde.deserialize_model(
        parser.parse_model("""<ir_version: 10, opset_import: ["" : 18]> m (float[2, 5] s) => (float[2, 5] y)
            <int64[1] axes = {1}> { e = Exp (s) t = ReduceSum (e, axes) y = Div (e, t) }""")
    )


def test_every_pass_is_in_the_tuple() -> None:
    """A pass that is written and not listed would neither run nor be documented."""
    written = {
        kind
        for module in modules()
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Pass) and kind.__module__ == module.__name__
    }
    run_by_others = {Pass, Repeat}
    concrete = {kind for kind in written if not inspect.isabstract(kind)} - run_by_others
    assert concrete == {type(step) for step in single_passes(PASSES)}


def test_canonicalise_runs_the_tuple_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing but the tuple: what is documented is what runs."""
    ran: list[Pass] = []
    call = Pass.__call__

    def record(self: Pass, model: ir.Model) -> Any:
        ran.append(self)
        return call(self, model)

    monkeypatch.setattr(Pass, "__call__", record)
    canonicalise(MODELS["DFT"])
    listed = list(single_passes(PASSES))
    assert set(listed) == {step for step in ran if not isinstance(step, Repeat)}
    assert [step for step in ran if step in PASSES] == list(PASSES)


def test_an_operator_is_rewritten_by_one_pass() -> None:
    """The page names one way for each operator."""
    named = [op_type for step in single_passes(PASSES) for op_type in step.operators]
    assert sorted(named) == sorted(rewritten_operators())


def test_nodes_are_written_by_emit_alone() -> None:
    """No pass makes an ``ir.Node`` or a ``Tape``, or appends to a graph: ``emit.Op`` does."""
    forbidden = {"Node", "node", "Tape", "tape", "append_node", "make_node"}
    for module in modules():
        for part in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
                owner = ast.unparse(part.func.value)
                made = owner in ("ir", "ir.tape", "onnx.helper", "helper") and part.func.attr in forbidden
                appended = owner.endswith("graph") and part.func.attr in ("append", "extend", "insert_after")
                assert not made, f"{module.__name__}:{part.lineno}"
                assert not appended, f"{module.__name__}:{part.lineno}"
            if isinstance(part, ast.ImportFrom):
                assert not {name.name for name in part.names} & forbidden, f"{module.__name__}:{part.lineno}"


def test_a_pass_refuses_a_model_whose_shapes_it_needs_and_are_not_known() -> None:
    """Called on its own; ``run`` infers them, and the same pass then does its work."""
    model = softmax()
    with pytest.raises(ir.passes.PreconditionError, match="FuseSoftmax needs ALL"):
        FuseSoftmax()(model)
    assert run(model, [FuseSoftmax()])
    assert "Softmax" in {node.op_type for node in model.graph}
    assert not run(model, [FuseSoftmax()])


def test_a_pass_refuses_shapes_that_were_lost_after_they_were_inferred() -> None:
    """What is recorded as known is held against the values themselves."""
    model = softmax()
    infer_shapes(model)
    model.graph[0].outputs[0].shape = None
    assert findings_of(model).known is Known.FIXED
    with pytest.raises(ir.passes.PreconditionError, match="NOTHING is known"):
        ReplaceDFT()(model)


def test_shapes_are_invalidated_by_a_pass_that_does_not_keep_them() -> None:
    """Only where it modified the model: inferring anew takes long on a large one."""

    class Touch(Pass):
        """Modifies the model, or says that it does not."""

        def __init__(self, modified: bool) -> None:
            self._modified = modified

        def call(self, model: ir.Model) -> ir.passes.PassResult:
            return ir.passes.PassResult(model, self._modified)

    model = softmax()
    infer_shapes(model)
    run(model, [Touch(modified=False)])
    assert findings_of(model).known is Known.FIXED
    run(model, [Touch(modified=True)])
    assert findings_of(model).known is Known.NOTHING
    assert all(value.shape is None for node in model.graph for value in node.outputs)


def test_a_pass_must_leave_the_graph_sorted() -> None:
    """A node in front of the one that it reads is found after the pass that wrote it."""

    class Append(Pass):
        """Writes a node at the end, and lets the first node read it."""

        def call(self, model: ir.Model) -> ir.passes.PassResult:
            first = model.graph[0]
            late = Op(model.graph, "late").Neg(first.inputs[0])
            first.replace_input_with(0, late)
            return ir.passes.PassResult(model, modified=True)

    with pytest.raises(ir.passes.PostconditionError, match="Append leaves"):
        run(softmax(), [Append()])


def test_nodes_go_in_front_of_a_given_one() -> None:
    """Without types too: what is written then has none until they are inferred."""
    model = softmax()
    last = model.graph[-1]
    op = Op(model.graph, "before", before=last, infer=False)
    y = op.Neg(op.Abs(last.inputs[0]))
    last.replace_input_with(0, y)
    assert [node.op_type for node in model.graph] == ["Exp", "ReduceSum", "Abs", "Neg", "Div"]
    assert y.shape is None
    infer_shapes(model)
    assert y.shape == ir.Shape([2, 5])


def test_repeat_ends_when_nothing_changes_or_at_its_limit() -> None:
    """As soon as a step modifies the model, all begins again with ``first``."""
    calls: list[str] = []

    class Count(Pass):
        """Says that it modifies the model for the first ``times`` calls."""

        def __init__(self, name: str, times: int) -> None:
            self._name, self._left = name, times

        def call(self, model: ir.Model) -> ir.passes.PassResult:
            calls.append(self._name)
            self._left -= 1
            return ir.passes.PassResult(model, modified=self._left >= 0)

    assert run(softmax(), [Repeat(Count("a", 1), Count("b", 1), first=[Count("f", 0)])])
    assert "".join(calls) == "fafabfab"
    calls.clear()
    assert run(softmax(), [Repeat(Count("c", 100), most=3)])
    assert "".join(calls) == "ccc"


def written(model: ir.Model) -> bytes:
    """Return the model without the shapes of the nodes' outputs, which ``run`` infers."""
    proto = ir.serde.serialize_model(model)
    graphs = [proto.graph]
    for graph in graphs:
        del graph.value_info[:]
        for value in graph.output:
            value.ClearField("type")
        graphs += [
            attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")
        ]
    return bytes(proto.SerializeToString(deterministic=True))


@pytest.mark.parametrize("name", ["neutral", "DFT-lengths", "SequenceInsert-loop", "Attention-causal"])
def test_a_pass_that_says_so_has_left_the_model_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes are kept then, so a change that is not reported would leave them wrong."""
    call, reported = Pass.__call__, set()

    def compare(self: Pass, model: ir.Model) -> ir.passes.PassResult:
        before = written(model)
        result = call(self, model)
        if not result.modified:
            assert written(model) == before, type(self).__name__
        reported.add(result.modified)
        return result

    monkeypatch.setattr(Pass, "__call__", compare)
    canonicalise(onnx.ModelProto.FromString(MODELS[name].SerializeToString()))
    assert reported == {True, False}


def test_invalidated_shapes_are_inferred_as_they_were() -> None:
    """The types too, and only as far as a pass needs them."""
    model = softmax()
    infer_shapes(model)
    before = [(value.shape, value.type) for node in model.graph for value in node.outputs]
    invalidate_shapes(model)
    run(model, [FoldConstants()])
    assert findings_of(model).known is Known.SOME
    assert [(value.shape, value.type) for node in model.graph for value in node.outputs] == before
