"""Optimised graphs are kept: the next session opens them as they are, and notices damage."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import ModelError
from gagrad_edge.manifest import GraphKey
from gagrad_runtime.backend import open_backend, optimised
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend
from tests.runtime.backend.test_weights import graph
from tests.runtime.session.hostile import with_predict

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 16, 20, 20)).astype(np.float32)
pytestmark = pytest.mark.skipif(
    not hasattr(onnxruntime.SessionOptions, "add_external_initializers_from_files_in_memory"),
    reason="this onnxruntime takes no files from memory, so nothing is kept",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in which graphs are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gagrad-edge" / "onnxruntime"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each session: whether the engine was told to leave the graph as it is."""
    found: list[bool] = []
    session = OnnxRuntimeBackend._session

    def noted(self: OnnxRuntimeBackend, data: bytes, options: Any) -> Any:
        level = options.graph_optimization_level
        found.append(level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        return session(self, data, options)

    monkeypatch.setattr(OnnxRuntimeBackend, "_session", noted)
    return found


def results(file: GraphFile, *, keep: bool = True, x: np.ndarray = X) -> bytes:
    """Return what a fresh backend makes of ``x``."""
    backend = open_backend("cpu", keep=keep)
    return backend.download(backend.open("g", file).run({"x": backend.upload(x)})["y"]).tobytes()


def tensors(folder: Path) -> list[Path]:
    """Return the files of the tensors."""
    return sorted((folder / "weights").iterdir())


def test_the_second_start_optimises_nothing_and_computes_the_same_bits(
    folder: Path, opened: list[bool]
) -> None:
    """The first opens the graph as it came, and then what was kept of it; the second what was kept only."""
    file, _ = graph()
    expected = results(file, keep=False)
    opened.clear()
    assert results(file) == expected
    assert opened == [False, True]
    opened.clear()
    assert results(file) == expected
    assert opened == [True]
    assert folder.stat().st_mode & 0o077 == 0


def test_without_keep_nothing_is_written(folder: Path) -> None:
    """The exporter's proof and other programs leave nothing behind."""
    results(graph()[0], keep=False)
    assert not folder.exists()


def test_two_graphs_share_a_tensor(folder: Path) -> None:
    """A tensor that is in both is stored once, and mapped once in a process."""
    file, _ = graph()
    results(file)
    before = tensors(folder)
    model = ModelProto.FromString(bytes(file.data))
    model.doc_string = "another"
    other = GraphFile(model.SerializeToString(), file.weights)
    backend = OnnxRuntimeBackend(keep=True)
    first, second = (backend.open("g", one) for one in (file, other))
    assert tensors(folder) == before
    held, also = first._held, second._held
    assert held is not None
    assert also is not None
    assert held.tensors.keys() == also.tensors.keys()
    assert all(held.tensors[name] is also.tensors[name] for name in held.tensors)


@pytest.mark.parametrize("damage", ["changed", "cut", "removed"])
def test_a_damaged_tensor_is_made_again(folder: Path, opened: list[bool], damage: str) -> None:
    """A flash memory that loses a bit costs a start, and no wrong answer."""
    file, _ = graph()
    expected = results(file)
    path = max(tensors(folder), key=lambda one: one.stat().st_size)
    data = path.read_bytes()
    path.unlink()
    if damage != "removed":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if damage == "changed" else data[: len(data) // 2])
    opened.clear()
    assert results(file) == expected
    assert opened == [False, True]
    assert path.read_bytes() == data
    opened.clear()
    assert results(file) == expected
    assert opened == [True]


def test_a_damaged_plan_is_made_again(folder: Path, opened: list[bool]) -> None:
    """Its code does not fit then, as for a plan of another device."""
    file, _ = graph()
    expected = results(file)
    (plan,) = folder.glob("*.plan")
    plan.write_bytes(plan.read_bytes()[:-1] + b"?")
    opened.clear()
    assert results(file) == expected
    assert opened == [False, True]


def test_another_processor_has_graphs_of_its_own(
    folder: Path, opened: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks for one processor's vectors are wrong for another's."""
    file, _ = graph()
    results(file)
    monkeypatch.setattr("gagrad_runtime.backend.onnxruntime.processor_kind", lambda: "another")
    opened.clear()
    results(file)
    assert opened == [False, True]
    assert len(list(folder.glob("*.plan"))) == 2


def test_a_graph_that_computes_otherwise_when_opened_again_is_not_kept(
    folder: Path, opened: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is noted, and not tried at each start."""
    answers = iter([{"y": b"one"}, {"y": b"another"}])
    monkeypatch.setattr(OnnxRuntimeBackend, "_answers", lambda *_: next(answers))
    file, _ = graph()
    expected = results(file, keep=False)
    opened.clear()
    assert results(file) == expected
    assert opened == [False, True, False]
    opened.clear()
    assert results(file) == expected
    assert opened == [False]


def test_the_proof_tells_bits_apart(folder: Path) -> None:
    """A graph with one other weight gives other answers; the same graph gives the same."""
    backend, (file, arrays) = OnnxRuntimeBackend(), graph()
    first = backend._answers(backend.open("g", file))
    assert backend._answers(backend.open("g", file)) == first
    arrays["matrix"][3, 3] += 1e-3
    assert backend._answers(backend.open("g", file)) != first


def test_a_process_that_died_while_it_kept_a_graph_is_the_last_one_to_try(
    folder: Path, opened: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    """Where memory was too little, each start would end there. What was left of it is removed."""
    file, _ = graph()
    program = """
import os, signal, sys, shutil
from gagrad_runtime.backend import optimised
from tests.runtime.backend.test_optimised import graph, results
optimised.OptimisedGraphs._adopted = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
results(graph()[0])
"""
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert found.returncode == -signal.SIGKILL
    (left,) = tensors(folder)
    assert {path.name for path in left.iterdir()} == {optimised.GRAPH, optimised.TENSORS}
    expected = results(file, keep=False)
    opened.clear()
    assert results(file) == expected
    assert results(file) == expected
    assert opened == [False, False]
    assert not tensors(folder)
    assert len(caplog.records) == 1


def test_a_graph_that_takes_no_made_up_numbers_is_opened_as_it_came(opened: list[bool], folder: Path) -> None:
    """An index beyond the end is an error of the run, not of the graph."""
    node = helper.make_node("Gather", ["table", "where"], ["y"])
    cast = helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64)
    add = helper.make_node("Add", ["whole", "hundred"], ["where"])
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [cast, add, node],
        "g",
        [value("x", 1, ["N"])],
        [value("y", 1, ["N", 2000])],
        [
            numpy_helper.from_array(np.ones((5, 2000), np.float32), "table"),
            numpy_helper.from_array(np.array(100, np.int64), "hundred"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file = GraphFile(model.SerializeToString())
    assert len(results(file, x=np.array([-100], np.float32))) == 8000
    opened.clear()
    assert len(results(file, x=np.array([-97], np.float32))) == 8000
    assert opened == [False]


def test_a_graph_that_counts_for_ever_is_opened_as_it_came(
    tiny_bundle: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its proof ends; a run of it can be ended as before."""
    monkeypatch.setattr("gagrad_runtime.backend.onnxruntime._PROOF", 0.2)
    path = with_predict(tiny_bundle, tmp_path / "loop.gagrad", "loop")
    file = read_bundle(path).graph_file(GraphKey("predict"))
    runner = OnnxRuntimeBackend(keep=True).open("predict", file)
    assert runner._held is None
    assert [plan.stat().st_size < 100 for plan in folder.glob("*.plan")] == [True]


def test_the_errors_of_a_graph_are_those_of_the_usual_way(folder: Path) -> None:
    """A file that is no graph is refused as before, and nothing stays of the attempt."""
    with pytest.raises(ModelError, match="'g'"):
        open_backend("cpu", keep=True).open("g", GraphFile(b"\x08\x09"))
    assert not list(folder.glob("*.plan"))
    assert not tensors(folder)


def test_a_folder_that_cannot_be_used_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, opened: list[bool]
) -> None:
    """A file where the folder should be: the graph is opened in the usual way, and nobody is warned."""
    (tmp_path / "gagrad-edge").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file, _ = graph()
    assert results(file) == results(file, keep=False)
    assert opened == [False, False]
    assert not caplog.records


def test_a_full_disk_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, opened: list[bool]
) -> None:
    """The space is left to what a station writes; once there is some, the graph is kept."""
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, optimised.RESERVE))
        results(graph()[0])
    assert opened == [False]
    assert not tensors(folder)
    results(graph()[0])
    assert tensors(folder)


def test_a_write_that_fails_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, opened: list[bool]
) -> None:
    """As where a quota ends in the middle; no part stays."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    expected = results(graph()[0], keep=False)
    monkeypatch.setattr(optimised, "write_atomic", full)
    assert results(graph()[0]) == expected
    assert not tensors(folder)


def test_the_graphs_used_longest_ago_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit; the tensors of those that stay, stay."""
    kept = []
    for name in (b"one", b"two", b"six"):
        file, arrays = graph()
        arrays["kernel"][0, 0, 0, 0] = len(kept)
        array = arrays["kernel"]
        node = helper.make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1], name=name.decode())
        value = helper.make_tensor_value_info
        shape = ["N", 16, 20, 20]
        made = helper.make_graph(
            [node], "g", [value("x", 1, shape)], [value("y", 1, shape)], [numpy_helper.from_array(array, "k")]
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        kept.append(GraphFile(model.SerializeToString()))
    size = kept[0].size - 1000
    monkeypatch.setattr(optimised, "LIMIT", 2.5 * size)
    for age, file in zip((3000, 2000), kept, strict=False):
        before = set(folder.glob("*.plan"))
        results(file)
        (plan,) = set(folder.glob("*.plan")) - before
        os.utime(plan, (time.time() - age, time.time() - age))
    results(kept[0])  # used again
    old = time.time() - 2 * 24 * 3600
    for path in tensors(folder):
        os.utime(path, (old, old))
    (folder / "weights" / ".new-left").mkdir()
    os.utime(folder / "weights" / ".new-left", (old, old))
    results(kept[2])
    assert len(list(folder.glob("*.plan"))) == 2
    assert len(tensors(folder)) == 2
    for file, expected in zip(kept, (1, 2, 1), strict=True):
        sessions: list[bool] = []
        monkeypatch.undo()
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent.parent))
        session = OnnxRuntimeBackend._session

        def noted(
            self: OnnxRuntimeBackend, data: bytes, options: Any, session: Any = session, found: Any = sessions
        ) -> Any:
            found.append(True)
            return session(self, data, options)

        monkeypatch.setattr(OnnxRuntimeBackend, "_session", noted)
        results(file)
        assert len(sessions) == expected


def test_rest_gives_the_tensors_pages_back(folder: Path) -> None:
    """The file is mapped; its pages come back when a run reads them."""
    file, _ = graph()
    backend = OnnxRuntimeBackend(keep=True)
    runner = backend.open("g", file)
    x = backend.upload(X)
    expected = backend.download(runner.run({"x": x})["y"]).tobytes()
    backend.rest()
    assert backend.download(runner.run({"x": x})["y"]).tobytes() == expected
