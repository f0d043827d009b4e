"""Identities that keep a gradient in the layout of the convolutions: where they belong and nowhere else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest

from gagrad_export.assemble.graph import add_input, finish, new_graph
from gagrad_export.lower import lower
from tests.export.lower.test_strided import Stage, compiled

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (32, 32)


def identities(graph: bytes) -> int:
    """Return how many averages over one pixel there are."""
    nodes = onnx.load_from_string(graph).graph.node
    return sum(node.op_type == "AveragePool" and [*node.attribute[0].ints] == [1, 1] for node in nodes)


def reorders(graph: bytes, path: Path) -> int | None:
    """Return how many tensors ONNX Runtime brings back to the plain layout; None where it has no other."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(graph, options)
    operators = Counter(node.op_type for node in onnx.load(path).graph.node)
    return operators["ReorderOutput"] if operators["ReorderInput"] else None


@pytest.mark.slow
def test_one_identity_for_a_stage(tmp_path: Path) -> None:
    """The mean's gradient is brought in once, and the stream is copied back for no block."""
    few, many = (compiled(Stage(blocks), SIZE).complete() for blocks in (2, 6))
    assert identities(few) == identities(many) == 1
    assert identities(compiled(Stage(), SIZE, "tensorrt").complete()) == 0
    counts = [reorders(graph, tmp_path / "optimised.onnx") for graph in (few, many)]
    if None in counts:
        pytest.skip("this processor's ONNX Runtime has no blocked layout")
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("weight", "group", "other", "expected"),
    [
        ((32, 32, 1, 1), 1, ("N", 32, 8, 8), 1),
        ((32, 1, 3, 3), 32, ("N", 32, 8, 8), 1),  # depthwise
        ((32, 16, 1, 1), 2, ("N", 32, 8, 8), 1),
        ((32, 8, 1, 1), 4, ("N", 32, 8, 8), 0),  # a group does not fill a block
        ((64, 1, 3, 3), 32, ("N", 64, 8, 8), 0),  # depthwise with a multiplier
        ((24, 32, 1, 1), 1, ("N", 24, 8, 8), 0),  # half a block too many
        ((32, 32, 1, 1), 1, ("N", 32, 1, 1), 0),  # broadcast
        ((32, 32, 1, 1), 1, (1, 32, 8, 8), 0),  # another batch
    ],
)
def test_only_what_the_engine_takes_in_blocks(
    weight: tuple[int, ...], group: int, other: tuple[str | int, ...], expected: int
) -> None:
    """As ONNX Runtime's own rules are: channels by 16, in each group too, and equal shapes."""
    op = new_graph("sum")
    x = add_input(op, "x", ["N", 32, 8, 8])
    plain = add_input(op, "plain", list(other))
    pad = (weight[-1] - 1) // 2
    convolved = op.Conv(x, np.ones(weight, np.float32), group=group, pads=[pad] * 4)
    total = op.Identity(op.Mul(op.Relu(convolved), plain))
    lower(op)
    assert identities(finish(op, {"total": total}).complete()) == expected


def test_two_tensors_of_another_layout_stay_there() -> None:
    """Nothing is gained where a sum reads no convolution; and one that is read twice is brought in once."""
    op = new_graph("sum")
    x, y = (add_input(op, name, ["N", 32, 8, 8]) for name in ("x", "y"))
    convolved = op.Conv(x, np.ones((32, 32, 1, 1), np.float32))
    outside = op.Add(x, y)
    twice = op.Mul(op.Add(convolved, outside), op.Sigmoid(op.Add(op.Relu(convolved), outside)))
    total = op.Identity(twice)
    lower(op)
    assert identities(finish(op, {"total": total}).complete()) == 1
