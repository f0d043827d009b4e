"""What is computed and then not read is left out, and what is read keeps its values."""

from __future__ import annotations

import re
from itertools import accumulate
from math import prod

import numpy as np
import onnx_ir as ir
import pytest

from gagrad_export.canonicalise.contract import run
from gagrad_export.canonicalise.findings import Request, start
from gagrad_export.canonicalise.fold.cut import CutAway
from gagrad_export.canonicalise.fold.selection import reshaped, sizes
from gagrad_export.canonicalise.fold.unused import RemoveUnused
from tests.export.source_check import model_of

WEIGHTS = {
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "three": np.array([3]),
    "four": np.array([4]),
    "six": np.array([6]),
    "parts": np.array([2, 4]),
    "flat": np.array([1, 6, 16]),
    "odd": np.array([5, 3]),
    "single": np.array(4),
    "written": np.stack(np.meshgrid([0], [0, 1], range(4), range(4), indexing="ij"), -1),
    "pair": np.array([[0, 3], [0, 5]]),
    "first": (np.arange(6) < 2).reshape(6, 1, 1),
    "scale": np.linspace(1, 2, 6, dtype=np.float32).reshape(6, 1, 1),
}
JOINED = "box = Exp (x) p = Sigmoid (y) j = Concat <axis = 1> (box, p)"

KEPT = {
    "Slice": f"{JOINED} z = Slice (j, three, six, one)",
    "Split": f"{JOINED} q, z = Split <axis = 1> (j, parts)",
    "Gather": f"{JOINED} z = Gather <axis = 1> (j, odd)",
    "Gather of one": f"{JOINED} z = Gather <axis = 1> (j, single)",
    "GatherND": f"{JOINED} z = GatherND (j, pair)",
    "views": (
        f"{JOINED} f = Reshape (j, flat) t = Transpose <perm = [0, 2, 1]> (f) z = Slice (t, two, six, two)"
    ),
    "arithmetic": f"{JOINED} m = Mul (j, scale) r = Relu (m) z = Slice (r, two, four, one)",
    "a softmax over another axis": f"{JOINED} s = Softmax <axis = 2> (j) z = Slice (s, three, six, one)",
    "two reads": f"{JOINED} a = Slice (j, one, six, one) z = Slice (a, two, three, one)",
    "written": (
        "e = Exp (x) j = Concat <axis = 1> (y, x) w = ScatterND (j, written, e) z = Slice (w, two, six, one)"
    ),
    "not the writing": (
        "e = Exp (y) j = Concat <axis = 1> (x, e) w = ScatterND (j, written, x) z = Slice (w, zero, two, one)"
    ),
    "chosen": f"{JOINED} n = Neg (j) w = Where (first, n, j) z = Slice (w, two, four, one)",
}
"""In each, the Exp is not needed for ``z``."""

WHOLE = {
    "a part of both": f"{JOINED} z = Slice (j, one, three, one)",
    "a softmax over the axis": f"{JOINED} s = Softmax <axis = 1> (j) z = Slice (s, three, six, one)",
    "added": f'{JOINED} w = ScatterND <reduction = "add"> (j, written, x) z = Slice (w, zero, two, one)',
}
"""In each, everything is needed."""


def model(body: str) -> ir.Model:
    """Return the model of two inputs ``x`` and ``y``, and of the constants that it reads."""
    named = re.findall(r"\w+", body)
    used = {name: value for name, value in WEIGHTS.items() if name in named}
    text = f"(float[1, 2, 4, 4] x, float[1, 4, 4, 4] y) => (float[a, b, c, d] z) {{ {body} }}"
    found = ir.serde.deserialize_model(model_of(text, **used))
    found.graph.outputs[0].shape = None
    start(found, Request())
    return found


def output(found: ir.Model) -> np.ndarray:
    """Run the model on fixed random numbers."""
    import onnxruntime

    feeds = np.random.default_rng(5).standard_normal(96).astype(np.float32)
    session = onnxruntime.InferenceSession(ir.serde.serialize_model(found).SerializeToString())
    values = {"x": feeds[:32].reshape(1, 2, 4, 4), "y": feeds[32:].reshape(1, 4, 4, 4)}
    result: np.ndarray = session.run(None, {item.name: values[item.name] for item in session.get_inputs()})[0]
    return result


@pytest.mark.parametrize("what", [*KEPT, *WHOLE])
def test_only_what_is_read_is_computed(what: str) -> None:
    """The Exp goes where nothing of it is read, and the result is the same to the last bit."""
    body = (KEPT | WHOLE)[what]
    found = model(body)
    expected = output(model(body))
    run(found, (CutAway(), RemoveUnused()))
    assert ("Exp" in {node.op_type for node in found.graph}) == (what in WHOLE)
    np.testing.assert_array_equal(output(found), expected)


@pytest.mark.parametrize(
    ("source", "target"), [((2, 3, 4), (6, 4)), ((6, 4), (2, 3, 4)), ((4, 6), (8, 3)), ((1, 5, 1), (5,))]
)
def test_a_block_behind_a_reshape(source: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Where a block is found in front of the reshape, it holds the very same elements."""
    values = np.arange(prod(source)).reshape(source)
    found = 0
    for axis, extent in enumerate(target):
        for end in accumulate([1] * (extent - 1)):
            block = tuple(np.arange(end) if i == axis else None for i in range(len(target)))
            inner = reshaped(block, target, source)
            if inner is None:
                continue
            found += 1
            taken = values[
                np.ix_(*(np.arange(n) if b is None else b for b, n in zip(inner, source, strict=True)))
            ]
            np.testing.assert_array_equal(
                taken.reshape(sizes(block, target)), values.reshape(target).take(range(end), axis)
            )
    assert found
