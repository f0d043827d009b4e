"""Devices by name: what each is opened with, what is said when it is not there, what fell to the CPU."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import DeviceError, MissingPackageError, SettingError
from gagrad_export import BundleOptions, export
from gagrad_runtime import load
from gagrad_runtime.backend import assignment, open_backend, select
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend
from gagrad_runtime.backend.providers import PROVIDERS, Provider, provider_options
from gagrad_runtime.machine.nvidia import nvidia_device
from gagrad_runtime.session.explainer import Explainer
from tests.models import tiny_model

GPU = [name for name, provider in PROVIDERS.items() if provider.memory != "cpu"]


@pytest.mark.parametrize("device", GPU)
def test_a_gpu_that_is_not_there_comes_with_the_line_that_installs_it(device: str) -> None:
    """Here onnxruntime is the CPU's: no node may run there in silence."""
    with pytest.raises(MissingPackageError) as caught:
        open_backend(device)
    assert "pip install" in str(caught.value)
    assert f"device={device}" in str(caught.value)


def test_auto_takes_what_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device auto is the first engine of its list that opens."""
    assert "CPUExecutionProvider" in open_backend("auto").description
    monkeypatch.setattr(select, "AUTO", ("openvino", "cpu"))
    assert "openvino" in open_backend("auto").description


@pytest.mark.parametrize("part", ["GPU", "NPU", "XPU"])
def test_an_openvino_device_that_is_not_there(part: str) -> None:
    """An OpenVINO device that the machine lacks raises DeviceError with those that it has."""
    with pytest.raises(DeviceError, match="finds no device") as caught:
        open_backend(f"openvino:{part}")
    assert caught.value.choices == ("openvino:CPU",)


@pytest.mark.slow
def test_openvino_explains_as_onnxruntime_does(tiny_bundle: Path) -> None:
    """Behind the canary; the map, the score and RCAP agree up to rounding."""
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with load(tiny_bundle, device="cpu") as known, load(tiny_bundle, device="openvino") as other:
        expected, found = known.explain(frame, rcap=True), other.explain(frame, rcap=True)
        again = other.explain(frame)
    assert found.provenance.backend.startswith("openvino")
    assert found.provenance.backend_notes == ()
    assert (np.abs(found.saliency - expected.saliency) < 1e-3).mean() >= 0.995
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.rcap.score, expected.rcap.score, rtol=1e-3)
    np.testing.assert_array_equal(found.saliency, again.saliency)


def test_openvino_reports_to_nobody() -> None:
    """The package by which it would is never loaded by us."""
    code = "import sys, gagrad_runtime.backend as b; b.open_backend('openvino'); print(sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'openvino'" in run.stdout
    assert "openvino_telemetry" not in run.stdout


NAMES_NODES = pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 24),
    reason="onnxruntime does not name the nodes of each provider before 1.24",
)


@NAMES_NODES
def test_nodes_on_the_cpu_are_named(tiny_bundle: Path) -> None:
    """With the real session: whatever is not shape arithmetic is listed, with how many and the first."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(assignment.RECORD, "1")
    session = onnxruntime.InferenceSession(
        read_bundle(tiny_bundle).graph("predict"), options, providers=["CPUExecutionProvider"]
    )
    assert assignment.can_report(type(session))
    assert assignment.all_on_cpu(session)
    named = assignment.on_cpu(session)
    assert any(line.startswith(("Conv (", "FusedConv (", "NhwcFusedConv (")) for line in named), named
    assert not any(line.startswith(("Shape (", "Concat (")) for line in named)


@NAMES_NODES
def test_a_session_that_does_all_on_the_cpu_is_refused(tiny_bundle: Path) -> None:
    """Stand-in for a GPU provider: the CPU's session under another memory's rules."""
    backend = OnnxRuntimeBackend(PROVIDERS["cpu"])
    backend._provider = PROVIDERS["cuda"]
    backend._session = lambda data, options: onnxruntime.InferenceSession(  # type: ignore[method-assign]
        data, options, providers=["CPUExecutionProvider"]
    )
    with pytest.raises(DeviceError, match="takes no node of it"):
        backend.open("predict", read_bundle(tiny_bundle).graph_file("predict"))


@pytest.mark.parametrize("device", GPU)
def test_gpu_options_are_ones_that_float32_and_the_cache_need(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPU providers get no TF32, and a cache folder of the user's alone for each graph."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = provider_options(PROVIDERS[device], b"one graph")
    others = provider_options(PROVIDERS[device], b"another")
    folders = {name: value for name, value in options.items() if name.endswith("_path")}
    for name, folder in folders.items():
        assert Path(folder).stat().st_mode & 0o077 == 0
        assert others[name] != folder
    assert bool(folders) == bool(PROVIDERS[device].cache_options)
    if device == "cuda":
        assert options["use_tf32"] == "0"


def test_no_cache_where_no_folder_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no cache folder can be made, the provider gets no cache options."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    options = provider_options(PROVIDERS["tensorrt-ort"], b"graph")
    assert not any("cache" in name for name in options)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ""),
        (
            {
                "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA L4\nIRQ: 9\n",
                "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX  580.1\nGCC version: 12\n",
            },
            "NVIDIA L4, NVRM version: NVIDIA UNIX 580.1",
        ),
        (
            {
                "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
                "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n",
            },
            "NVIDIA Jetson Orin Nano, # R36 (release), REVISION: 4.3",
        ),
    ],
)
def test_the_device_as_the_driver_tells_it(files: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """The GPU's name and driver are read from /proc and the device tree; none gives an empty text."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert nvidia_device(tmp_path) == expected


@pytest.mark.slow
def test_a_provider_takes_float16_graphs_where_they_were_asked_for(tmp_path: Path, tiny_bundle: Path) -> None:
    """In float16 it runs the bundle's float16 graphs, says so, and refuses a bundle without them."""
    provider = Provider("cuda", "CPUExecutionProvider", memory="cpu", half=True)
    path, model = tmp_path / "half.gagrad", tmp_path / "tiny.onnx"
    onnx.save(tiny_model(), model)
    export(model, path, size=(24, 32), bundle=BundleOptions(precisions=["float16"]))
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    engine = OnnxRuntimeBackend(provider, precision="float16")
    with load(path, device="cpu") as known, Explainer(read_bundle(path), engine) as half:
        expected, found = known.explain(frame), half.explain(frame)
    assert found.provenance.backend.endswith("(CPUExecutionProvider, float16)")
    assert not np.array_equal(found.scores, expected.scores)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=2e-2, atol=2e-2)
    with pytest.raises(SettingError, match="no float16 graphs"):
        Explainer(read_bundle(tiny_bundle), engine)


@pytest.mark.parametrize(("machine", "target"), [("aarch64", "aarch64"), ("x86_64", "portable")])
def test_the_cpu_asks_for_the_forms_of_its_processor(
    machine: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On ARM the plain layout's forms are wanted; a bundle without them gives the portable ones."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert OnnxRuntimeBackend().target == target


def test_only_a_gpu_is_asked_for_float16() -> None:
    """cuda:fp16 is CUDA's provider; a CPU, which would compute in float32, refuses the name."""
    with pytest.raises(MissingPackageError, match="CUDAExecutionProvider"):
        open_backend("cuda:fp16")
    with pytest.raises(DeviceError, match="no device 'cpu:fp16'"):
        open_backend("cpu:fp16")
