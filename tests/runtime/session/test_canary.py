"""An engine that computes wrong numbers is found out before it explains anything."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import ModelError
from gagrad_runtime.backend import Backend, Runner, Tensor, open_backend
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend
from gagrad_runtime.report.record import record_of
from gagrad_runtime.session import opening as loading
from gagrad_runtime.session.canary import examine
from gagrad_runtime.session.explainer import Explainer
from gagrad_runtime.session.finding import Finding

FRAME = np.full((24, 32, 3), 90, np.uint8)
Fault = Callable[[str, np.ndarray], np.ndarray]
REAL = open_backend


class Faulty(OnnxRuntimeBackend):
    """An engine of another make, which changes inputs of a graph before it computes."""

    verified = False

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.verified = False
        self._fault = fault
        self.description = "faulty 1.0"

    def open(self, graph: str, file: GraphFile, rows: int = 1) -> Runner:
        """Open a graph with the fault in it."""
        return FaultyRunner(self, super().open(graph, file, rows), self._fault)


class FaultyRunner(Runner):
    """A graph with a fault in its inputs."""

    def __init__(self, backend: Backend, runner: Runner, fault: Fault) -> None:
        super().__init__(runner.graph, list(runner.inputs.values()), list(runner.outputs.values()))
        self._backend, self._runner, self._fault = backend, runner, fault

    def _run(self, inputs: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = {"predict": "image", "accumulate": "noise"}.get(self.graph)
        changed = dict(inputs)
        if rows is not None:
            array = self._fault(self.graph, self._backend.download(inputs[rows]))
            changed[rows] = self._backend.upload(array)
        return self._runner.run(changed, into)


def right(graph: str, rows: np.ndarray) -> np.ndarray:
    return rows


def last_row_is_lost(graph: str, rows: np.ndarray) -> np.ndarray:
    """Lose a row of a batch, as in NVIDIA/TensorRT #4853."""
    if len(rows) > 1:
        rows[-1] = 0
    return rows


def gradient_rows_are_lost(graph: str, rows: np.ndarray) -> np.ndarray:
    return last_row_is_lost(graph, rows) if graph == "accumulate" else rows


def wrong_image(graph: str, rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows[..., ::-1])


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (right, set()),
        (last_row_is_lost, {"scores of rows", "gradients of equal rows differ", "gradients of rows"}),
        (gradient_rows_are_lost, {"gradients of equal rows differ", "gradients of rows"}),
        (wrong_image, {"the map's rank order"}),
    ],
)
def test_what_is_found(bundle: Bundle, fault: Fault, failing: set[str]) -> None:
    """Each way in which an engine computes wrong numbers fails the checks that it should."""
    with Explainer(bundle, Faulty(fault)) as explainer:
        findings = examine(bundle, explainer)
    failed = [finding.check for finding in findings if not finding.passed]
    assert all(any(check.startswith(start) for check in failed) for start in failing), failed
    assert bool(failed) == bool(failing)


def test_nan_is_no_pass(bundle: Bundle) -> None:
    """An engine that gives NaN raises ModelError and passes no check."""

    def nan(graph: str, rows: np.ndarray) -> np.ndarray:
        return rows * np.float32(np.nan)

    with Explainer(bundle, Faulty(nan)) as explainer, pytest.raises(ModelError, match="not finite"):
        examine(bundle, explainer)


