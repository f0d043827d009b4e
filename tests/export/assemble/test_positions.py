"""What is a map of the image, and what only has the shape of one."""

from __future__ import annotations

import pytest
from onnx import parser

from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.assemble.positions.axes import Grid, Line
from gagrad_export.assemble.positions.follow import positions
from gagrad_export.canonicalise import Canonical, canonicalise

STEM = "a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1)\n b = Relu (a)\n"
HEAD = "\n z = GlobalAveragePool ({})\n f = Flatten (z)\n y = MatMul (f, {})"
SHAPES = {
    "w1": [6, 3, 3, 3],
    "w1x1": [1, 6, 1, 1],
    "w6x1": [6, 1, 1, 1],
    "w6": [6, 6],
    "w24": [24, 24],
    "wide": [6, 162],
    "w2": [2, 4],
    "w4": [6, 4],
    "colours": [3, 4],
    "one": [1, 4],
}


def model(body: str) -> Canonical:
    """Return a model of images of 8×12 with weights of SHAPES in canonical form."""
    weights = "\n".join(
        f"{name}s = Constant <value_ints = {shape}> ()\n {name} = Expand (tenth, {name}s)"
        for name, shape in SHAPES.items()
    )
    return canonicalise(
        parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        m (float[N, 3, 8, 12] x) => (float[N, 4] y)
        {{
            tenth = Constant <value_float = 0.1> ()
            {weights}
            {body}
        }}
        """)
    )


NOT_A_MAP = {
    "rows of a head laid out as 9×9": (
        STEM
        + """p = GlobalAveragePool (b)
        q = Flatten (p)
        r = MatMul (q, wide)
        s = Constant <value_ints = [0, 2, 9, 9]> ()
        t = Reshape (r, s)
        u = Relu (t)"""
        + HEAD.format("u", "w2"),
        "b",
    ),
    "one feature": (STEM + "c = Conv (b, w1x1)\n d = Sigmoid (c)" + HEAD.format("d", "one"), "b"),
    "the upper half": (
        STEM
        + """i = Constant <value_ints = [0]> ()
        j = Constant <value_ints = [2]> ()
        k = Constant <value_ints = [2]> ()
        c = Slice (b, i, j, k)
        d = Relu (c)"""
        + HEAD.format("d", "w4"),
        "b",
    ),
    "upside down": (
        STEM
        + """i = Constant <value_ints = [-1]> ()
        j = Constant <value_ints = [-100]> ()
        k = Constant <value_ints = [2]> ()
        c = Slice (b, i, j, k, i)"""
        + HEAD.format("c", "w4"),
        "b",
    ),
    "rows and columns exchanged": (
        STEM + "c = Transpose <perm = [0, 1, 3, 2]> (b)" + HEAD.format("c", "w4"),
        "b",
    ),
    "mixed positions": (
        STEM
        + """s = Constant <value_ints = [0, 6, 24]> ()
        c = Reshape (b, s)
        d = MatMul (c, w24)
        t = Constant <value_ints = [0, 6, 4, 6]> ()
        e = Reshape (d, t)"""
        + HEAD.format("e", "w4"),
        "b",
    ),
}


@pytest.mark.parametrize(("body", "name"), NOT_A_MAP.values(), ids=NOT_A_MAP)
def test_what_only_has_the_shape_of_a_map(body: str, name: str) -> None:
    """The map in front of it is taken, and never a value whose cells do not lie on the image."""
    (layer,) = choose_feature_layers(model(body), "auto").layers
    assert (layer.name, layer.features, layer.height, layer.width) == (name, 6, 4, 6)


def test_the_image_is_no_map() -> None:
    """Its three colours, also scaled, are no features."""
    chosen = choose_feature_layers(model("b = Mul (x, tenth)" + HEAD.format("b", "colours")), "auto")
    assert chosen.layers == ()
    assert "several features" in chosen.why


STILL_A_MAP = {
    "groups of channels normalised": """s = Constant <value_ints = [0, 2, 72]> ()
        c = Reshape (b, s)
        d = Softmax <axis = 2> (c)
        t = Constant <value_ints = [0, 6, 4, 6]> ()
        e = Reshape (d, t)""",
    "tokens": """s = Constant <value_ints = [0, 6, 24]> ()
        c = Reshape (b, s)
        d = Transpose <perm = [0, 2, 1]> (c)
        g = MatMul (d, w6)
        h = Tanh (g)
        i = Transpose <perm = [0, 2, 1]> (h)
        t = Constant <value_ints = [0, 6, 4, 6]> ()
        e = Reshape (i, t)""",
    "tokens joined with the batch": """d = Transpose <perm = [0, 2, 3, 1]> (b)
        s = Constant <value_ints = [-1, 6]> ()
        c = Reshape (d, s)
        g = Gemm (c, w6)
        t = Constant <value_ints = [-1, 4, 6, 6]> ()
        h = Reshape (g, t)
        e = Transpose <perm = [0, 3, 1, 2]> (h)""",
    "windows": """d = Transpose <perm = [0, 2, 3, 1]> (b)
        s = Constant <value_ints = [-1, 2, 2, 3, 2, 6]> ()
        c = Reshape (d, s)
        g = Transpose <perm = [0, 1, 3, 2, 4, 5]> (c)
        t = Constant <value_ints = [-1, 4, 6]> ()
        h = Reshape (g, t)
        i = MatMul (h, w6)
        u = Constant <value_ints = [-1, 2, 3, 2, 2, 6]> ()
        j = Reshape (i, u)
        k = Transpose <perm = [0, 1, 3, 2, 4, 5]> (j)
        v = Constant <value_ints = [-1, 4, 6, 6]> ()
        l = Reshape (k, v)
        e = Transpose <perm = [0, 3, 1, 2]> (l)""",
    "channels of all images in one axis": """s = Constant <value_ints = [-1, 4, 6]> ()
        c = Reshape (b, s)
        d = Tanh (c)
        t = Constant <value_ints = [-1, 6, 4, 6]> ()
        e = Reshape (d, t)""",
    "channels moved to pixels and back": """c = SpaceToDepth <blocksize = 2> (b)
        e = DepthToSpace <blocksize = 2> (c)""",
    "enlarged and made smaller": """k = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
        c = Resize <mode = "linear"> (b, , k)
        e = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (c)""",
}


@pytest.mark.parametrize("body", STILL_A_MAP.values(), ids=STILL_A_MAP)
def test_a_map_is_followed_through(body: str) -> None:
    """Rows and columns of the last value are those of the image, whatever it went through."""
    network = model(STEM + body + HEAD.format("e", "w4"))
    (layer,) = choose_feature_layers(network, "auto").layers
    assert (layer.features, layer.height, layer.width) == (6, 4, 6)
    last = next(node for node in network.graph if node.op_type in ("GlobalAveragePool", "ReduceMean")).inputs[
        0
    ]
    assert last is not None
    assert positions(network.graph)[last] == (None, None, Line("rows", 0, 2), Line("columns", 0, 2))


def test_tokens_are_a_grid_with_others_in_front() -> None:
    """A class token is counted, and cut off again by a slice."""
    body = (
        STEM
        + """s = Constant <value_ints = [0, 6, 24]> ()
        c = Reshape (b, s)
        d = Transpose <perm = [0, 2, 1]> (c)
        i = Constant <value_ints = [1]> ()
        m = ReduceMean <keepdims = 1> (d, i)
        e = Concat <axis = 1> (m, d)
        g = Tanh (e)
        k = Constant <value_ints = [100]> ()
        h = Slice (g, i, k, i)
        l = Relu (h)
        z = ReduceMean <keepdims = 0> (l, i)
        whole = ReduceMean <keepdims = 0> (g, i)
        both = Add (z, whole)
        y = MatMul (both, w4)"""
    )
    network = model(body)
    found = {value.name: axes for value, axes in positions(network.graph).items()}
    rows, columns = Line("rows", 0, 2), Line("columns", 0, 2)
    assert found["g"] == (None, Grid(rows, columns, 4, 6, before=1), None)
    assert found["l"] == (None, Grid(rows, columns, 4, 6), None)
