"""A model that answers the same image differently each time is said to be at fault, and not gagrad-edge."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from gagrad_edge.errors import GagradError
from gagrad_export import export
from tests.models import SIZE, tiny_model


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["RandomUniformLike", "RandomNormalLike", "Bernoulli"])
def test_a_model_that_draws_is_at_fault(tmp_path: Path, operator: str) -> None:
    """Monte Carlo dropout draws inside the model: the error names the operator and how to export it."""
    model = tiny_model()
    graph = model.graph
    pool = next(node for node in graph.node if node.op_type == "Relu")
    source, pool.output[0] = pool.output[0], "kept"
    at = list(graph.node).index(pool) + 1
    drawn = [
        helper.make_node("Sigmoid", ["kept"], ["chance"]),
        helper.make_node(operator, ["chance"], ["drawn"], name="mc"),
        helper.make_node("Mul", ["kept", "drawn"], [source]),
    ]
    for node in reversed(drawn):
        graph.node.insert(at, node)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(GagradError) as caught:
        export(tmp_path / "m.onnx", tmp_path / "m.gagrad", size=SIZE)
    assert "defect of gagrad-edge" not in str(caught.value)
    assert operator in str(caught.value)
    assert not (tmp_path / "m.gagrad").exists()
