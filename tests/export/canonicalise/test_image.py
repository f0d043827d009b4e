"""Models take images as their frameworks do: channels last, as uint8 pixels, of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export import export
from gagrad_export.canonicalise import canonicalise
from tests.export.source_check import check_rows, exported, legacy_export, model_of

rng = np.random.default_rng(0)
WEIGHTS = {
    "w": rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32),
    "fc": rng.normal(0, 1, (4, 5)).astype(np.float32),
    "spatial": np.array([1, 2]),
    "axes": np.array([2, 3]),
    "k255": np.float32(255),
    "mean": np.array([0.4, 0.5, 0.6], np.float32),
    "sizes": np.array([1, 3, 12, 12]),
}

BACKBONE = """
    t = Transpose <perm = [0, 3, 1, 2]> (image)
    c = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (t, w)
    r = Relu (c)
    b = Transpose <perm = [0, 2, 3, 1]> (r)
"""
TF = f"""{BACKBONE}
    m = ReduceMean <keepdims = 0> (b, spatial)
    l = MatMul (m, fc)
    scores = Softmax (l)
"""
"""As tf2onnx writes a Keras classifier."""

HEAD = "c = Conv (p, w) r = Relu (c) m = ReduceMean <keepdims = 0> (r, axes) scores = MatMul (m, fc)"


def model(image: str, body: str, scores: str = "float[N, 5]") -> onnx.ModelProto:
    used = {name: value for name, value in WEIGHTS.items() if f" {name})" in body or f" {name}," in body}
    return model_of(f"({image} image) => ({scores} scores) {{ {body} }}", **used)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["N, 16, 20, 3", "1, 16, 20, 3", "N, H, W, 3"])
def test_channels_last(tmp_path: Path, shape: str) -> None:
    """The image is [N, C, H, W] for us; the Transpose to the model's cancels with its own."""
    proto = model(f"float[{shape}]", TF)
    canonical = check_rows(proto, size=(16, 20))
    assert canonical.input_shape == (3, 16, 20)
    assert canonical.operators["Transpose"] == 1
    assert any("[N, H, W, C]" in note for note in canonical.notes)
    bundle = exported(proto, tmp_path, size=(16, 20))
    assert bundle.manifest.output.activation == "softmax"


def test_a_size_that_is_not_fixed_is_asked_for() -> None:
    """A model without a fixed size raises ModelError that names the size."""
    with pytest.raises(ModelError, match="`size`"):
        canonicalise(model("float[N, H, W, 3]", TF))


@pytest.mark.parametrize(
    ("tail", "activation"), [("scores = Softmax (b)", "softmax"), ("scores = Identity (b)", None)]
)
def test_classes_last(tail: str, activation: str | None) -> None:
    """[N, H, W, K] of a Keras segmentation model becomes [N, K, H, W]: the class comes first."""
    body = BACKBONE + tail
    canonical = check_rows(model("float[N, 16, 20, 3]", body, "float[N, A, B, 4]"))
    assert canonical.score_shape == (4, 8, 10)
    assert canonical.tail == activation
    assert any("classes" in note for note in canonical.notes)


PIXELS = {
    "channels last": (
        "uint8[N, 16, 16, 3]",
        (
            "f = Cast <to = 1> (image) d = Div (f, k255) s = Sub (d, mean) "
            "p = Transpose <perm = [0, 3, 1, 2]> (s)"
        ),
    ),
    "channels first": ("uint8[N, 3, 16, 16]", "f = Cast <to = 1> (image) p = Div (f, k255)"),
    "transposed as uint8": (
        "uint8[N, 16, 16, 3]",
        "t = Transpose <perm = [0, 3, 1, 2]> (image) f = Cast <to = 1> (t) p = Div (f, k255)",
    ),
    "resized inside": (
        "uint8[1, 3, 16, 16]",
        'f = Cast <to = 1> (image) z = Resize <mode = "linear"> (f, , , sizes) p = Div (z, k255)',
    ),
}


@pytest.mark.parametrize("what", PIXELS)
def test_pixels_in_and_preprocessing_inside(what: str) -> None:
    """The graph gets image · 255 where the model got uint8, and its cast is gone."""
    image, body = PIXELS[what]
    canonical = check_rows(model(image, f"{body} {HEAD}", f"float[{image[6]}, 5]"))
    assert "Cast" not in canonical.operators
    assert any("image · 255" in note for note in canonical.notes)


@pytest.mark.slow
def test_pixels_are_explained(tmp_path: Path) -> None:
    """With a gradient that is not that of a rounded image; --mean and --std would be applied twice."""
    image, body = PIXELS["channels last"]
    proto = model(image, f"{body} {HEAD}")
    bundle = exported(proto, tmp_path)
    assert bundle.manifest.input.std == [1.0] * 3
    assert bundle.manifest.verification.gradient_error <= 1e-3
    with pytest.raises(SettingError, match="normalises them itself"):
        export(tmp_path / "m.onnx", tmp_path / "n.gagrad", mean=[0.5])


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("int32[N, 3, 8, 8]", "INT32 images"),
        ("float[N, 3, 8]", "not an image"),
        ("float[N, 17, 8, 18]", "17 channels; 1 to 16"),
        ("float[N, A, B, C]", "unknown number of channels"),
    ],
)
def test_what_is_no_image(image: str, why: str) -> None:
    """An input that is no image raises ModelError with the reason."""
    with pytest.raises(ModelError, match=why):
        canonicalise(model(image, "scores = Identity (image)", image))


@pytest.mark.parametrize("opset", [11, 17])
def test_shape_arithmetic_folds_away(tmp_path: Path, opset: int) -> None:
    """Free height and width become numbers, and with them what is computed from them."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.side = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 1)
            self.head = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            side = self.side(x)
            low = functional.interpolate(self.down(x), size=side.shape[2:], mode="bilinear")
            flat = (side + low).relu().reshape(x.shape[0], 8, x.shape[2] * x.shape[3])
            scores: torch.Tensor = self.head(flat.mean(-1))
            return scores

    axes: dict[str, Any] = {"image": {0: "n", 2: "h", 3: "w"}, "scores": {0: "n"}}
    proto = legacy_export(Pyramid(), 16, opset=opset, axes=axes)
    assert sum(node.op_type == "Shape" for node in proto.graph.node) > 2
    for size in ((16, 16), (18, 22)):
        canonical = check_rows(proto, size=size)
        assert not {"Shape", "Gather", "Slice", "Cast"} & set(canonical.operators)


def test_shapes_fold_where_nothing_else_does() -> None:
    """Without an inferred shape the first fold would change nothing, and look like the last."""
    body = "r = Relu (image) s = Shape (r) z = ConstantOfShape (s) y = Add (r, z) f = Flatten (y)"
    text = f"(float[n, 3, 8, 8] image) => (float[n, 2] scores) {{ {body} scores = MatMul (f, head) }}"
    head = np.random.default_rng(0).standard_normal((192, 2)).astype(np.float32)
    assert "ConstantOfShape" not in check_rows(model_of(text, head=head)).operators


@pytest.mark.slow
def test_predict_takes_frames_of_the_chosen_size(tmp_path: Path) -> None:
    """The predict graph's input is channels first and has the chosen size."""
    bundle = exported(model("float[N, H, W, 3]", TF), tmp_path, size=(16, 24))
    session = onnxruntime.InferenceSession(bundle.graph("predict"))
    assert session.get_inputs()[0].shape == ["N", 3, 16, 24]
