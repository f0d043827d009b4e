"""The source in ONNX Runtime: without its optimiser where that breaks it; and whose fault a difference is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import ModelError
from gagrad_export import export
from gagrad_export.load.training_mode import training_notes
from gagrad_export.verify.cause import known_cause

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


def test_an_error_while_the_source_runs_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ModelError with the first line of what ONNX Runtime says."""

    class Failing:
        def run(self, *_: Any) -> Any:
            raise RuntimeError("Non-zero status code\nand a trace")

    monkeypatch.setattr("gagrad_export.verify.source.open_session", lambda *_, **__: Failing())
    onnx.save(dropout(0.0, training=False), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"failed while running it .Non-zero status code.") as caught:
        export(tmp_path / "m.onnx", tmp_path / "m.gagrad")
    assert "trace" not in str(caught.value)


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
