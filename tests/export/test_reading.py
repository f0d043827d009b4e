"""What an export decides about its output: the activation and the task, by evidence that it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import GraphKey
from gagrad_edge.output import OutputSpec, derived_task
from gagrad_export import OutputOptions, export
from gagrad_export.arrange import Arranged, Stated
from gagrad_export.assemble import predict_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.settings import class_names, input_spec, output_names, output_spec
from gagrad_export.verify import scores_on_frames
from tests.export.source_check import model_of

PLAIN = OutputOptions()
NAMES = ["ok", "scratch", "dent"]
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, str], str]] = {
    "softmax": ("y = Softmax (s)", {}, ("softmax", "classification"), "a softmax lies at"),
    "softmax and clip": (
        "p = Softmax (s) y = Clip (p, low, high)",
        {},
        ("softmax", "classification"),
        "a softmax lies at",
    ),
    "sigmoid": ("y = Sigmoid (s)", {}, ("sigmoid", "multilabel"), "a sigmoid lies at"),
    "a scaled sigmoid": (
        "p = Sigmoid (s) y = Mul (p, width)",
        {},
        ("none", "regression"),
        "computed from a sigmoid times 640",
    ),
    "logits with names": (
        "y = Identity (s)",
        {"classes": NAMES},
        ("softmax", "classification"),
        "have names",
    ),
    "logits without names": ("y = Identity (s)", {}, ("softmax", "classification"), "ASSUMED: 3 scores"),
    "three values": (
        "y = Identity (s)",
        {"outputs": OutputOptions(task="regression")},
        ("none", "regression"),
        "each score is a plain value",
    ),
    "labels": (
        "y = Identity (s)",
        {"outputs": OutputOptions(task="multilabel")},
        ("sigmoid", "multilabel"),
        "no probabilities yet",
    ),
    "probabilities made otherwise": (
        "a = Abs (s) t = ReduceSum (a, last) y = Div (a, t)",
        {"classes": NAMES},
        ("none", "classification"),
        "sum to 1 over the classes",
    ),
    "shares of another total": (
        "a = Abs (s) t = ReduceSum (a, last) b = Div (a, t) y = Mul (b, width)",
        {"classes": NAMES},
        ("none", "classification"),
        "sum to 640 over the classes",
    ),
    "a softmax that leaves the sum from nought": (
        "e = Exp (s) t = ReduceSum (e, last) u = Add (t, low) y = Div (e, u)",
        {"classes": NAMES},
        ("none", "classification"),
        "sum to 1 over the classes",
    ),
    "values in 0..1": ("y = HardSigmoid (s)", {}, ("none", "multilabel"), "lie in 0..1: they look"),
    "as the user says": (
        "y = HardSigmoid (s)",
        {"outputs": OutputOptions(activation="softmax")},
        ("softmax", "classification"),
        "as asked for (softmax)",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_the_activation_and_the_task_have_evidence(what: str) -> None:
    """Each reading is the expected one, and a sentence says what it rests on."""
    tail, options, expected, evidence = CASES[what]
    output, note = read(tail, **options)
    assert (output.activation, output.task) == expected
    assert note.startswith(f"{output.task}: ")
    assert evidence in note


@pytest.mark.parametrize(
    ("tail", "rank", "expected"),
    [
        ("y = Softmax <axis = 1> (c)", "3, 8, 8", ("softmax", "segmentation")),
        ("y = Sigmoid (c)", "3, 8, 8", ("sigmoid", "segmentation")),
        ("y = Identity (c)", "3, 8, 8", ("softmax", "segmentation")),
        ("y = Reshape (c, rows)", "3, 64", ("none", "regression")),
        ("d = HardSigmoid (c) y = Reshape (d, rows)", "3, 64", ("none", "regression")),
        ("y = ReduceMax (s, last)", "1", ("none", "regression")),
        ("t = ReduceMax (s, last) y = Sigmoid (t)", "1", ("sigmoid", "classification")),
    ],
)
def test_the_shape_is_evidence_too(tail: str, rank: str, expected: tuple[str, str]) -> None:
    """Maps are a segmentation, one score is a value, and rows of scores are no classes unless named."""
    output, _ = read(tail, shape=rank)
    assert (output.activation, output.task) == expected


@pytest.mark.slow
def test_a_clip_does_not_hide_the_softmax(tmp_path: Path) -> None:
    """A device shows the model's own probability: a second softmax would say 0.405 for 1.000."""
    frame = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    onnx.save(network("b = Mul (s, width) p = Softmax (b) y = Clip (p, low, high)"), tmp_path / "m.onnx")
    export(tmp_path / "m.onnx", tmp_path / "m.gagrad")
    with gagrad_runtime.load(tmp_path / "m.gagrad") as explainer:
        assert (explainer.explain(frame, samples=2).probability or 0) > 0.999


