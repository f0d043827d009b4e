"""A bundle whose graphs have other inputs or outputs than the ABI is refused when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

import gagrad_runtime
from gagrad_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import GraphKey, GraphRole
from gagrad_runtime.backend import Backend, Runner, Tensor, open_backend
from gagrad_runtime.backend.base import Port
from gagrad_runtime.backend.graphs import Graphs, check_ports

KEY = GraphKey("predict")


class Stub(Runner):
    """A graph of given ports that never runs."""

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module", params=["cpu", "openvino"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return open_backend(request.param)


def changed(bundle: Bundle, role: GraphRole, graph: onnx.ModelProto) -> Bundle:
    """Return ``bundle`` with another graph of ``role``."""
    entry = next(entry for entry in bundle.manifest.graphs if entry.role == role)
    return replace(bundle, members={**bundle.members, entry.file: graph.SerializeToString()})


def with_input(bundle: Bundle, role: GraphRole, name: str, shape: list[int | str]) -> Bundle:
    """Return ``bundle`` with another ``shape`` of one input of its graph of ``role``."""
    graph = onnx.load_from_string(bundle.graph(role))
    kept = [value for value in graph.graph.input if value.name != name]
    del graph.graph.input[:]
    graph.graph.input.extend([*kept, helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)])
    return changed(bundle, role, graph)


def opened(bundle: Bundle, backend: Backend) -> Graphs:
    """Return the graphs with the plain one of each role open."""
    graphs = Graphs(bundle, backend, opened=())
    for entry in bundle.manifest.graphs:
        if not entry.variant:
            graphs.runner(entry.role, "")
    return graphs


@pytest.mark.slow
def test_what_the_exporter_writes_is_taken(bundle: Bundle, backend: Backend) -> None:
    """All roles, the class activation maps included, and each guide."""
    graphs = opened(bundle, backend)
    assert graphs.runner("cam").outputs["cams"].shape[0] == 3
    assert graphs.runner("finalize", "pooled").inputs.keys() == graphs.runner("finalize").inputs.keys()


def test_a_missing_input(bundle: Bundle, backend: Backend) -> None:
    """``finalize`` with its percentile fixed inside; the message names graph, input and a way out."""
    graph = onnx.load_from_string(bundle.graph("finalize"))
    kept = [value for value in graph.graph.input if value.name != "percentile"]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)
    graph.graph.initializer.append(helper.make_tensor("percentile", TensorProto.FLOAT, [], [0.85]))
    with pytest.raises(BundleError, match=r"graph 'finalize' lacks its input 'percentile' \[\]") as caught:
        opened(changed(bundle, "finalize", graph), backend)
    assert caught.value.where == str(bundle.path)
    assert "export the model again" in str(caught.value.hint)


def test_a_missing_output(bundle: Bundle, backend: Backend) -> None:
    """``finalize`` as it was before it gave the range."""
    graph = onnx.load_from_string(bundle.graph("finalize"))
    del graph.graph.output[1]
    with pytest.raises(BundleError, match=r"'finalize' lacks its output 'range' \[2\]; it has saliency"):
        opened(changed(bundle, "finalize", graph), backend)


def test_an_extra_output(bundle: Bundle, backend: Backend) -> None:
    """``predict`` that also gives its image back."""
    graph = onnx.load_from_string(bundle.graph("predict"))
    graph.graph.node.append(helper.make_node("Neg", ["image"], ["seen"]))
    graph.graph.output.append(helper.make_tensor_value_info("seen", 1, ["N", *bundle.manifest.input.shape]))
    with pytest.raises(BundleError, match="'predict' has an output 'seen' that it should not have"):
        opened(changed(bundle, "predict", graph), backend)


def test_an_extra_input(bundle: Bundle, backend: Backend) -> None:
    """``maps`` that wants one more tensor: no run could give it."""
    graph = onnx.load_from_string(bundle.graph("maps"))
    graph.graph.input.append(helper.make_tensor_value_info("gamma", 1, []))
    graph.graph.node[-1].output[0] = "maps_before"
    graph.graph.node.append(helper.make_node("Mul", ["maps_before", "gamma"], ["maps"]))
    with pytest.raises(BundleError, match="'maps' has an input 'gamma' that it should not have"):
        opened(changed(bundle, "maps", graph), backend)


@pytest.mark.parametrize(
    ("role", "name", "shape", "message"),
    [
        ("predict", "image", ["N", 3, 24, "wide"], r"\[any, 3, 24, any\], expected \[any, 3, 24, 32\]"),
        ("predict", "image", [1, 3, 24, 32], r"\[1, 3, 24, 32\], expected \[any, 3, 24, 32\]"),
        ("accumulate", "noise", [4, 3, 24, 32], r"\[4, 3, 24, 32\], expected \[any, 3, 24, 32\]"),
        ("accumulate", "cotangent", [1, "K"], r"\[1, any\], expected \[1, 3\]"),
        ("combine", "second_count", ["n"], r"\[any\], expected \[\]"),
    ],
)
def test_another_shape(
    bundle: Bundle, backend: Backend, role: GraphRole, name: str, shape: list[int | str], message: str
) -> None:
    """A size that should be free or fixed, and another rank: found and expected are in the message."""
    with pytest.raises(BundleError, match=f"graph '{role}' has the input '{name}' with the shape {message}"):
        opened(with_input(bundle, role, name, shape), backend)


def test_another_type(bundle: Bundle) -> None:
    """An input of float64: tensors on the device are float32."""
    image = Port("image", (None, *bundle.manifest.input.shape), "tensor(double)")
    runner = Stub("predict", [image], [Port("scores", (None, 3))])
    with pytest.raises(BundleError, match=r"input 'image' of type tensor\(double\), expected float32"):
        check_ports(runner, GraphKey("predict"), bundle)


def test_an_engine_may_leave_an_outputs_size_open(bundle: Bundle) -> None:
    """Engines do not infer every shape; an input's they know, and a number of axes too."""
    shape = bundle.manifest.input.shape
    check_ports(Stub("predict", [Port("image", (None, *shape))], [Port("scores", (None, None))]), KEY, bundle)
    for image, scores in (((None, None, *shape[1:]), (None, 3)), ((None, *shape), (None, 3, 1))):
        with pytest.raises(BundleError, match="with the shape"):
            check_ports(Stub("predict", [Port("image", image)], [Port("scores", scores)]), KEY, bundle)


def test_the_manifests_sizes_are_held_against_the_graphs(bundle: Bundle, backend: Backend) -> None:
    """A manifest that states another number of classes than the graphs give."""
    output = msgspec.structs.replace(bundle.manifest.output, shape=[4], classes=[])
    other = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, output=output))
    with pytest.raises(BundleError, match=r"output 'scores' with the shape \[any, 3\], expected \[any, 4\]"):
        opened(other, backend)


def test_load_refuses_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    """Whole and with right hashes, but made for another ABI: an error of one line, before any frame."""
    graph = onnx.load_from_string(bundle.graph("recover"))
    graph.graph.output[1].name = "share"
    for node in graph.graph.node:
        node.output[:] = ["share" if name == "ratio" else name for name in node.output]
    entry = next(entry for entry in bundle.manifest.graphs if entry.role == "recover")
    path = tmp_path / "other.gagrad"
    write_bundle(path, bundle.manifest, {**bundle.members, entry.file: graph.SerializeToString()})
    with pytest.raises(BundleError, match="graph 'recover' lacks its output 'ratio'"):
        gagrad_runtime.load(path)
