"""What a model's files state of its answer, by Hugging Face and timm: class names and the kind of problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.output import DetectionSpec, OutputSpec
from gagrad_export import InputOptions, OutputOptions, export
from gagrad_export.arrange import Arranged, Stated, stated
from tests.export.test_reading import network, read

NAMES = ("ok", "scratch", "dent")
CONFIG: dict[str, Any] = {
    "architectures": ["ViTForImageClassification"],
    "id2label": {"0": "ok", "2": "dent", "1": "scratch"},
    "problem_type": "multi_label_classification",
}
"""As Hugging Face writes it, in part."""
MULTILABEL = Stated(task="multilabel", stated_by="problem_type multi_label_classification in config.json")


def beside(folder: Path, keys: dict[str, Any] | str, name: str = "config.json") -> Path:
    """Write a configuration into ``folder``; return the path of a model's file beside it."""
    text = keys if isinstance(keys, str) else json.dumps(keys)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "m.onnx").write_bytes(b"a model")
    return folder / "m.onnx"


def test_hugging_faces_names_and_problem_are_read(tmp_path: Path) -> None:
    """In the order of their numbers, and each with the place where it stands."""
    found = stated(beside(tmp_path, CONFIG), {})
    assert found.names == NAMES
    assert found.named_by == "id2label in config.json beside the model"
    assert found.task == "multilabel"
    assert found.stated_by == "problem_type multi_label_classification in config.json beside the model"
    assert json.loads(found.metadata["id2label"]) == list(NAMES)


@pytest.mark.parametrize(
    ("keys", "task"),
    [
        ({"problem_type": "single_label_classification"}, "classification"),
        ({"problem_type": "regression"}, "regression"),
        ({"problem_type": None, "architectures": ["ResNetForImageClassification"]}, "classification"),
        ({"architectures": ["DeiTForImageClassificationWithTeacher"]}, "classification"),
        ({"architectures": ["DetrForObjectDetection"]}, None),
        ({"problem_type": "something else", "architectures": "text"}, None),
    ],
)
def test_the_task_is_as_the_problem_or_the_architecture_says(
    keys: dict[str, Any], task: str | None, tmp_path: Path
) -> None:
    """Of what is not known, nothing is claimed."""
    assert stated(beside(tmp_path, keys), {}).task == task


@pytest.mark.parametrize("keys", [{"label_names": NAMES}, {"pretrained_cfg": {"label_names": NAMES}}])
def test_timms_names_are_read(keys: dict[str, Any], tmp_path: Path) -> None:
    """At the top, or among the pretrained settings; also from the file that ``preprocessing`` names."""
    assert stated(beside(tmp_path, keys), {}).names == NAMES
    (tmp_path / "config.json").rename(tmp_path / "timm.json")
    assert stated(tmp_path / "m.onnx", {}).names == ()
    found = stated(tmp_path / "m.onnx", {}, tmp_path / "timm.json")
    assert (found.names, found.named_by) == (NAMES, "label_names in timm.json")


def test_where_a_configuration_is_looked_for(tmp_path: Path) -> None:
    """In the file itself first; then beside the model, above ``onnx/``, and beside the preprocessing file."""
    (tmp_path / "onnx").mkdir()
    model = beside(tmp_path, CONFIG).rename(tmp_path / "onnx" / "m.onnx")
    assert stated(model, {}).named_by == "id2label in config.json above the model's folder"
    own = {"id2label": "{0: 'a', 1: 'b'}", "problem_type": "regression"}
    found = stated(model, own)
    assert (found.names, found.named_by) == (("a", "b"), "id2label in the file's metadata")
    assert (found.task, found.stated_by) == ("regression", "problem_type regression in the file's metadata")
    assert stated(object(), {}) == stated("package.module:factory", {}) == Stated()
    (tmp_path / "preprocessor_config.json").write_text("{}", encoding="utf-8")
    found = stated("package.module:factory", {}, tmp_path / "preprocessor_config.json")
    assert found.named_by == "id2label in config.json beside preprocessor_config.json"


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "holds only placeholders such as LABEL_0"),
        ('{"id2label": ', "config.json beside the model is not used: it cannot be read"),
    ],
)
def test_what_is_of_no_use_is_said(keys: dict[str, Any] | str, note: str, tmp_path: Path) -> None:
    """Names that nobody gave, and a file that is damaged, are no names, and are not passed over silently."""
    found = stated(beside(tmp_path, keys), {})
    assert found.names == ()
    assert [note in one for one in found.notes] == [True]


