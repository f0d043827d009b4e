"""Which layer class activation maps are taken at."""

from __future__ import annotations

import pytest
from onnx import parser

from gagrad_edge.errors import SettingError
from gagrad_export.assemble.feature_layer import choose_feature_layers
from gagrad_export.canonicalise import Canonical, canonicalise


def model(body: str, scores: str = "float[N, 4] y") -> Canonical:
    """Return a model of images of 8×12 in canonical form; ``w``… are its weights."""
    return canonicalise(
        parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        m (float[N, 3, 8, 12] x) => ({scores})
        {{
            ones = Constant <value_float = 0.1> ()
            s1 = Constant <value_ints = [6, 3, 3, 3]> ()
            w1 = Expand (ones, s1)
            s2 = Constant <value_ints = [4, 6, 1, 1]> ()
            w2 = Expand (ones, s2)
            s3 = Constant <value_ints = [6, 4]> ()
            w3 = Expand (ones, s3)
            s6 = Constant <value_ints = [6, 6]> ()
            w6 = Expand (ones, s6)
            n = Constant <value_floats = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]> ()
            {body}
        }}
        """)
    )


STEM = "a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1)\n"
HEAD = "p = GlobalAveragePool ({})\n f = Flatten (p)\n y = MatMul (f, w3)"
CASES = {
    "behind the activation": (STEM + "b = Relu (a)\n" + HEAD.format("b"), "b"),
    "behind the sum, not on a branch": (
        STEM + "b = Relu (a)\n c = Tanh (b)\n d = Add (b, c)\n" + HEAD.format("d"),
        "d",
    ),
    "behind x · sigmoid(x)": (STEM + "b = Sigmoid (a)\n c = Mul (a, b)\n" + HEAD.format("c"), "c"),
    "in front of a pooling": (
        STEM + "b = AveragePool <kernel_shape = [4, 6]> (a)\n f = Flatten (b)\n y = MatMul (f, w3)",
        "a",
    ),
}


@pytest.mark.parametrize(("body", "name"), CASES.values(), ids=CASES)
def test_the_last_map_on_every_path(body: str, name: str) -> None:
    """The layer that is chosen is the last feature map that every path to the scores passes."""
    chosen = choose_feature_layers(model(body), "auto")
    (layer,) = chosen.layers
    assert (layer.name, chosen.why) == (name, "the last map of features on every path from image to score")
    assert (layer.features, layer.height, layer.width, layer.layout) == (6, 4, 6, "channels-first")


def test_a_map_of_scores_is_not_one_of_features() -> None:
    """What a segmentation puts out, and what it enlarges, holds scores already."""
    body = (
        STEM
        + """b = Relu (a)
        c = Conv (b, w2)
        k = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
        y = Resize <mode = "linear"> (c, , k)"""
    )
    (layer,) = choose_feature_layers(model(body, "float[N, 4, 8, 12] y"), "auto").layers
    assert layer.name == "b"


def attention(tokens: str, norm: str) -> str:
    return (
        STEM
        + f"""
        shape = Constant <value_ints = [0, 6, 24]> ()
        r = Reshape (a, shape)
        t = Transpose <perm = [0, 2, 1]> (r)
        {tokens}
        {norm}
        q = MatMul (e, w6)
        k = MatMul (e, w6)
        kt = Transpose <perm = [0, 2, 1]> (k)
        qk = MatMul (q, kt)
        z = Softmax <axis = -1> (qk)
        o = MatMul (z, e)
        u = Add (h, o)
        zero = Constant <value_int = 0> ()
        v = MatMul (u, w6)
        c = Gather <axis = 1> (v, zero)
        y = MatMul (c, w3)"""
    )


@pytest.mark.parametrize("first", [True, False], ids=["class token", "patches only"])
@pytest.mark.parametrize("normalised", [True, False])
def test_the_tokens_in_front_of_the_last_attention(first: bool, normalised: bool) -> None:
    """As the last block's attention reads them, since only one token goes on from there."""
    tokens = (
        "g = ReduceMean <keepdims = 1> (t, one)\n gt = Concat <axis = 1> (g, t)\n h = Softplus (gt)"
        if first
        else "h = Relu (t)"
    )
    tokens = "one = Constant <value_ints = [1]> ()\n" + tokens
    norm = "e = LayerNormalization (h, n)" if normalised else "e = Tanh (h)"
    (layer,) = choose_feature_layers(model(attention(tokens, norm)), "auto").layers
    assert layer.layout == "tokens"
    assert (layer.features, layer.height, layer.width) == (6, 4, 6)
    assert layer.name == "e"


def test_the_last_tokens_of_a_mixer() -> None:
    """Without attention all tokens reach the score, so the last ones are taken."""
    body = (
        STEM
        + """
        shape = Constant <value_ints = [0, 6, 24]> ()
        r = Reshape (a, shape)
        t = Transpose <perm = [0, 2, 1]> (r)
        u = MatMul (t, w6)
        v = Add (t, u)
        one = Constant <value_ints = [1]> ()
        c = ReduceMean <keepdims = 0> (v, one)
        y = MatMul (c, w3)"""
    )
    (layer,) = choose_feature_layers(model(body), "auto").layers
    assert (layer.name, layer.layout, layer.height, layer.width) == ("v", "tokens", 4, 6)


def test_none_on_every_path() -> None:
    """Two branches of different sizes that only the score brings together."""
    body = """p = GlobalAveragePool (x)
        q = GlobalMaxPool (x)
        r = Concat <axis = 1> (p, q)
        f = Flatten (r)
        y = MatMul (f, w3)"""
    chosen = choose_feature_layers(model(body), "auto")
    assert chosen.layers == ()
    assert "rows and columns and several features" in chosen.why


def test_by_name() -> None:
    """A layer is chosen by the name of its output or of its node."""
    network = model(STEM + "b = Relu (a)\n" + HEAD.format("b"))
    (layer,) = choose_feature_layers(network, "a").layers
    assert layer.operator == "Conv"
    node = next(node for node in network.graph if node.op_type == "Conv")
    assert choose_feature_layers(network, node.name).layers == (layer,)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bb", ("no layer 'bb'", "b")),
        ("f", ("no map", "a, b")),
        ("y", ("between", "auto")),
    ],
)
def test_a_name_that_cannot_be_used(name: str, words: tuple[str, ...]) -> None:
    """A name that is unknown, no map, or not between image and scores raises SettingError."""
    with pytest.raises(SettingError) as found:
        choose_feature_layers(model(STEM + "b = Relu (a)\n" + HEAD.format("b")), name)
    for word in words:
        assert word in str(found.value)
