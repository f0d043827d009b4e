"""bfloat16 is measured in OpenVINO: allowed where the map is the same, else refused by the exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import numpy_helper, parser

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import SettingError, VerificationError
from gagrad_edge.manifest import GraphKey
from gagrad_export import BundleOptions, export
from gagrad_export.settings import check_precisions
from gagrad_runtime import load
from gagrad_runtime.backend import open_backend
from tests.models import tiny_model

OPTIONS = BundleOptions(targets=["openvino"], precisions=["bfloat16"])
measures = pytest.mark.skipif(
    "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this processor does not compute in bfloat16",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bfloat16")
    onnx.save(tiny_model(), folder / "tiny.onnx")
    export(folder / "tiny.onnx", folder / "tiny.gagrad", bundle=OPTIONS)
    return folder / "tiny.gagrad"


@measures
@pytest.mark.slow
def test_a_model_that_bears_it_is_explained_in_it(measured: Path) -> None:
    """The bundle says what was measured; openvino:bf16 rounds, says so, and points at the same place."""
    manifest = read_bundle(measured).manifest
    (check,) = manifest.verification.precisions
    assert check.precision == "bfloat16"
    assert check.map_correlation >= 0.98
    assert check.place_moved is not None
    assert check.place_moved <= 0.08
    assert 0 < check.scores_error < 0.05
    assert manifest.graph(GraphKey("accumulate", target="openvino")).target == "openvino"
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with load(measured, device="cpu") as known, load(measured, device="openvino:bf16") as rounded:
        expected, found = known.explain(frame), rounded.explain(frame)
    assert found.provenance.backend.endswith("(CPU, bfloat16)")
    assert found.provenance.backend_notes == ()
    assert not np.array_equal(found.scores, expected.scores)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.05, atol=0.05)


@measures
@pytest.mark.slow
def test_openvino_runs_its_own_form_in_float32(measured: Path) -> None:
    """The gradient for OpenVINO has comparisons in place of steep functions, and the same map."""
    bundle = read_bundle(measured)
    operators = {
        target: {node.op_type for node in _graph(bundle.graph(GraphKey("accumulate", target=target)))}
        for target in ("portable", "openvino")
    }
    assert "HardSigmoid" in operators["portable"]
    assert "HardSigmoid" not in operators["openvino"]
    assert open_backend("openvino").target == "openvino"
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with load(measured, device="cpu") as known, load(measured, device="openvino") as other:
        expected, found = known.explain(frame), other.explain(frame)
    assert (np.abs(found.saliency - expected.saliency) < 1e-3).mean() >= 0.995


def _graph(data: bytes) -> list[onnx.NodeProto]:
    return list(onnx.load_from_string(data).graph.node)


@measures
@pytest.mark.slow
def test_a_model_that_turns_on_small_differences_is_refused(tmp_path: Path) -> None:
    """256 + x rounds to steps of 2 in bfloat16, so the masks behind it are others: nothing is written."""
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        steep (float[N, 3, 24, 32] x) => (float[N, 3] scores) {
            a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
            b = Relu (a)
            c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (b, w2, b2)
            d = Relu (c)
            e = GlobalAveragePool (d)
            f = Flatten (e)
            scores = Gemm (f, w3)
        }
    """)
    rng = np.random.default_rng(7)
    shapes = {"w1": (4, 3, 3, 3), "w2": (6, 4, 3, 3), "w3": (6, 3)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    # The second layer takes the large offset of the first away again, and turns on what is left.
    arrays["b1"] = np.full(4, 256, np.float32)
    arrays["w2"] -= arrays["w2"].mean(axis=(1, 2, 3), keepdims=True)
    arrays["b2"] = np.zeros(6, np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    onnx.save(model, tmp_path / "steep.onnx")
    with pytest.raises(VerificationError, match="bfloat16 does not serve this model"):
        export(tmp_path / "steep.onnx", tmp_path / "steep.gagrad", bundle=OPTIONS)
    assert not (tmp_path / "steep.gagrad").exists()


@pytest.mark.slow
@measures
def test_a_bundle_that_was_not_measured_is_refused(tiny_bundle: Path) -> None:
    """openvino:bf16 takes no bundle on trust: the error names the two options of an export."""
    with pytest.raises(SettingError, match="was not measured in bfloat16") as caught:
        load(tiny_bundle, device="openvino:bf16")
    assert "targets=openvino" in str(caught.value)


def test_bfloat16_needs_openvinos_forms() -> None:
    """Without the target openvino it is refused, and so it is for a quantised model."""
    with pytest.raises(SettingError, match="for OpenVINO only"):
        check_precisions(["bfloat16"], ["tensorrt"])
    with pytest.raises(SettingError, match="a quantised model has no bfloat16 form"):
        check_precisions(["bfloat16"], ["openvino"], straight_through=2)
    check_precisions(["bfloat16", "float16"], ["openvino"])
