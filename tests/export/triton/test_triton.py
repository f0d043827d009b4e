"""The Triton repository: its configurations are NVIDIA's schema, and its chain gives explain's map."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format

import gagrad_runtime
from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.cli import run
from gagrad_edge.errors import SettingError
from gagrad_export import BundleOptions, MethodSpec, export
from gagrad_export.triton import write_repository
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from tests.export.networks import tensorrt_refuses
from tests.models import tiny_model


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def repository(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "models"
    write_repository(bundle, folder, batch=8)
    return folder


@pytest.fixture(scope="module")
def schema() -> ModuleType:
    """Load NVIDIA's generated message without the client, which needs gRPC."""
    (place,) = importlib.util.find_spec("tritonclient").submodule_search_locations  # type: ignore[union-attr,misc]
    spec = importlib.util.spec_from_file_location("model_config_pb2", f"{place}/grpc/model_config_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def configs(repository: Path, schema: ModuleType) -> dict[str, Any]:
    read = {}
    for path in sorted(repository.glob("*/config.pbtxt")):
        read[path.parent.name] = text_format.Parse(path.read_text("utf-8"), schema.ModelConfig())
    return read


def test_configurations_are_nvidias(repository: Path, schema: ModuleType) -> None:
    """They parse as ModelConfig; names are the folders'; each tensor of an ONNX model is as configured."""
    read = configs(repository, schema)
    assert set(read) == {f"tiny.{kind}" for kind in ("predict", "target", "saliency", "explain")}
    for name, config in read.items():
        assert config.name == name
        path = repository / name / "1" / "model.onnx"
        assert (repository / name / "1").is_dir(), "Triton wants a version, also of an ensemble"
        if config.platform == "ensemble":
            continue
        session = onnxruntime.InferenceSession(path)
        batch = [None] if config.max_batch_size else []
        for ports, found in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
            assert {port.name for port in ports} == {one.name for one in found}
            for port in ports:
                shape = next(one.shape for one in found if one.name == port.name)
                assert batch + list(port.dims) == [dim if isinstance(dim, int) else None for dim in shape]


def test_the_ensemble_is_wired_and_gives_the_map_of_explain(
    repository: Path, bundle: Bundle, schema: ModuleType
) -> None:
    """Run step by step as the configuration says, in ONNX Runtime; the server itself is not here."""
    frame = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image, _ = prepare(load_frame(frame), bundle.manifest.input)
    config = configs(repository, schema)["tiny.explain"]
    values = {config.input[0].name: image}
    for step in config.ensemble_scheduling.step:
        session = onnxruntime.InferenceSession(repository / step.model_name / "1" / "model.onnx")
        outputs = session.run(None, {port: values[value] for port, value in step.input_map.items()})
        named = dict(zip([one.name for one in session.get_outputs()], outputs, strict=True))
        values |= {value: named[port] for port, value in step.output_map.items()}
    with gagrad_runtime.load(bundle.path, device="cpu") as explainer:
        expected = explainer.explain(frame, preset="paper")
    assert values["target"].tolist() == list(expected.target.index)
    # The runtime does not pack the classifier's matrix, so the sums of products round otherwise.
    rounding = 1e-6 * float(np.abs(expected.scores).max())
    np.testing.assert_allclose(values["scores"][0], expected.scores, rtol=0, atol=rounding)
    assert (np.abs(values["saliency"] - expected.saliency) < 1e-4).mean() > 0.99
    for port in config.output:
        assert list(port.dims) == list(values[port.name].shape)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["predict", "target", "saliency"])
def test_tensorrt_builds_them(repository: Path, kind: str) -> None:
    """Triton's ONNX Runtime backend can hand them to TensorRT."""
    data = (repository / f"tiny.{kind}" / "1" / "model.onnx").read_bytes()
    assert tensorrt_refuses(data, batch=8) == ""


def test_a_repository_in_use_keeps_its_other_models(bundle: Bundle, tmp_path: Path) -> None:
    """Writing a repository twice replaces its own models and keeps the others."""
    (tmp_path / "other" / "1").mkdir(parents=True)
    for _ in range(2):
        write_repository(bundle, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other",
        "tiny.explain",
        "tiny.predict",
        "tiny.saliency",
        "tiny.target",
    ]


@pytest.mark.slow
def test_too_many_samples_for_one_batch(tmp_path: Path) -> None:
    """More samples than one batch holds raise SettingError, and nothing is written."""
    onnx.save(tiny_model(), tmp_path / "m.onnx")
    method = MethodSpec(samples=100)
    export(tmp_path / "m.onnx", tmp_path / "m.gagrad", bundle=BundleOptions(method=method))
    with pytest.raises(SettingError, match="one batch"):
        write_repository(read_bundle(tmp_path / "m.gagrad"), tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """export --triton writes the repository and names its models."""
    onnx.save(tiny_model(), tmp_path / "m.onnx")
    arguments = ["export", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.gagrad")]
    assert run([*arguments, "--triton", str(tmp_path / "models")]) == 0
    assert (tmp_path / "models" / "m.explain" / "config.pbtxt").is_file()
    assert "m.explain" in capsys.readouterr().err
