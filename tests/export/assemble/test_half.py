"""Float16 graphs: typed as compilers want them, near float32, and never quietly wrong."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import ModelError, SettingError, VerificationError
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import GraphKey, MethodSpec
from gagrad_edge.method.noise import noise_chunks
from gagrad_export import BundleOptions, export
from gagrad_export.assemble import accumulate, accumulate_graph, predict_graph
from gagrad_export.assemble.half import holds, rounded
from gagrad_export.canonicalise import canonicalise
from gagrad_export.verify.half import emulated
from gagrad_export.verify.sessions import Sessions
from tests.long import all_but
from tests.models import SIZE, tiny_model

if TYPE_CHECKING:
    from gagrad_export.canonicalise import Canonical

DEMO = Path(__file__).parents[3] / "gagrad_edge" / "demo" / "defects.onnx"
ARCHITECTURES = (
    "demo",
    "resnet18",
    "efficientnet_lite0",
    "mobilenet_v3_large",
    "convnext_atto",
    "vit_tiny",
    "swin",
)
"""Dense with max pooling, depthwise with gates, layer norms, attention with and without windows."""


@cache
def canonical(name: str) -> Canonical:
    if name == "demo":
        return canonicalise(onnx.load(DEMO))
    if name == "tiny":
        return canonicalise(tiny_model(), size=SIZE)
    import timm
    import torch

    from gagrad_export.load.torch_module import load_torch_module
    from tests.export.networks import network

    torch.manual_seed(0)
    size = 64 if name == "swin" else 32
    if name == "convnext_atto":
        module = timm.create_model(name).eval()
    elif name == "swin":
        # Two of its four stages.
        swin = "swin_tiny_patch4_window7_224"
        module = timm.create_model(swin, img_size=64, window_size=4, depths=(2, 2)).eval()
    else:
        module = network(name)
    return canonicalise(
        load_torch_module(module, name=name, input_shape=(3, size, size)).model, size=(size, size)
    )


def spec_of(model: Canonical) -> InputSpec:
    channels, height, width = model.input_shape
    colour = "mono" if channels == 1 else "rgb"
    return InputSpec(height=height, width=width, colour=colour, mean=[0.45] * channels, std=[0.25] * channels)


@cache
def half_graphs(name: str) -> dict[str, GraphFile]:
    model = canonical(name)
    return {
        "predict": predict_graph(model, spec_of(model), "float16"),
        "accumulate": accumulate_graph(model, spec_of(model), precision="float16")[0],
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", all_but(ARCHITECTURES, "resnet18", "efficientnet_lite0", "mobilenet_v3_large", "swin")
)
def test_tensorrt_builds_the_typed_graphs(name: str) -> None:
    """Built as strongly typed networks, for which the ABI stays float32 and every convolution is in half."""
    from tests.export.networks import tensorrt_refuses

    for data in half_graphs(name).values():
        assert tensorrt_refuses(data, batch=4) == ""
        graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data.complete())).graph
        assert {value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]} == {1}
        types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
        for node in graph.node:
            if node.op_type in ("Conv", "Gemm", "MatMul"):
                assert types[node.output[0]] == 10, node.name
            if node.op_type in ("Softmax", "LayerNormalization", "ReduceMean", "ReduceSum", "Exp"):
                assert types.get(node.output[0], 1) == 1, node.name


@pytest.mark.slow
def test_the_builder_refuses_mixed_types() -> None:
    """So the test above can fail: half times float32 is no operator."""
    from tests.export.networks import tensorrt_refuses

    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        m (float[1, 4] x) => (float[1, 4] y) { h = Cast <to = 10> (x) z = Mul (h, x) y = Cast <to = 1> (z) }
    """)
    assert tensorrt_refuses(model.SerializeToString())


@pytest.mark.slow
@pytest.mark.parametrize("name", all_but(["demo", "resnet18"], "resnet18"))
def test_it_is_near_float32(name: str, tmp_path: Path) -> None:
    """As the exporter measures it: cosine and rank correlation ≥ 0.995, with every value rounded to half."""
    from tests.export.networks import network

    out = tmp_path / "half.gagrad"
    if name == "demo":
        export(DEMO, out, bundle=BundleOptions(precisions=("float16",)))
    else:
        export(
            network(name),
            out,
            size=(32, 32),
            mean=[0.45],
            std=[0.25],
            bundle=BundleOptions(precisions=("float16",)),
        )
    bundle = read_bundle(out)
    (check,) = bundle.manifest.verification.precisions
    assert check.precision == "float16"
    assert check.gradient_cosine >= 0.995
    assert check.map_correlation >= 0.995
    assert check.scores_error <= 2e-3
    for role in ("predict", "accumulate"):
        half = bundle.graph(GraphKey(role, precision="float16"))
        assert (
            half == bundle.graph(GraphKey(role, target="tensorrt", precision="float16")) != bundle.graph(role)
        )
        assert len(half) < 0.6 * len(bundle.graph(role))
    assert bundle.graph(GraphKey("finalize", precision="float16")) == bundle.graph("finalize")
    shipped = bundle.graph_file(GraphKey("accumulate", precision="float16"))
    expected = bundle.graph_file("accumulate")
    for data in (shipped, emulated(shipped)):
        assert magnitude(data, bundle) == pytest.approx(magnitude(expected, bundle), rel=1e-2)


