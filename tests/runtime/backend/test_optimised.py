"""Optimised graphs are kept: the next session opens them as they are, and notices damage."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import BundleError, ModelError, SettingError
from gagrad_edge.manifest import GraphKey
from gagrad_runtime import load
from gagrad_runtime.backend import Runner, open_backend, optimised
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend
from gagrad_runtime.machine.lock import locked
from tests.runtime.backend.test_weights import KERNEL, graph
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
    return sorted((folder / "packs").iterdir())


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
    (pack,) = held.packs.values()
    assert list(also.packs.values()) == [pack]


@pytest.mark.parametrize("damage", ["every page", "one byte", "cut", "removed", "pipe", "folder"])
def test_a_damaged_pack_is_made_again(
    folder: Path, opened: list[bool], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A flash memory that loses bits costs one start, and no wrong answer; nobody waits for a pipe."""
    file, _ = graph()
    expected = results(file)
    (path,) = tensors(folder)
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "pipe":
        os.mkfifo(path)
    elif damage == "folder":
        path.mkdir()
    elif damage != "removed":
        for at in range(0, len(data) if damage == "every page" else 1, 4096):
            data[at] ^= 1
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    opened.clear()
    assert results(file) == expected
    lost = damage in ("pipe", "folder")
    assert opened == ([False] if lost else [False, True])
    assert len(caplog.records) == (0 if lost else 1)
    opened.clear()
    assert results(file) == expected
    assert opened == ([False] if lost else [True])


@pytest.mark.parametrize("name", ["secret", "plan"])
def test_nobody_waits_for_a_pipe_in_place_of_a_file(folder: Path, opened: list[bool], name: str) -> None:
    """It is replaced, or nothing is kept."""
    file, _ = graph()
    expected = results(file)
    path = folder / "secret" if name == "secret" else next(folder.glob("*.plan"))
    path.unlink()
    os.mkfifo(path)
    assert results(file) == expected


def test_an_empty_secret_is_made_again(folder: Path, opened: list[bool]) -> None:
    """A code under no secret would be anybody's."""
    file, _ = graph()
    results(file)
    (folder / "secret").write_bytes(b"")
    opened.clear()
    results(file)
    assert opened == [False, True]
    assert len((folder / "secret").read_bytes()) == 32


def test_a_bundle_that_calls_other_numbers_by_these_names_is_refused(
    folder: Path, opened: list[bool]
) -> None:
    """Else the graph that is kept of it would be that of the right bundle, whose bytes are the same."""
    file, arrays = graph()
    wrong = {**file.weights}
    sha256 = next(one.sha256 for one in file.references if one.name == "kernel")
    wrong[sha256] = (-arrays["kernel"]).reshape(-1).view(np.uint8)
    with pytest.raises(BundleError, match="does not have the hash"):
        results(GraphFile(file.data, wrong, "evil.gagrad"))
    assert not list(folder.glob("*.plan"))
    assert results(file) == results(file, keep=False)


def test_a_graph_that_another_process_keeps_is_not_waited_for(folder: Path, opened: list[bool]) -> None:
    """It may have been stopped by Ctrl-Z. The graph is opened as it came."""
    file, _ = graph()
    results(file)
    (plan,) = folder.glob("*.plan")
    plan.unlink()
    opened.clear()
    with locked(plan.with_suffix(".lock")):
        results(file)
    assert opened == [False]


def test_a_graph_holds_one_descriptor_and_gives_it_back(folder: Path) -> None:
    """A station with many models must not run out of them: there are hundreds of tensors in each."""

    def held() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().count("onnxruntime/packs")
        return len(list(Path("/proc/self/fd").iterdir())), maps

    file, _ = graph()
    results(file)
    gc.collect()
    before = held()
    backend = OnnxRuntimeBackend(keep=True)
    runner = backend.open("g", file)
    assert held() == (before[0] + 1, before[1] + 1)
    del runner
    gc.collect()
    assert held() == before


