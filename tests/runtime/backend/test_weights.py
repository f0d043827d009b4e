"""An engine takes a graph's tensors from memory: it opens no file, and then needs it no more."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_runtime.backend import Backend, open_backend
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend

RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((16, 16, 3, 3)).astype(np.float32)
SCALE = RNG.standard_normal((16, 20, 20)).astype(np.float32)
MATRIX = RNG.standard_normal((20, 20)).astype(np.float32)


def graph() -> tuple[GraphFile, dict[str, np.ndarray]]:
    """Return a convolution, a product and a matrix product, and the memory of their tensors."""
    arrays = {"kernel": KERNEL.copy(), "scale": SCALE.copy(), "matrix": MATRIX.copy()}
    tensors, weights = [], {}
    for name, array in arrays.items():
        sha256 = hashlib.sha256(array.tobytes()).hexdigest()
        weights[sha256] = array.reshape(-1).view(np.uint8)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=f"weights/{sha256}")
        tensors.append(tensor)
    value, nodes = (
        helper.make_tensor_value_info,
        [
            helper.make_node("Conv", ["x", "kernel"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Mul", ["a", "scale"], ["b"]),
            helper.make_node("MatMul", ["b", "matrix"], ["y"]),
        ],
    )
    shape = ["N", 16, 20, 20]
    made = helper.make_graph(nodes, "g", [value("x", 1, shape)], [value("y", 1, shape)], tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return GraphFile(model.SerializeToString(), weights), arrays


@pytest.fixture(scope="module", params=["cpu", "openvino"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return open_backend(request.param)


def test_tensors_come_from_memory(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are those of the same graph with the tensors in it, in a folder without files."""
    monkeypatch.chdir(tmp_path)
    file, _ = graph()
    x = backend.upload(RNG.standard_normal((2, 16, 20, 20)).astype(np.float32))
    found, expected = (
        backend.download(backend.open("g", one).run({"x": x})["y"])
        for one in (file, GraphFile(file.complete()))
    )
    assert np.abs(found).max() > 1
    assert found.tobytes() == expected.tobytes()


def test_a_file_at_the_place_that_a_graph_names_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes under weights/ in the working directory change nothing."""
    backend, (file, _) = open_backend("cpu"), graph()
    x = backend.upload(RNG.standard_normal((1, 16, 20, 20)).astype(np.float32))
    expected = backend.download(backend.open("g", file).run({"x": x})["y"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    for one in file.references:
        (tmp_path / "weights" / one.sha256).write_bytes(bytes(one.size))
    assert backend.download(backend.open("g", file).run({"x": x})["y"]).tobytes() == expected.tobytes()


def test_onnx_runtime_keeps_no_tensor_of_ours() -> None:
    """Derived tensors are freed when a graph has been opened: what lies in their memory then is no matter."""
    backend, (file, arrays) = open_backend("cpu"), graph()
    runner = backend.open("g", file)
    x = backend.upload(RNG.standard_normal((1, 16, 20, 20)).astype(np.float32))
    expected = backend.download(runner.run({"x": x})["y"])
    for array in arrays.values():
        array[...] = np.nan
    assert backend.download(runner.run({"x": x})["y"]).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("kernels", "packed"), [(True, False), (False, True)])
@pytest.mark.parametrize("keep", [False, True])
def test_matrices_are_packed_where_most_weights_are_matrices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: bool, packed: bool, keep: bool
) -> None:
    """As in transformers; the copy that each session of a convolutional network would make wins no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options: list[Any] = []
    session = OnnxRuntimeBackend._session

    def noted(self: OnnxRuntimeBackend, data: bytes, given: Any) -> Any:
        options.append(given)
        return session(self, data, given)

    monkeypatch.setattr(OnnxRuntimeBackend, "_session", noted)
    file, _ = graph()
    if not kernels:
        model = ModelProto.FromString(bytes(file.data))
        for node in list(model.graph.node[:2]):
            model.graph.node.remove(node)
        model.graph.node[0].input[0] = "x"
        for tensor in list(model.graph.initializer[:2]):
            model.graph.initializer.remove(tensor)
        file = GraphFile(model.SerializeToString(), file.weights)
    assert file.matrix_share == (1 if not kernels else pytest.approx(1600 / 36416, abs=0.01))
    open_backend("cpu", keep=keep).open("g", file)
    assert options
    for one in options:
        if packed:
            with pytest.raises(RuntimeError, match="disable_prepacking"):
                one.get_session_config_entry("session.disable_prepacking")
        else:
            assert one.get_session_config_entry("session.disable_prepacking") == "1"
