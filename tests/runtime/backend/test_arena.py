"""The shared arena: graphs use the same memory one after the other, and give it back when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper

import gagrad_runtime
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_runtime.backend import arena, open_backend
from gagrad_runtime.backend.base import Backend, Runner
from gagrad_runtime.machine.memory import process_memory

MB = 2**20
LARGE = np.full(8 << 20, 0.5, np.float32)
"""32 MB."""
linux = pytest.mark.skipif(process_memory() is None, reason="only Linux tells the memory")


def runner(backend: Backend, operator: str) -> Runner:
    """Return a graph that keeps one tensor of its input's size beside input and output."""
    info = helper.make_tensor_value_info
    nodes = [helper.make_node(operator, ["x"], ["a"]), helper.make_node("Add", ["a", "x"], ["y"])]
    ports = [info(name, TensorProto.FLOAT, ["N"]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return backend.open(operator, GraphFile(model.SerializeToString()))


def used() -> float:
    """Return the megabytes of this process."""
    found = process_memory()
    assert found is not None
    return found.used / MB


@pytest.fixture
def backend() -> Iterator[Backend]:
    """Return ONNX Runtime on the CPU, whose arena is empty before and afterwards."""
    found = open_backend("cpu", threads=1)
    assert arena.make_shared(None), "it was made once, for this process"
    found.rest()
    yield found
    found.rest()


@linux
def test_graphs_that_run_in_turns_take_memory_once(backend: Backend) -> None:
    """The second graph runs in what the first has left."""
    runners = [runner(backend, operator) for operator in ("Exp", "Sin")]
    x = backend.upload(LARGE)
    runners[0].run({"x": x})
    before = used()
    runners[1].run({"x": x})
    assert used() - before < 16


@linux
def test_rest_gives_memory_back_and_graphs_go_on(backend: Backend) -> None:
    """Tens of megabytes; the next run gives the same numbers."""
    exp = runner(backend, "Exp")
    x = backend.upload(LARGE)
    first = backend.download(exp.run({"x": x})["y"])
    before = used()
    backend.rest()
    assert before - used() > 48
    np.testing.assert_array_equal(backend.download(exp.run({"x": x})["y"]), first)


def test_an_onnxruntime_without_a_shared_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session has an arena of its own then; there is nothing to give back, and nothing fails."""
    monkeypatch.setattr(arena, "_made", None)
    assert not arena.make_shared(SimpleNamespace())
    found = open_backend("cpu", threads=1)
    found.rest()
    y = runner(found, "Exp").run({"x": found.upload(np.zeros(3, np.float32))})["y"]
    np.testing.assert_array_equal(found.download(y), 1)


def test_memory_that_is_not_given_back_ends_nothing(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An engine that refuses is told of in the log, and the program goes on."""
    monkeypatch.setattr(arena, "WHERE", "nowhere:0")
    backend.rest()
    assert "memory is not given back" in caplog.text


def test_an_explainer_that_rested_explains_the_same(tiny_bundle: str) -> None:
    """Bit for bit."""
    frame = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    with gagrad_runtime.load(tiny_bundle, device="cpu") as explainer:
        first = explainer.explain(frame)
        explainer.rest()
        again = explainer.explain(frame)
    np.testing.assert_array_equal(first.saliency, again.saliency)
    np.testing.assert_array_equal(first.scores, again.scores)