@pytest.mark.parametrize(
    ("tail", "shape", "outputs", "says"),
    [
        ("y = Softmax (s)", "3", {"task": "regression"}, "probability and no measured value"),
        ("y = Softmax (s)", "3", {"task": "multilabel"}, "share one probability"),
        ("y = Softmax (s)", "3", {"task": "segmentation"}, r"\[classes, height, width\]"),
        ("y = ReduceMax (s, last)", "1", {"task": "classification"}, "task=regression.*activation=sigmoid"),
    ],
)
def test_a_task_that_contradicts_the_output_is_refused(
    tail: str, shape: str, outputs: dict[str, Any], says: str
) -> None:
    """With the readings that fit."""
    with pytest.raises(SettingError, match=says) as caught:
        read(tail, shape=shape, outputs=OutputOptions(**outputs))
    assert caught.value.where == "task"


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_measured_value_has_no_activation(activation: str) -> None:
    """A percentage of millimetres is refused, also where the user asks for it."""
    outputs = OutputOptions(task="regression", activation=activation)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=f"a {activation} makes probabilities") as caught:
        read("y = Identity (s)", outputs=outputs)
    assert caught.value.where == "activation"


def test_a_map_without_names_is_told_as_classes_of_places() -> None:
    """The advice is a segmentation's: no task of whole images is offered for maps."""
    _, note = read("y = Identity (c)", shape="3, 8, 8")
    assert note.startswith("segmentation: ASSUMED: 3 scores at each of 8×8 places")
    assert "activation=sigmoid" in note
    assert "multilabel" not in note


def test_a_file_without_class_names_is_refused(tmp_path: Path) -> None:
    """An empty file is a mistake: to have no names, it is left out."""
    (tmp_path / "labels.txt").write_text("\n  \n")
    with pytest.raises(SettingError, match="no class names") as caught:
        class_names(tmp_path / "labels.txt")
    assert caught.value.where == str(tmp_path / "labels.txt")


@pytest.mark.slow
def test_the_command_prints_task_and_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the options' names as a terminal takes them."""
    onnx.save(network("y = Identity (s)"), tmp_path / "m.onnx")
    command = ["export", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.gagrad")]
    assert run([*command, "--task", "auto"]) == 0
    said = capsys.readouterr().err
    assert "0 class names, classification" in said.replace("no class", "0 class")
    assert "classification: ASSUMED" in said
    assert "--task regression" in said
    assert run([*command, "--task", "regression"]) == 0
    assert "none, no class names, regression" in capsys.readouterr().err


def test_a_bundle_from_before_there_were_tasks() -> None:
    """Its task follows from shape and activation."""
    assert derived_task([3], "softmax") == "classification"
    assert derived_task([3], "sigmoid") == "multilabel"
    assert derived_task([1], "sigmoid") == "classification"
    assert derived_task([3], "none") == "regression"
    assert derived_task([2, 8, 8], "sigmoid") == "segmentation"
    old = OutputSpec(name="y", shape=[3], activation="sigmoid", classes=[])
    assert old.task == "multilabel"


def network(tail: str, shape: str = "3") -> onnx.ModelProto:
    """Return a convolution ``c [N, 3, 8, 8]``, scores ``s [N, 3]`` and ``tail`` to y."""
    rng = np.random.default_rng(4)
    constants: dict[str, Any] = {"low": 1e-7, "high": 1 - 1e-7, "width": 640.0}
    return model_of(
        f"(float[N, 3, 8, 8] image) => (float[N, {shape}] y) {{ c = Conv <pads = [1, 1, 1, 1]> (image, w) "
        f"r = Relu (c) m = ReduceMean <keepdims = 0> (r, places) s = MatMul (m, v) {tail} }}",
        w=rng.normal(0, 1, (3, 3, 3, 3)).astype(np.float32),
        v=rng.normal(0, 3, (3, 3)).astype(np.float32),
        last=np.array([-1]),
        places=np.array([2, 3]),
        rows=np.array([0, 3, 64]),
        **{name: np.array(value, np.float32) for name, value in constants.items()},
    )


def read(
    tail: str,
    *,
    shape: str = "3",
    classes: Sequence[str] = (),
    outputs: OutputOptions = PLAIN,
    told: Stated | None = None,
) -> tuple[OutputSpec, str]:
    """Return the output of the network as an export reads it, and the evidence.

    ``told`` is what the model's files state.
    """
    model = canonicalise(network(tail, shape))
    spec = input_spec(model, mean=None, std=None)
    graphs = {GraphKey("predict"): predict_graph(model, spec)}
    arranged = Arranged(ModelProto())
    names = output_names(model, classes, arranged)
    return output_spec(
        model,
        outputs,
        arranged,
        names=names,
        scores=lambda: scores_on_frames(graphs, spec),
        stated=told,
    )