@pytest.mark.parametrize(
    "keys", ["[1, 2]", {"id2label": {"0": "a", "2": "b"}}, {"id2label": {"x": "a"}}, {"id2label": [1]}]
)
def test_another_programs_configuration_states_nothing(keys: dict[str, Any] | str, tmp_path: Path) -> None:
    """A file of this name may be of any program."""
    assert stated(beside(tmp_path, keys), {}) == Stated()


def test_names_that_stand_for_several_classes_get_their_numbers(tmp_path: Path) -> None:
    """COCO's list has N/A for each number that it left out, and a target must be chosen by its name."""
    found = stated(beside(tmp_path, {"id2label": {"0": "N/A", "1": "person", "2": "N/A"}}), {})
    assert found.names == ("N/A 0", "person", "N/A 2")


def test_stated_names_are_used_unless_others_are_given() -> None:
    """A sentence says whose they are, or why they are not used."""
    told, plain = Stated(names=NAMES, named_by="id2label in config.json"), Arranged(onnx.ModelProto())
    assert told.classes(["a", "b", "c"], plain, 3) == (["a", "b", "c"], "")
    names, note = told.classes(None, plain, 3)
    assert names == NAMES
    assert note == "the class names are those of id2label in config.json; `classes` gives others"
    names, note = told.classes(None, plain, 5)
    assert names is None
    assert note == "id2label in config.json has 3 names, and the model gives 5 scores: the names are not used"
    spec = DetectionSpec(layout="", candidates=1, suppressed=False, background=0, threshold=0.5, overlap=0.5)
    assert told.classes(None, Arranged(onnx.ModelProto(), detection=spec), 4)[0] == NAMES
    assert told.classes(None, Arranged(onnx.ModelProto(), classes=("x", "y", "z")), 3) == (None, "")


def read_as(told: Stated, tail: str, shape: str = "3", **outputs: Any) -> tuple[OutputSpec, str]:
    """Return the output of a small network as an export reads it where ``told`` is stated."""
    return read(tail, shape=shape, outputs=OutputOptions(**outputs), told=told)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("multilabel", ("sigmoid", "multilabel")),
        ("regression", ("none", "regression")),
        ("classification", ("softmax", "classification")),
    ],
)
def test_the_stated_task_is_evidence(task: Any, expected: tuple[str, str]) -> None:
    """Scores without an activation need no assumption then, and the user still decides otherwise."""
    told = Stated(task=task, stated_by="problem_type … in config.json")
    output, note = read_as(told, "y = Identity (s)")
    assert (output.activation, output.task) == expected
    assert "the task is as stated by problem_type … in config.json (`task` decides otherwise)" in note
    assert "ASSUMED" not in note
    assert read_as(told, "y = Identity (s)", task="regression")[0].task == "regression"


@pytest.mark.parametrize(
    ("tail", "shape", "task"),
    [("y = Softmax (s)", "3", "classification"), ("y = Identity (c)", "3, 8, 8", "segmentation")],
)
def test_a_stated_task_that_the_output_contradicts_is_not_followed(tail: str, shape: str, task: str) -> None:
    """The output decides, and the sentence says so."""
    output, note = read_as(MULTILABEL, tail, shape)
    assert output.task == task
    assert "in config.json states multilabel, which is not followed: " in note


@pytest.mark.slow
def test_a_bundle_has_the_stated_names_and_says_so(tmp_path: Path) -> None:
    """From the model's folder to the manifest, with a model line for each decision."""
    onnx.save(network("y = Identity (s)"), tmp_path / "m.onnx")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    export(tmp_path / "m.onnx", tmp_path / "m.gagrad", inputs=InputOptions())
    manifest = read_bundle(tmp_path / "m.gagrad").manifest
    assert tuple(manifest.output.classes) == NAMES
    assert (manifest.output.task, manifest.output.activation) == ("multilabel", "sigmoid")
    notes = "\n".join(manifest.model.notes)
    assert "the class names are those of id2label in config.json beside the model" in notes
    assert "the task is as stated by problem_type multi_label_classification in config.json" in notes