def test_a_closed_explainer_holds_no_graph(
    tiny_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what it has mapped, though somebody still holds the explainer."""
    runners: list[weakref.ref[Runner]] = []
    opening = OnnxRuntimeBackend.open

    def noted(self: OnnxRuntimeBackend, graph: str, file: GraphFile, rows: int = 1) -> Runner:
        runner = opening(self, graph, file, rows)
        runners.append(weakref.ref(runner))
        return runner

    monkeypatch.setattr(OnnxRuntimeBackend, "open", noted)
    explainer = load(tiny_bundle, device="cpu", trial=False)
    explainer.explain(np.full((24, 32, 3), 90, np.uint8))
    assert len(runners) > 4
    explainer.close()
    explainer.close()
    gc.collect()
    assert not any(runner() for runner in runners)
    with pytest.raises(SettingError, match="closed"):
        explainer.explain(np.full((24, 32, 3), 90, np.uint8))


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


def test_a_graph_over_which_processes_die_is_left_alone_for_a_week(folder: Path, opened: list[bool]) -> None:
    """Where memory was too little, each start would end there. A single stop is no reason."""
    file, _ = graph()
    program = """
import os, signal
from gagrad_runtime.backend import optimised
from tests.runtime.backend.test_optimised import graph, results
optimised.OptimisedGraphs._adopted = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
results(graph()[0])
"""

    def dies() -> bool:
        found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
        return found.returncode == -signal.SIGKILL

    assert dies()
    assert len(tensors(folder)) == 2  # the folder at which it worked, and the count
    opened.clear()
    results(file)
    assert opened == [False, True]
    assert len(tensors(folder)) == 1
    next(folder.glob("*.plan")).unlink()
    assert dies()
    assert dies()
    opened.clear()
    results(file)
    assert not dies()
    assert opened == [False]
    (counter,) = (folder / "packs").glob("*.tries")
    eight_days_ago = time.time() - 8 * 86400
    os.utime(counter, (eight_days_ago, eight_days_ago))
    opened.clear()
    results(file)
    assert opened == [False, True]


def test_a_graph_that_was_not_proven_is_tried_again_after_a_week(folder: Path, opened: list[bool]) -> None:
    """The machine may have been too busy for the proof."""
    file, _ = graph()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxRuntimeBackend, "_answers", lambda *_: {})
        results(file)
    opened.clear()
    results(file)
    assert opened == [False]
    (plan,) = folder.glob("*.plan")
    os.utime(plan, (time.time() - 8 * 86400,) * 2)
    results(file)
    assert opened == [False, False, True]


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


def several(number: int) -> list[GraphFile]:
    """Return graphs whose kernels differ."""
    found = []
    for index in range(number):
        kernel = KERNEL.copy()
        kernel[0, 0, 0, 0] = index
        node = helper.make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1])
        value, shape = helper.make_tensor_value_info, ["N", 16, 20, 20]
        made = helper.make_graph(
            [node],
            "g",
            [value("x", 1, shape)],
            [value("y", 1, shape)],
            [numpy_helper.from_array(kernel, "k")],
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        found.append(GraphFile(model.SerializeToString()))
    return found


def test_the_graphs_used_longest_ago_go_first(
    folder: Path, opened: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit, with what processes left that were killed."""
    first, second, third = several(3)
    monkeypatch.setattr(optimised, "LIMIT", 2.5 * KERNEL.nbytes)
    for age, file in ((3, first), (2, second)):
        before = set(folder.glob("*.plan"))
        results(file)
        (plan,) = set(folder.glob("*.plan")) - before
        os.utime(plan, (time.time() - age * 86400,) * 2)
    results(first)  # used again
    left = folder / "packs" / ".new-left", folder / ".secret.1.part"
    left[0].mkdir()
    left[1].touch()
    count = folder / "packs" / "another.tries"
    count.touch()
    for path in (*tensors(folder), *left):
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    results(third)
    assert len(list(folder.glob("*.plan"))) == 2
    assert len(tensors(folder)) == 3
    assert count.exists()  # for a week
    assert not any(path.exists() for path in left)
    opened.clear()
    for file in (first, third, second):
        results(file)
    assert opened == [True, True, False]


def test_graphs_in_use_do_not_make_each_other_go(
    folder: Path, opened: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the limit is too small for all, the first ones stay, and no start makes them again."""
    files = several(4)
    monkeypatch.setattr(optimised, "LIMIT", 2.5 * KERNEL.nbytes)
    for file in files:
        results(file)
    for _ in range(2):
        opened.clear()
        for file in files:
            results(file)
        assert opened == [True, True, False, False]
    assert sum(path.stat().st_size for path in tensors(folder)) <= optimised.LIMIT


def test_rest_gives_the_tensors_pages_back(folder: Path) -> None:
    """The file is mapped; its pages come back when a run reads them."""
    file, _ = graph()
    backend = OnnxRuntimeBackend(keep=True)
    runner = backend.open("g", file)
    x = backend.upload(X)
    expected = backend.download(runner.run({"x": x})["y"]).tobytes()
    backend.rest()
    assert backend.download(runner.run({"x": x})["y"]).tobytes() == expected