def magnitude(data: GraphFile, bundle: Bundle) -> float:
    """Return the norm of Σ|g| of four copies: unscaled as it was scaled."""
    channels, height, width = bundle.manifest.input.shape
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (1, channels, height, width)).astype(np.float32)
    noise = rng.standard_normal((4, channels, height, width)).astype(np.float32)
    state, _ = sessions(data).accumulate(
        image, noise, 0.15, np.eye(1, bundle.manifest.output.shape[0], dtype=np.float32)
    )
    return float(np.linalg.norm(state.abs_sum))


def run(data: GraphFile, **feeds: np.ndarray) -> np.ndarray:
    output: np.ndarray = onnxruntime.InferenceSession(data.complete()).run(None, feeds)[0]
    return output


def test_the_emulation_rounds_where_the_cpu_does_not() -> None:
    """A product that half flushes to zero, and one beyond its range; ONNX Runtime alone shows neither."""
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        m (float[3] x) => (float[3] y) {
            c = Constant <value_float = 0.0001> ()
            h = Cast <to = 10> (x) k = Cast <to = 10> (c)
            small = Mul (h, k) back = Div (small, k) y = Cast <to = 1> (back)
        }
    """)
    data = GraphFile(model.SerializeToString())
    x = np.array([1e-5, 1.0, 60000.0], np.float32)
    assert run(data, x=x)[0] > 0
    found = run(emulated(data), x=x)
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], x[1:], rtol=2e-3)
    large = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        m (float[1] x) => (float[1] y) {
            h = Cast <to = 10> (x) z = Mul (h, h) r = Sqrt (z) y = Cast <to = 1> (r)
        }
    """).SerializeToString()
    assert np.isinf(run(emulated(GraphFile(large)), x=np.array([300], np.float32))).all()


def test_constants_that_half_has_not() -> None:
    """An epsilon would be zero and a steep gate infinite; small numbers among large ones do no harm."""
    assert not holds(np.array(1e-12, np.float32))
    assert not holds(np.array(2.0**100, np.float32))
    assert not holds(np.array([1.0, 1e6], np.float32))
    assert holds(np.array([-np.inf, 1.0], np.float32))
    assert holds(np.array([1.0, 1e-12], np.float32))
    bounds = rounded(np.array([-3.4e38, 1e9, -np.inf], np.float32), ordered=True)
    assert bounds.tolist() == [-65504, 65504, -np.inf]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # x / √(x² + 1e-12): in half the square overflows above 256, and the epsilon would be 0.
        ("s = Mul (x, x) t = ReduceSum (s, axes) u = Add (t, eps) n = Sqrt (u) y = Div (x, n)", "unit"),
        # Bounds beyond half's range bound nothing.
        ("y = Clip (x, low, high)", "same"),
        ("m = Less (x, low) y = Where (m, high, x)", "same"),
    ],
)
def test_what_half_cannot_hold_is_computed_in_float32(body: str, expected: str) -> None:
    """What overflows in float16 is computed in float32, so the scores stay those of float32."""
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        m (float[N, 3, 8, 8] x) => (float[N, 3] scores) {{
            {body} scores = ReduceMax <keepdims = 0> (y, places)
        }}
    """)
    values = {"eps": 1e-12, "low": -1e30, "high": 1e30}
    constants = {name: np.array(value, np.float32) for name, value in values.items()}
    constants |= {"axes": np.array([1, 2, 3]), "places": np.array([2, 3])}
    for name, value in constants.items():
        if name in body or name == "places":
            model.graph.initializer.append(numpy_helper.from_array(value, name))
    canon = canonicalise(model, size=(8, 8))
    spec = InputSpec(height=8, width=8, colour="rgb", mean=[0.0] * 3, std=[0.001] * 3)
    data = predict_graph(canon, spec, "float16")
    image = np.random.default_rng(0).uniform(0, 1, (2, 3, 8, 8)).astype(np.float32)
    x = image / np.float32(0.001)
    if expected == "unit":
        x = x / np.linalg.norm(x.reshape(2, -1), axis=1).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(run(emulated(data), image=image), x.max(axis=(2, 3)), rtol=2e-3)


def test_a_tiny_bias_leaves_a_convolution_in_half() -> None:
    """A network whose means are about zero has such biases; a bias beyond half's range is another matter."""

    def types(bias: float) -> set[int]:
        model = tiny_model()
        b1 = next(tensor for tensor in model.graph.initializer if tensor.name == "b1")
        b1.CopyFrom(numpy_helper.from_array(np.full(4, bias, np.float32), "b1"))
        canon = canonicalise(model, size=SIZE)
        graph = onnx.load_from_string(predict_graph(canon, spec_of(canon), "float16").complete()).graph
        kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
        conv = next(node for node in graph.node if node.op_type == "Conv")
        return {kinds[name] for name in conv.input[1:]}

    assert types(1e-9) == {10}
    assert types(1e6) == {1}


