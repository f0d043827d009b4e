"""Reads at computed indices, and work along the axis that holds the batch, stay within each row."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from gagrad_edge.errors import ModelError
from tests.export.source_check import check_rows, model_of

WEIGHTS = {
    "axes": np.array([1]),
    "two": np.array([2]),
    "three": np.array([3]),
    "five": np.array([5]),
    "zero": np.array([0]),
    "last": np.array([-1]),
    "rows": np.array([-1, 3]),
    "flat": np.array([-1]),
    "head": np.random.default_rng(0).normal(0, 1, (3, 4)).astype(np.float32),
}
TOKENS = (
    "c = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (image)"
    " t = Transpose <perm = [0, 2, 3, 1]> (c) m = ReduceMax <keepdims = 0> (t, three)"
    " n = Reshape (m, tokens) x = Reshape (t, channels) f = Reshape (x, rows)"
)
FAR = "h0 = Round (n) h1 = Cast <to = 7> (h0) best = Slice (h1, zero, three, axes)"
SHIFT = "i = Add (best, shift) j = Reshape (i, flat)"

READS = {
    "Gather": (
        f"b, best = TopK <axis = 1> (n, three) {SHIFT} g = Gather <axis = 0> (f, j)"
        " q = Reshape (g, picked) scores = MatMul (q, head)"
    ),
    "GatherND": (
        "a = ArgMax <axis = 1, keepdims = 1> (n) r = Concat <axis = 1> (own, a) g = GatherND (x, r)"
        " scores = MatMul (g, head)"
    ),
    "GatherND of single values": (
        "a = ArgMax <axis = 1, keepdims = 1> (n) r = Concat <axis = 1> (own, a) scores = GatherND (n, r)"
    ),
}
SHAPES = {"Gather": "{}, 3, 4", "GatherND": "{}, 4", "GatherND of single values": "{}"}


def tokens(body: str, shape: str, batch: int, opset: int = 18) -> onnx.ModelProto:
    """Return a network for ``batch`` images whose 16 tokens of 3 values are ``x``, flattened ``f``."""
    shift = (np.arange(batch) * 16).reshape(batch, 1)
    weights = WEIGHTS | {
        "tokens": np.array([batch, 16]),
        "channels": np.array([batch, 16, 3]),
        "picked": np.array([batch, 3, 3]),
        "shift": shift,
        "own": np.arange(batch).reshape(batch, 1),
    }
    text = f"(float[{batch}, 3, 8, 8] image) => (float[{shape.format(batch)}] scores) {{ {TOKENS} {body} }}"
    used = {name: value for name, value in weights.items() if name in re.findall(r"\w+", text)}
    return model_of(text, opset=opset, **used)


@pytest.mark.parametrize("what", READS)
def test_each_row_reads_its_own(what: str) -> None:
    """A model for one image gives each row of a batch what it gives it alone."""
    canonical = check_rows(tokens(READS[what], SHAPES[what], 1))
    assert canonical.operators["GatherND"] == 1


@pytest.mark.parametrize("what", READS)
def test_a_model_for_two_images_reads_in_each_row(what: str) -> None:
    """The numbers of its rows are constants of the file; without them each row still reads its own."""
    canonical = check_rows(tokens(READS[what], SHAPES[what], 2))
    assert canonical.operators["GatherND"] == 1


@pytest.mark.parametrize("what", READS)
def test_a_model_that_reads_in_the_other_image_is_refused(what: str) -> None:
    """Its numbers of the rows are in another order; the message says how to export it."""
    proto = tokens(READS[what], SHAPES[what], 2)
    for tensor in proto.graph.initializer:
        if tensor.name in ("shift", "own"):
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)[::-1], tensor.name)
            )
    with pytest.raises(ModelError, match="differs between the 2 rows") as caught:
        check_rows(proto)
    assert "batch of 1" in str(caught.value)


def test_a_place_that_may_lie_in_another_row_is_refused() -> None:
    """Only what an ArgMax, ArgMin or TopK chose among a row's places is known to lie in the row."""
    proto = tokens(
        READS["Gather"].replace("b, best = TopK <axis = 1> (n, three)", f"{FAR}"), SHAPES["Gather"], 2
    )
    with pytest.raises(ModelError, match="differs between the 2 rows"):
        check_rows(proto)


ALONG = {
    "Slice and Concat": "a = Slice (f, zero, five, zero) b = Slice (f, five, far, zero) s = Exp (a)"
    " g = Concat <axis = 0> (s, b)",
    "Split": "a, b = Split <axis = 0> (f, parts) g = Concat <axis = 0> (b, a)",
    "TopK": "g, i = TopK <axis = 0> (f, five)",
    "Softmax": "g = Softmax <axis = 0> (f)",
    "GatherElements": "v, i = TopK <axis = 0> (f, five) e = Exp (f) g = GatherElements <axis = 0> (e, i)",
}


@pytest.mark.parametrize("what", ALONG)
def test_a_model_for_one_image_goes_along_its_own_rows(what: str) -> None:
    """Memory banks are compared in chunks of the flattened patches; each image has its own."""
    body = f"{ALONG[what]} h = MatMul (g, head) scores = Unsqueeze (h, zero)"
    proto = tokens(body, "1, k, 4", 1)
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name)
        for name, value in {"far": np.array([1 << 40]), "parts": np.array([6, 10])}.items()
        if name in body
    )
    check_rows(proto)


def test_a_model_for_two_images_that_mixes_them_is_refused() -> None:
    """A softmax over the patches of both images has no meaning for one."""
    body = "g = Softmax <axis = 0> (f) h = Reshape (g, channels) scores = MatMul (h, head)"
    with pytest.raises(ModelError, match="across the rows of a batch") as caught:
        check_rows(tokens(body, "2, 16, 4", 2))
    assert str(caught.value.hint).startswith("export the model with a batch of 1 or with a dynamic batch: ")
    assert "for 2 images at a time" in str(caught.value.hint)


CHUNKS = (
    "a = Slice (f, zero, five, zero) b = Slice (f, five, far, zero)"
    " a0 = MatMul (a, head) a1 = Mul (a0, scale) a2 = Pow (a, square) a3 = ReduceSum (a2, last)"
    " b0 = MatMul (b, head) b1 = Mul (b0, scale) b2 = Pow (b, square) b3 = ReduceSum (b2, last)"
    " a4 = Add (a1, a3) b4 = {} (b1, b3) g = Concat <axis = 0> (a4, b4) scores = Reshape (g, patches)"
)
"""Twice the same, as PatchCore compares patches with its memory."""


def chunked(operator: str) -> onnx.ModelProto:
    """Return a network for two images, the second chunk of which ends with ``operator``."""
    proto = tokens(CHUNKS.format(operator), "2, 16, 4", 2)
    constants = {
        "far": np.array([1 << 40]),
        "patches": np.array([2, 16, 4]),
        "scale": np.float32(-2),
        "square": np.float32(2),
    }
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    return proto


def test_a_memory_bank_in_chunks_across_the_rows_is_one() -> None:
    """PatchCore exported for two images compares chunks that hold patches of both: together they are all."""
    canonical = check_rows(chunked("Add"))
    assert "Slice" not in canonical.operators
    assert canonical.operators["MatMul"] == 1


def test_chunks_that_are_treated_otherwise_stay_and_are_refused() -> None:
    """The same work on every chunk is what makes them one."""
    with pytest.raises(ModelError, match="Slice computes across the rows") as caught:
        check_rows(chunked("Sub"))
    assert "with a batch of 1 or with a dynamic batch" in str(caught.value.hint)
