"""Names of result files: they carry what distinguishes results, and nothing is replaced silently."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import OutputError
from gagrad_runtime.report.naming import distinct_stems, stem_of
from gagrad_runtime.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]


def named(explanation: Explanation, source: str = "line/part.png", **provenance: Any) -> Explanation:
    """Return ``explanation`` of a file, made with other settings."""
    return dataclasses.replace(
        explanation,
        frame=dataclasses.replace(explanation.frame, source=source),
        provenance=dataclasses.replace(explanation.provenance, **provenance),
    )


def test_the_stem_says_what_is_not_the_default(make_explanation: Builder) -> None:
    """The target where the model says something else or it is a difference, then the method."""
    assert stem_of(named(make_explanation())) == "part"
    assert stem_of(named(make_explanation(), method="grad-cam++")) == "part.grad-cam++"
    assert stem_of(named(make_explanation(target=1, predicted=2))) == "part.dent"
    assert stem_of(named(make_explanation(target=2, against=1), method="vargrad")) == (
        "part.scratch-not-dent.vargrad"
    )
    assert stem_of(named(make_explanation()), "a-part", with_target=True) == "a-part.scratch"


def test_folders_in_class_names_stay_apart(make_explanation: Builder, tmp_path: Path) -> None:
    """``front/scratch`` and ``back/scratch`` have files of their own, and so have names that print alike."""
    classes = ("front/scratch", "back/scratch", "back_scratch")
    for target in range(3):
        Report(named(make_explanation(classes=classes, target=target))).save_as(
            tmp_path, "part", with_target=True
        )
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [
        "part.back_scratch-2.json",
        "part.back_scratch.json",
        "part.front_scratch.json",
    ]


def test_an_identical_explanation_replaces_its_own_files(make_explanation: Builder, tmp_path: Path) -> None:
    """Made again with the same frame, bundle and settings, at another time: the same names."""
    for seconds in (1.0, 2.0):
        files = named(make_explanation(seconds={"explain": seconds})).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert json.loads(files["record"].read_text())["run"]["seconds"]["explain"] == 2.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"samples": 40},
        {"seed": 1},
        {"percentile": 0.5},
        {"noise_std": 0.3},
        {"guide": "pooled"},
        {"perturbation": "shift=2"},
        {"baseline": 0.5},
        {"bundle_sha256": "1" * 64},
        {"backend": "tensorrt 10.13 (Orin)"},
    ],
    ids=str,
)
def test_other_settings_get_another_name(
    make_explanation: Builder, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Each setting tells explanations apart; running both again changes no name."""
    for _ in range(2):
        first = named(make_explanation()).save(tmp_path)
        second = named(make_explanation(), **change).save(tmp_path)
        assert (first["record"].name, second["record"].name) == ("part.json", "part-2.json")
    assert len(list(tmp_path.iterdir())) == 6


def test_a_frame_that_changed_under_its_name_gets_another(make_explanation: Builder, tmp_path: Path) -> None:
    """A camera that writes ``latest.png`` again and again loses no result."""
    for grey in (10, 20, 30):
        frame = np.full((8, 8), grey, np.uint8)
        named(make_explanation(frame=frame), "latest.png").save(tmp_path)
    assert {path.name for path in tmp_path.glob("*.json")} == {
        "latest.json",
        "latest-2.json",
        "latest-3.json",
    }


def test_arrays_are_named_by_their_pixels(make_explanation: Builder, tmp_path: Path) -> None:
    """Frames from memory have no name: each gets its own, the same one again, or the one it is given."""
    for grey in (10, 20, 10):
        make_explanation(frame=np.full((8, 8), grey, np.uint8)).save(tmp_path)
    stems = {path.stem for path in tmp_path.glob("*.json")}
    assert len(stems) == 2
    assert all(stem.startswith("array-") for stem in stems)


def test_files_of_others_stay(make_explanation: Builder, tmp_path: Path) -> None:
    """A labelme file ``part.json`` beside the pictures is no record of ours; neither is a lonely picture."""
    (tmp_path / "part.json").write_text('{"shapes": []}')
    Image.new("L", (4, 4)).save(tmp_path / "part-2.explained.png")
    files = named(make_explanation()).save(tmp_path)
    assert files["record"].name == "part-3.json"
    assert (tmp_path / "part.json").read_text() == '{"shapes": []}'


def test_a_stem_that_is_taken_is_an_error(make_explanation: Builder, tmp_path: Path) -> None:
    """Who gives the name gets exactly that name or an error, unless ``replace`` says otherwise."""
    named(make_explanation()).save(tmp_path, stem="result")
    other = named(make_explanation(), seed=1)
    with pytest.raises(OutputError, match=r"in the way: result\.\*"):
        other.save(tmp_path, stem="result")
    files = other.save(tmp_path, stem="result", replace=True)
    assert json.loads(files["record"].read_text())["method"]["seed"] == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_the_region_and_the_limit_belong_to_the_question(make_explanation: Builder, tmp_path: Path) -> None:
    """A report with a region does not replace one without, nor one of a region that was drawn anew."""
    (tmp_path / "roi.json").write_text('{"inside": [[[0, 0], [90, 0], [90, 90]]]}')
    explanation, out = named(make_explanation()), tmp_path / "out"
    for limit in (None, 0.1, 0.9):
        Report(explanation, roi=tmp_path / "roi.json", roi_limit=limit).save(out)
    Report(explanation).save(out)
    assert len(list(out.glob("*.json"))) == 4
    (tmp_path / "roi.json").write_text('{"inside": [[[0, 0], [40, 0], [40, 90]]]}')
    Report(explanation, roi=tmp_path / "roi.json").save(out)
    assert len(list(out.glob("*.json"))) == 5


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        (["a/part.png", "b/dent.png"], ["part", "dent"]),
        (["a/part.png", "b/part.png"], ["a-part", "b-part"]),
        (["a/part.png", "b/PART.png"], ["a-part", "b-PART"]),
        (["x/a/part.png", "y/a/part.png"], ["x-a-part", "y-a-part"]),
        (["part.png", "part.jpg"], ["part-png", "part-jpg"]),
        (["a/part.png", "a/part.jpg", "b/part.png"], ["a-part-png", "a-part-jpg", "b-part-png"]),
    ],
    ids=str,
)
def test_inputs_that_share_a_stem_are_told_apart(paths: list[str], stems: list[str]) -> None:
    """By their folders, as few as needed, else by their endings; the order of the inputs does not matter."""
    expected = dict(zip(paths, stems, strict=True))
    for order in itertools.permutations(paths):
        assert distinct_stems(order) == expected