def sessions(data: GraphFile) -> Sessions:
    return Sessions({GraphKey("accumulate"): data})


def test_a_small_gradient_survives_by_scaling_the_cotangent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cotangent of 2⁻¹⁸ leaves the direction to 0.999; without the scale half flushes it to zero."""
    model, spec = canonical("tiny"), spec_of(canonical("tiny"))
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (1, 3, *SIZE)).astype(np.float32)
    noise = rng.standard_normal((4, 3, *SIZE)).astype(np.float32)
    cotangent = np.array([[1, 0, 0]], np.float32) * np.float32(2.0**-18)

    def mean(data: GraphFile) -> np.ndarray:
        state, _ = sessions(data).accumulate(image, noise, 0.15, cotangent)
        return state.mean.ravel()

    expected = mean(accumulate_graph(model, spec)[0])

    def cosine() -> float:
        found = mean(emulated(accumulate_graph(model, spec, precision="float16")[0]))
        norm = float(np.linalg.norm(found)) * float(np.linalg.norm(expected))
        return float(found @ expected) / max(norm, 1e-30)

    assert cosine() > 0.999
    monkeypatch.setattr(accumulate, "HALF_SCALE", 1.0)
    assert cosine() < 0.5


METHODS = (
    {"method": "guided-absolutegrad", "guide": "paper"},
    {"method": "guided-absolutegrad", "guide": "pooled"},
    {"method": "absolutegrad"},
    {"method": "smoothgrad"},
    {"method": "vargrad"},
)
FRAME = np.random.default_rng(3).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("settings", METHODS, ids=str)
def test_one_sample_that_overflows_is_said(overflowing: Bundle, settings: dict[str, str]) -> None:
    """Some of six copies have an infinite gradient at some pixel, and the runtime draws no map."""
    from gagrad_runtime.backend import open_backend
    from gagrad_runtime.session.explainer import Explainer

    backend = open_backend("cpu")
    with Explainer(overflowing, backend) as explainer:
        assert np.isfinite(explainer.explain(FRAME, target=0, **settings).saliency).all()
    backend.precision = "float16"
    with Explainer(overflowing, backend) as explainer, pytest.raises(ModelError, match="gradients are not"):
        explainer.explain(FRAME, target=0, **settings)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Bundle whose float16 gradient is scaled so far that it overflows for some copies, and not for all."""
    folder = tmp_path_factory.mktemp("overflow")
    model = tiny_model()
    w1 = next(tensor for tensor in model.graph.initializer if tensor.name == "w1")
    w1.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(w1) * np.float32(100), "w1"))
    onnx.save(model, folder / "m.onnx")
    method = MethodSpec(samples=6, chunk=3)
    export(
        folder / "m.onnx",
        folder / "m.gagrad",
        size=SIZE,
        bundle=BundleOptions(precisions=("float16",), method=method),
    )
    bundle = read_bundle(folder / "m.gagrad")
    image = np.ascontiguousarray(FRAME.transpose(2, 0, 1)[None]).astype(np.float32) / np.float32(255)
    cotangent = np.eye(1, 3, dtype=np.float32)
    canon = canonicalise(model, size=SIZE)
    with pytest.MonkeyPatch.context() as patch:
        for exponent in np.arange(8, 16, 0.25):
            patch.setattr(accumulate, "HALF_SCALE", float(2.0**exponent))
            data = emulated(accumulate_graph(canon, bundle.manifest.input, precision="float16")[0])
            made = sessions(data)
            overflows = []
            for noise in noise_chunks(0, 6, 1, (3, *SIZE)):
                state, _ = made.accumulate(image, noise, 0.15, cotangent)
                overflows.append(not np.isfinite(state.abs_sum).all())
            if any(overflows):
                break
    assert 0 < sum(overflows) < 6
    return dataclasses.replace(
        bundle, members={**bundle.members, "graphs/accumulate.float16.onnx": data.complete()}
    )


def test_bfloat16_is_refused_with_the_reason(tmp_path: Path) -> None:
    """bfloat16 without OpenVINO, and float64, are refused with the reason, and no bundle is written."""
    with pytest.raises(SettingError, match="ConvTranspose"):
        export(DEMO, tmp_path / "x.gagrad", bundle=BundleOptions(precisions=("bfloat16",)))
    with pytest.raises(SettingError, match="float64"):
        export(DEMO, tmp_path / "x.gagrad", bundle=BundleOptions(precisions=("float64",)))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_beyond_half_is_not_packaged(tmp_path: Path) -> None:
    """Weights 10⁴ times too large: scores beyond 65504."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "w3":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e5), "w3"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(VerificationError, match="65504"):
        export(
            tmp_path / "m.onnx",
            tmp_path / "m.gagrad",
            size=SIZE,
            bundle=BundleOptions(precisions=("float16",)),
        )
    assert not (tmp_path / "m.gagrad").exists()
