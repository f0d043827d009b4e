"""The source in ONNX Runtime: without its optimiser where that breaks it; and whose fault a difference is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import ModelError, OutOfMemoryError, VerificationError
from gagrad_export import export
from gagrad_export.load import Source
from gagrad_export.load.training_mode import training_notes
from gagrad_export.verify import detector
from gagrad_export.verify.cause import known_cause
from gagrad_export.verify.sessions import open_session
from gagrad_export.verify.source import _run

WEIGHTS = np.random.default_rng(0).standard_normal((192, 6)).astype(np.float32)


def model(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """Return a model from ``x [N, 3, 8, 8]`` to ``y [N, 6]`` with these nodes and constants."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def dropout(ratio: float, *, training: bool) -> onnx.ModelProto:
    """Return Dropout in front of a linear layer."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Dropout", ["f", "r", "t"], ["d"]),
        helper.make_node("MatMul", ["d", "W"], ["y"]),
    ]
    return model(nodes, W=WEIGHTS, r=np.float32(ratio), t=np.array(training))


def normalised() -> onnx.ModelProto:
    """Return a BatchNormalization that takes its statistics from the batch, as after model.train()."""
    channels = np.arange(1, 4, dtype=np.float32)
    nodes = [
        helper.make_node("BatchNormalization", ["x", "s", "s", "s", "s"], ["n"], name="bn", training_mode=1),
        helper.make_node("Flatten", ["n"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["y"]),
    ]
    return model(nodes, W=WEIGHTS, s=channels)


def failing_run(*_: Any, **__: Any) -> Any:
    """Fail as ONNX Runtime does while it runs a graph."""
    raise RuntimeError("Non-zero status code\nand a trace")


def double_sampling(mode: str | None) -> onnx.ModelProto:
    """Return a model that samples bilinearly in double, said by ``mode`` or by default."""
    grid = np.random.default_rng(0).uniform(-0.9, 0.9, (1, 5, 5, 2))
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("GridSample", ["d", "grid"], ["s"], mode=mode),
        helper.make_node("Cast", ["s"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["y"]),
    ]
    made = model(nodes, W=WEIGHTS[:75], grid=grid)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return made


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["Dropout", "Cast"])
def test_a_model_that_the_optimiser_breaks_is_exported(operator: str, tmp_path: Path) -> None:
    """ONNX Runtime folds the constant, and loses a node that does nothing in front of it."""
    settings: dict[str, Any] = {"to": TensorProto.FLOAT} if operator == "Cast" else {}
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node(operator, ["f"], ["mid"], **settings),
        helper.make_node("Div", ["one", "one"], ["k"]),
        helper.make_node("Mul", ["mid", "k"], ["z"]),
        helper.make_node("MatMul", ["z", "W"], ["y"]),
    ]
    onnx.save(model(nodes, W=WEIGHTS, one=np.float32(1)), tmp_path / "m.onnx")
    export(tmp_path / "m.onnx", tmp_path / "m.gagrad")
    assert read_bundle(tmp_path / "m.gagrad").manifest.verification.forward_error < 1e-5


@pytest.mark.slow
def test_an_error_while_the_source_runs_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ModelError with the first line of what ONNX Runtime says."""
    monkeypatch.setattr("onnxruntime.InferenceSession.run", failing_run)
    onnx.save(dropout(0.0, training=False), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"failed while running it .Non-zero status code.") as caught:
        export(tmp_path / "m.onnx", tmp_path / "m.gagrad")
    assert "trace" not in str(caught.value)


