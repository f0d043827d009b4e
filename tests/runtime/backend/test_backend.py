"""The one interface over engines, with ONNX Runtime behind it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import BundleError, DeviceError, GagradError, ModelError, OutOfMemoryError
from gagrad_runtime.backend import Backend, open_backend
from gagrad_runtime.backend.onnxruntime_runner import OnnxRuntimeRunner


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module", params=["cpu", "openvino"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return open_backend(request.param)


def test_outputs_go_where_they_are_told(bundle: Bundle, backend: Backend) -> None:
    """A run writes into the caller's tensors, so that state stays on the device between runs."""
    runner = backend.open("accumulate", bundle.graph_file("accumulate"))
    shape = bundle.manifest.input.shape
    zeros = {
        name: backend.zeros(() if name == "count" else shape) for name in ("count", "abs_sum", "mean", "m2")
    }
    into = {f"{name}_out": backend.zeros(tensor.shape) for name, tensor in zeros.items()}
    noise = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    outputs = runner.run(
        {
            **zeros,
            "image": backend.upload(np.full((1, *shape), 0.5, np.float32) + 0.1 * noise[:1]),
            "noise": backend.upload(noise),
            "noise_std": backend.upload(np.array(0.15, np.float32)),
            "cotangent": backend.upload(np.array([[1, 0, 0]], np.float32)),
        },
        into,
    )
    assert all(outputs[name] is tensor for name, tensor in into.items())
    assert backend.download(into["count_out"]) == 2
    assert backend.download(into["abs_sum_out"]).max() > 0
    assert backend.download(zeros["abs_sum"]).max() == 0


def test_an_uploaded_array_can_be_reused(backend: Backend) -> None:
    """An uploaded tensor keeps its values when the caller's array changes."""
    array = np.ones((2, 3), np.float32)
    tensor = backend.upload(array)
    array[:] = 7
    assert (backend.download(tensor) == 1).all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "lacks its input 'image'"),
        ({"picture": (1, 3, 24, 32)}, "no input 'picture'"),
        ({"image": (1, 3, 24, 33)}, r"expected \(None, 3, 24, 32\)"),
        ({"image": (3, 24, 32)}, "has shape"),
    ],
)
def test_wrong_tensors_are_refused(
    bundle: Bundle, backend: Backend, inputs: dict[str, tuple[int, ...]], message: str
) -> None:
    """A missing input, an unknown one or a wrong shape raises ModelError with the input's name."""
    runner = backend.open("predict", bundle.graph_file("predict"))
    with pytest.raises(ModelError, match=message):
        runner.run({name: backend.zeros(shape) for name, shape in inputs.items()})


def test_bytes_that_are_no_graph(backend: Backend) -> None:
    """Bytes that are no graph raise BundleError, and no engine gets them."""
    with pytest.raises(BundleError, match="is not an ONNX file"):
        backend.open("predict", GraphFile(b"not a graph"))


def test_unknown_device_lists_the_known_ones() -> None:
    """The error about an unknown device lists the devices that there are."""
    with pytest.raises(DeviceError) as caught:
        open_backend("npu")
    assert "cpu" in caught.value.choices


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_second_run_needs_no_second_copy_of_the_activations() -> None:
    """In a process of its own: 24 activations of 4 MB that are all alive at the end."""
    child = subprocess.run([sys.executable, "-c", _TWO_RUNS], capture_output=True, text=True, check=True)
    first, second = (float(line) for line in child.stdout.split())
    assert first > 90
    assert second < 0.2 * first


_TWO_RUNS = """
import numpy as np, onnx
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_runtime.backend import open_backend

depth = 24
nodes = [onnx.helper.make_node("Sin", [f"x{i}"], [f"x{i + 1}"]) for i in range(depth)]
nodes.append(onnx.helper.make_node("Sum", [f"x{i}" for i in range(depth + 1)], ["sum"]))
nodes.append(onnx.helper.make_node("ReduceMax", ["sum"], ["y"], keepdims=0))
graph = onnx.helper.make_graph(
    nodes, "deep",
    [onnx.helper.make_tensor_value_info("x0", onnx.TensorProto.FLOAT, ["N", 1024, 1024])],
    [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])],
)
model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
backend = open_backend("cpu")
runner = backend.open("deep", GraphFile(model.SerializeToString()))
x = backend.upload(np.ones((1, 1024, 1024), np.float32))

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

for _ in range(2):
    before = resident()
    runner.run({"x0": x})
    print(resident() - before)
"""


class Failing:
    """An ONNX Runtime session or OrtValue that fails at whatever it is asked to do."""

    def __init__(self, said: str) -> None:
        self._said = said

    def __getattr__(self, _: str) -> Any:
        def fail(*_: Any) -> Any:
            raise RuntimeError(f"{self._said}\nand a trace")

        return fail


@pytest.mark.parametrize(
    ("said", "kind"), [("Invalid device", ModelError), ("Failed to allocate memory", OutOfMemoryError)]
)
def test_whatever_fails_in_a_run_is_a_sentence(bundle: Bundle, said: str, kind: type[GagradError]) -> None:
    """Binding the tensors too: what happened, in which graph, and what to do, without the engine's trace."""
    backend = open_backend("cpu")
    runner = backend.open("predict", bundle.graph_file("predict"))
    assert isinstance(runner, OnnxRuntimeRunner)
    runner._session = Failing(said)
    with pytest.raises(kind) as caught:
        runner.run({"image": backend.zeros((1, *bundle.manifest.input.shape))})
    assert said in caught.value.what
    assert "trace" not in str(caught.value)
    assert (caught.value.where, bool(caught.value.hint)) == ("graph 'predict'", True)


@pytest.mark.parametrize(
    ("said", "kind"), [("CUDA failure 700", DeviceError), ("CUDA error: out of memory", OutOfMemoryError)]
)
def test_a_copy_that_fails_is_the_devices(
    said: str, kind: type[GagradError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a device and from it: an error that names the device, and memory by its own kind."""
    backend = open_backend("cpu")
    tensor = backend.zeros((2,))
    with pytest.raises(kind, match="device=cpu"):
        backend.download(replace(tensor, handle=Failing(said)))
    monkeypatch.setattr("onnxruntime.OrtValue.ortvalue_from_numpy", Failing(said).fail)
    with pytest.raises(kind, match="device=cpu"):
        backend.zeros((2,))