def test_an_engine_wrong_in_batches_gets_one_row_at_a_time(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The map is then the right one, and the warning and each record say what happened."""
    monkeypatch.setattr(loading, "open_backend", opener(last_row_is_lost))
    with Explainer(read_bundle(tiny_bundle), REAL("cpu")) as known, caplog.at_level(logging.WARNING):
        expected = known.explain(FRAME, chunk=1, rcap=True)
        with loading.load(tiny_bundle, device="faulty", trial=False) as explainer:
            explanation = explainer.explain(FRAME, chunk=4, rcap=True)
    assert explanation.provenance.backend == "faulty 1.0"
    assert explanation.provenance.chunk == 1
    np.testing.assert_array_equal(explanation.saliency, expected.saliency)
    np.testing.assert_allclose(explanation.rcap.score, expected.rcap.score, rtol=1e-5)
    (note,) = record_of(explanation).backend_notes
    assert note.startswith("batches of one only")
    assert "batches of one only" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("device", ["auto", "faulty"])
def test_an_engine_that_is_wrong_alone_is_replaced(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str
) -> None:
    """An engine whose map is wrong is replaced by the CPU, and log and record say so."""
    monkeypatch.setattr(loading, "open_backend", opener(wrong_image))
    with caplog.at_level(logging.WARNING), loading.load(tiny_bundle, device=device, trial=False) as explainer:
        explanation = explainer.explain(FRAME)
    assert "CPUExecutionProvider" in explanation.provenance.backend
    (note,) = record_of(explanation).backend_notes
    assert note.startswith("faulty 1.0 was not used: the map's rank order differs")
    assert "was not used" in caplog.text


def test_an_engine_that_cannot_run_it_is_replaced_only_if_no_one_asked_for_it(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that fails is an error when named, and is replaced when the device is auto."""

    def broken(graph: str, rows: np.ndarray) -> np.ndarray:
        raise ModelError("no kernel")

    monkeypatch.setattr(loading, "open_backend", opener(broken))
    with pytest.raises(ModelError, match="no kernel"):
        loading.load(tiny_bundle, device="faulty", trial=False)
    with loading.load(tiny_bundle, device="auto", trial=False) as explainer:
        assert "no kernel" in explainer.backend.notes[0]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Note what each start asks its engine, on a device without a cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found: list[str] = []

    def noted(name: str, function: Callable[..., list[Finding]]) -> Callable[..., list[Finding]]:
        def call(*arguments: Any, **named: Any) -> list[Finding]:
            found.append(name)
            return function(*arguments, **named)

        return call

    for name in ("examine", "examine_first"):
        monkeypatch.setattr(loading, name, noted(name, getattr(loading, name)))
    return found


def start(path: Path, prove: loading.Prove = "auto") -> list[str]:
    """Open the bundle on the engine that is no CPU, and return its notes."""
    with loading.open_session(path, "faulty", trial=False, prove=prove) as session:
        return list(session.explainer.backend.notes)


def test_an_engine_that_has_passed_is_asked_two_questions(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    """All of them again where asked for, for another setup, and after a week."""
    monkeypatch.setattr(loading, "open_backend", opener(right))
    start(tiny_bundle)
    start(tiny_bundle)
    assert asked == ["examine", "examine_first"]
    asked.clear()
    start(tiny_bundle, "always")
    assert asked == ["examine"]
    asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr("gagrad_runtime.session.proof.processor_kind", lambda: "another")
        start(tiny_bundle)
    assert asked == ["examine"]
    asked.clear()
    now = time.time()
    for days, expected in ((6, "examine_first"), (8, "examine"), (-1, "examine")):
        monkeypatch.setattr("gagrad_runtime.session.proof.time.time", lambda days=days: now + days * 86400)
        start(tiny_bundle)
        assert asked.pop() == expected
        asked.clear()
        monkeypatch.setattr("gagrad_runtime.session.proof.time.time", lambda: now)
        start(tiny_bundle, "always")
        asked.clear()


def test_an_engine_that_passed_and_is_wrong_now_is_found_out(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    """The two questions fail, so all are asked, and the CPU takes its place."""
    monkeypatch.setattr(loading, "open_backend", opener(right))
    assert start(tiny_bundle) == []
    monkeypatch.setattr(loading, "open_backend", opener(wrong_image))
    (note,) = start(tiny_bundle)
    assert "was not used" in note
    assert asked == ["examine", "examine_first", "examine", "examine"]


def test_an_engine_that_needed_batches_of_one_is_examined_at_each_start(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    """So that each record says so."""
    monkeypatch.setattr(loading, "open_backend", opener(last_row_is_lost))
    for _ in range(2):
        (note,) = start(tiny_bundle)
        assert note.startswith("batches of one only")
    assert asked == ["examine"] * 4


def opener(fault: Fault) -> Callable[..., Backend]:
    """Return what stands in for ``open_backend``: every device but the CPU has the fault."""
    return lambda device, **_: REAL("cpu") if device == "cpu" else Faulty(fault)
