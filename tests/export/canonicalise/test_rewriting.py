"""Operators that are written in terms of others: exact in each form, free in the batch, and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from gagrad_edge.errors import UnsupportedOperatorError
from gagrad_export.canonicalise import canonicalise
from gagrad_export.canonicalise.passes import rewritten_operators
from tests.export.source_check import check_rows, exported, model_of

RNG = np.random.default_rng(0)


def model(body: str, *, size: tuple[int, int] = (8, 8), opset: int = 18, **arrays: Any) -> onnx.ModelProto:
    """Return a model of the image whose scores are the elements of ``a``, which ``body`` computes."""
    text = f"(float[N, 3, {size[0]}, {size[1]}] image) => (float[M, K] y) <int64[2] flat = {{1, -1}}>"
    values = {name: np.asarray(array) for name, array in arrays.items()}
    return model_of(f"{text} {{ {body} y = Reshape (a, flat) }}", opset=opset, ir_version=10, **values)


def weights(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def aligned(attributes: str, before: str = "", boxes: str = "boxes") -> onnx.ModelProto:
    """Return RoiAlign on regions: of fractions, outside, hardly a pixel, and larger than the image."""
    regions = [[0, 0, 7, 9], [2.3, 1.2, 5.7, 8.1], [-3, -2, 4, 4], [6, 6, 6.2, 6.1], [10, 3, 14, 30]]
    shape = "output_height = 3, output_width = 2"
    body = f"f = Relu (image) {before} a = RoiAlign <{shape}{attributes}> (f, {boxes}, of)"
    arrays = {"boxes": np.float32(regions), "of": np.zeros(5, np.int64)}
    return model(body, size=(12, 10), last=[3], inner=[1, 2, 3], each=[5, 4], **arrays)


COMPUTED = "r = ReduceMean (image, inner) q = Squeeze (r, last) p = Mul (q, boxes) s = Reshape (p, each)"


def deformed(groups: int, more: str = "", opset: int = 19) -> onnx.ModelProto:
    window = "strides = [2, 1], pads = [1, 1, 1, 1]"
    attributes = "strides = [2, 1], pads = [2, 2, 2, 2], dilations = [2, 2]"
    body = f"""f = Conv (image, w0) o = Conv <{window}> (image, w1)
        p = Conv <{window}> (image, w2) m = Sigmoid (p)
        a = DeformConv <{attributes}, group = {groups}, offset_group = {groups}> (f, w, o{more})"""
    shapes = {"w0": (6, 3, 1, 1), "w1": (18 * groups, 3, 3, 3), "w2": (9 * groups, 3, 3, 3), "b": (3,)}
    filters = {name: weights(*shape) for name, shape in shapes.items()}
    return model(body, size=(12, 10), opset=opset, w=weights(3, 6 // groups, 3, 3), **filters)


def attention(inputs: str, attributes: str = "", **arrays: Any) -> onnx.ModelProto:
    body = f"q = Reshape (image, tokens) k = Tanh (q) a = Attention <q_num_heads = 4{attributes}> ({inputs})"
    return model(body, opset=24, tokens=[0, 3, 64], **arrays)


MODELS = {
    "RoiAlign": aligned(""),
    "RoiAlign-points": aligned(", sampling_ratio = 2"),
    "RoiAlign-legacy": aligned(
        ', spatial_scale = 0.5, coordinate_transformation_mode = "output_half_pixel", sampling_ratio = 3'
    ),
    "RoiAlign-computed": aligned(", sampling_ratio = 2", COMPUTED, "s"),
    "DeformConv": deformed(1),
    "DeformConv-masked": deformed(1, ", b, m"),
    "DeformConv-groups": deformed(3, ", , m", opset=22),
    "Attention": attention("q, k, q", ", kv_num_heads = 4"),
    "Attention-causal": attention("q, k, k", ", kv_num_heads = 4, is_causal = 1, scale = 0.3"),
    "Attention-mask": attention(
        "q, keys, keys, mask",
        ", kv_num_heads = 2, softcap = 2.0",
        keys=weights(1, 3, 32),
        mask=np.tri(3, k=1, dtype=bool),
    ),
    "Attention-4D": model("k = Tanh (image) a = Attention (image, k, image)", opset=23),
    "RotaryEmbedding": model(
        "f = Tanh (image) a = RotaryEmbedding (f, c, s, places)",
        opset=23,
        c=weights(9, 4),
        s=weights(9, 4),
        places=[[3, 1, 0, 2, 5, 4, 7, 6]],
    ),
    # Twice, along rows and columns, as an FFT of the plane.
    "DFT": model(
        """r = Unsqueeze (image, end) f = DFT (r, , rows) g = DFT (f, , columns)
        h = Mul (g, filter) i = DFT <inverse = 1> (h, , columns) a = DFT <inverse = 1> (i, , rows)""",
        size=(6, 5),
        opset=20,
        end=[4],
        rows=-3,
        columns=3,
        filter=weights(6, 5, 1),
    ),
    "DFT-onesided": model(
        "f = Tanh (image) r = Unsqueeze (f, end) a = DFT <onesided = 1, axis = 3> (r)", end=[4], size=(6, 5)
    ),
    "DFT-lengths": model(
        "t = Tanh (image) r = Unsqueeze (t, end) f = DFT <axis = 2> (r, four) a = DFT <axis = 3> (f, nine)",
        size=(6, 5),
        end=[4],
        four=4,
        nine=9,
    ),
    "CenterCropPad": model("f = Tanh (image) a = CenterCropPad <axes = [2, 3]> (f, to)", to=[11, 5]),
    "MeanVarianceNormalization": model("n = MeanVarianceNormalization (image) a = Tanh (n)"),
    "SplitToSequence": model(
        """s = SplitToSequence <axis = 3> (image, three) p = SequenceAt (s, two) n = SequenceLength (s)
        l = Cast <to = 1> (n) q = Mul (p, l) t = SequenceConstruct (p, q)
        a = ConcatFromSequence <axis = 1> (t)""",
        three=3,
        two=2,
    ),
    "SplitToSequence-sizes": model(
        "s = SplitToSequence <axis = -1> (image, sizes) p = SequenceAt (s, last) a = Tanh (p)",
        sizes=[3, 5],
        last=-1,
    ),
    "SplitToSequence-single": model(
        "s = SplitToSequence <axis = 1, keepdims = 0> (image) p = SequenceAt (s, last) a = Tanh (p)", last=-1
    ),
    "SequenceInsert": model(
        """e = SequenceEmpty () f = Tanh (image) s = SequenceInsert (e, image) t = SequenceInsert (s, f)
        u = SequenceInsert (t, f, front) v = SequenceErase (u) w = SequenceErase (v, front)
        x = SequenceInsert (w, f, last) a = ConcatFromSequence <axis = -1, new_axis = 1> (x)""",
        front=0,
        last=-1,
    ),
    "SequenceInsert-loop": model(
        """e = SequenceEmpty () s = Loop (three, yes, e) <
            body = b (int64 i, bool c, seq(float[1, 3, 8, 8]) s0) => (bool d, seq(float[1, 3, 8, 8]) s1) {
                d = Identity (c) f = Cast <to = 1> (i) g = Mul (image, f) h = Tanh (g)
                s1 = SequenceInsert (s0, h)
            }>
        a = ConcatFromSequence <axis = 1> (s)""",
        three=3,
        yes=True,
    ),
    "neutral": model(
        """f = Tanh (image) g = Add (zeros, f) h = Mul (g, one) i = Div (h, one) j = Sub (i, zeros)
        k = Where (never, zeros, j) l = Where (always, k, zeros) a = Sub (one, l)""",
        zeros=np.zeros((8, 8), np.float32),
        one=np.float32(1),
        never=np.zeros((1, 8), bool),
        always=np.ones((8, 8), bool),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_what_it_was(name: str, tmp_path: Path) -> None:
    """Row by row as in ONNX Runtime; the export proves the gradient; TensorRT builds both graphs."""
    operators = check_rows(MODELS[name]).operators
    assert not operators.keys() & rewritten_operators().keys()
    exported(MODELS[name], tmp_path)


def test_max_unpool() -> None:
    """TensorRT refuses the indices that it needs."""
    pooled = "f, i = MaxPool <kernel_shape = [3, 2], strides = [3, 2]> (image) g = Exp (f)"
    unpool = "a = MaxUnpool <kernel_shape = [3, 2], strides = [3, 2]> (g, i)"
    check_rows(model(f"{pooled} {unpool}", size=(12, 10)))


def test_an_attention_without_a_mask_has_no_trace_of_one() -> None:
    """ONNX defines it with a mask of zeros and a selection by what that mask hides."""
    operators = canonicalise(MODELS["Attention"]).operators
    assert operators == {"MatMul": 2, "Mul": 2, "Reshape": 6, "Softmax": 1, "Tanh": 1, "Transpose": 4}


class Attention(torch.nn.Module):
    """Patches that attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 16, 4, 4)
        self.projection = torch.nn.Linear(16, 48)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``[N, 16]`` scores."""
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        q, k, v = self.projection(tokens).reshape(len(image), -1, 3, 4, 4).permute(2, 0, 3, 1, 4)
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return attended.mean(dim=2).flatten(1)


@pytest.mark.slow
def test_attention_as_torch_writes_it(tmp_path: Path) -> None:
    """The Attention operator that torch exports is rewritten and exported."""
    torch.manual_seed(0)
    images = (torch.zeros(1, 3, 16, 16),)
    program = torch.onnx.export(Attention().eval(), images, dynamo=True, opset_version=23)
    assert program is not None
    assert "Attention" in {node.op_type for node in program.model_proto.graph.node}
    exported(program.model_proto, tmp_path)


def test_arithmetic_that_changes_nothing_is_dropped() -> None:
    """But not what broadcasts, and not 1 − x."""
    assert canonicalise(MODELS["neutral"]).operators == {"Reshape": 1, "Sub": 1, "Tanh": 1}
    zeros = np.zeros((8, 8), np.float32)
    broadcast = model("m = ReduceMean (image, inner) a = Add (m, zeros)", inner=[2, 3], zeros=zeros)
    assert canonicalise(broadcast).operators["Add"] == 1


REFUSED = {
    "RoiAlign is not supported here: of its mode max": aligned(', mode = "max"'),
    "RoiAlign is not supported here: with sampling_ratio 0": aligned("", COMPUTED, "s"),
    "MaxUnpool is not supported here: its windows overlap": model(
        """f, i = MaxPool <kernel_shape = [2, 2]> (image)
        a = MaxUnpool <kernel_shape = [2, 2]> (f, i)"""
    ),
    "SequenceAt works on a sequence whose length or positions": model(
        """f = Relu (image) t = SequenceConstruct (image, f) m = ReduceMax <keepdims = 0> (image)
        n = Cast <to = 7> (m) a = SequenceAt (t, n)"""
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_has_no_other_form_is_refused_by_name(why: str) -> None:
    """A form that cannot be rewritten raises UnsupportedOperatorError with its reason."""
    with pytest.raises(UnsupportedOperatorError, match=why) as refusal:
        canonicalise(REFUSED[why])
    assert "`output_name`" in (refusal.value.hint or "")