@pytest.mark.parametrize("role", ["predict", "accumulate"])
def test_an_error_while_our_graph_runs_is_a_sentence(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ModelError that names the graph, and never an exception of the engine, whatever its class."""
    session = open_session(GraphFile(dropout(0.0, training=False).SerializeToString()), role)
    monkeypatch.setattr("onnxruntime.InferenceSession.run", failing_run)
    with pytest.raises(ModelError) as caught:
        session.run(None, {"x": np.zeros((1, 3, 8, 8), np.float32)})
    assert caught.value.what == "ONNX Runtime failed while running it (Non-zero status code)"
    assert caught.value.where == f"graph {role!r}"
    assert caught.value.hint


def test_memory_that_runs_out_in_a_run_is_told_from_a_bad_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is at fault then, and the exit code is the device's."""

    def exhausted(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 9")

    session = open_session(GraphFile(dropout(0.0, training=False).SerializeToString()), "accumulate")
    monkeypatch.setattr("onnxruntime.InferenceSession.run", exhausted)
    with pytest.raises(OutOfMemoryError, match="graph 'accumulate': out of memory"):
        session.run(None, {"x": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["bilinear", None], ids=["named", "by default"])
def test_sampling_in_double_is_compared_by_onnxs_evaluator(mode: str | None, tmp_path: Path) -> None:
    """ONNX Runtime has no GridSample in double, and the evaluator another name for its mode."""
    onnx.save(double_sampling(mode), tmp_path / "m.onnx")
    export(tmp_path / "m.onnx", tmp_path / "m.gagrad")
    assert read_bundle(tmp_path / "m.gagrad").manifest.verification.forward_error < 1e-5


def test_a_type_that_nothing_here_can_run_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both engines are named with what they said, and the mend is a model in float32."""
    monkeypatch.setattr("onnx.reference.ReferenceEvaluator.run", failing_run)
    with pytest.raises(ModelError) as caught:
        _run(
            double_sampling(None),
            {"x": np.zeros((1, 3, 8, 8), np.float32)},
            ir.DataType.DOUBLE,
            as_written=False,
        )
    assert caught.value.where == "the source model"
    assert re.fullmatch(
        r"it computes in double, which neither ONNX Runtime \(.*NOT_IMPLEMENTED.*\) nor onnx's own evaluator "
        r"\(Non-zero status code\) can run here, so nothing can confirm what the bundle would compute",
        caught.value.what,
    )
    assert "float32" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("ratio", "training", "warned"), [(0.5, True, True), (0.0, True, False), (0.5, False, False)]
)
def test_dropout_in_training_mode_is_left_out_loudly(ratio: float, *, training: bool, warned: bool) -> None:
    """A warning names the node, and only where it drops something."""
    notes = training_notes(dropout(ratio, training=training))
    assert len(notes) == warned
    assert all(note.startswith("WARNING: Dropout 'd' is in training mode") for note in notes)


@pytest.mark.slow
def test_dropout_that_drops_nothing_needs_no_warning(tmp_path: Path) -> None:
    """Not among the notes of the bundle."""
    onnx.save(dropout(0.0, training=True), tmp_path / "quiet.onnx")
    export(tmp_path / "quiet.onnx", tmp_path / "quiet.gagrad")
    assert not any("WARNING" in note for note in read_bundle(tmp_path / "quiet.gagrad").manifest.model.notes)


def test_batch_statistics_are_the_models_fault() -> None:
    """A BatchNormalization in training mode is the cause, by its name."""
    said = known_cause(normalised())
    assert said is not None
    assert said.startswith("BatchNormalization 'bn' of the model is in training mode")


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest"), "samples the nearest pixel"),
        (helper.make_node("TopK", ["x", "k"], ["y", "i"]), "chooses by order"),
        (helper.make_node("Relu", ["x"], ["y"]), None),
        (helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear"), None),
    ],
    ids=["nearest", "TopK", "Relu", "linear"],
)
def test_known_causes_are_named(node: onnx.NodeProto, word: str | None) -> None:
    """Ties of nearest sampling and of orders are the engine's; of other operators nothing is claimed."""
    said = known_cause(model([node]))
    assert (said is None) if word is None else (said is not None and word in said)


@pytest.mark.parametrize(
    ("operator", "word"), [("TopK", "chooses by order"), ("Relu", "a defect of gagrad-edge")]
)
def test_a_detector_that_differs_blames_what_is_known(operator: str, word: str) -> None:
    """An operator whose ties engines resolve otherwise comes before a defect of ours."""
    node = helper.make_node(operator, ["x", "k"] if operator == "TopK" else ["x"], ["y"])
    with pytest.raises(VerificationError, match="the boxes of predict differ") as caught:
        detector._require(1.0, 1e-3, "boxes", Source(model([node]), "m", "0" * 64, "onnx"))
    assert caught.value.where == "m"
    assert str(caught.value.hint).startswith("check the layout with `layout`; if it is right, ")
    assert word in str(caught.value.hint)


def test_a_detector_that_differs_from_itself_is_told_so() -> None:
    """Where rounding decides the source's own answer, the layout is not blamed, and no operator is."""
    source = Source(model([helper.make_node("Relu", ["x"], ["y"])]), "m", "0" * 64, "onnx")
    one = np.zeros((2, 3), np.float32)
    detector._require_steady(one, one + np.float32(1e-4), 1e-3, source)
    with pytest.raises(VerificationError, match="own probabilities differ by 9") as caught:
        detector._require_steady(one, one + np.float32(0.9), 1e-3, source)
    assert "trained weights" in str(caught.value.hint)
