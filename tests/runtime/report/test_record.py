"""The JSON record: what it holds, that it is valid JSON, and that the docs show its schema."""

from __future__ import annotations

import dataclasses
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from gagrad_edge import schema
from gagrad_edge.manifest import Manifest
from gagrad_runtime.frame.frame import Frame
from gagrad_runtime.report import prediction_record
from gagrad_runtime.report.record import encode, record_of
from gagrad_runtime.report.record_schema import Record, json_schema
from gagrad_runtime.sampling.rcap import Rcap

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]

DOCS = Path(__file__).parents[3] / "docs"


def as_data(explanation: Explanation) -> dict[str, Any]:
    """Return the record as a strict JSON reader sees it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    data = json.loads(encode(record_of(explanation)), parse_constant=refuse)
    assert isinstance(data, dict)
    return data


def test_the_record_holds_what_was_explained_and_how(make_explanation: Builder) -> None:
    """Target, prediction, probabilities, RCAP with its curve, method and provenance are all data."""
    data = as_data(make_explanation(against=0, cautions=("Careful.",)))
    assert data["schema"] == 1
    assert data["target"] == {"index": [2], "name": "scratch", "score": 0.4, "probability": 0.973}
    assert data["against"]["name"] == "OK"
    assert data["predicted"]["name"] == "scratch"
    assert [one["name"] for one in data["top"]] == ["scratch", "OK", "dent"]
    assert data["rcap"] == {
        "score": 0.6,
        "levels": [0.9, 0.5],
        "ratio": [0.5, 0.9],
        "confidence": [0.7, 0.95],
    }
    settings = {"samples": 20, "seed": 0, "percentile": 0.85, "noise_std": 0.15, "chunk": 10}
    kind = {
        "preset": "operator",
        "name": "gradient-x-cam",
        "notes": [],
        "guide": "paper",
        "stopped": "samples",
        "perturbation": "",
    }
    assert data["method"] == {**kind, **settings, "straight_through": 0, "float_twin": None, "baseline": None}
    assert data["bundle"] == {"name": "part", "sha256": "0" * 64}
    assert data["cautions"] == [{"code": "test", "text": "Careful."}]
    assert (data["frame"]["height"], data["frame"]["width"], data["frame"]["bits"]) == (120, 160, 8)
    assert data["placement"]["window"] == [0, 0, 120, 160]


def test_two_runs_differ_only_under_run(make_explanation: Builder) -> None:
    """Times are kept apart so that records can be compared."""
    first = as_data(make_explanation(seconds={"predict": 0.1}))
    second = as_data(make_explanation(seconds={"predict": 0.2}))
    assert first.pop("run") != second.pop("run")
    assert first == second


def test_every_record_of_an_explanation_has_its_time(make_explanation: Builder) -> None:
    """``created`` is when the explanation was made, however often and late the record is written."""
    made = datetime(2026, 11, 27, 12, 30, 5, tzinfo=timezone(timedelta(hours=9)))
    explanation = dataclasses.replace(make_explanation(), created=made)
    assert {as_data(explanation)["run"]["created"] for _ in range(2)} == {"2026-11-27T03:30:05Z"}


def test_equal_pixels_have_equal_digests(make_explanation: Builder) -> None:
    """``frame.sha256`` tells frames of one name apart, and knows one that came back under another name."""
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    frames = (pixels, pixels.copy(), pixels.T, pixels.astype(np.uint16), pixels + 1)
    digests = [as_data(make_explanation(frame=frame))["frame"]["sha256"] for frame in frames]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_values_that_are_no_numbers_are_null(make_explanation: Builder) -> None:
    """NaN and infinity do not exist in JSON, and a wrong score is said."""
    bad = np.array([np.nan, np.inf, 0.4], np.float32)
    rcap = Rcap(float("nan"), (0.5,), np.array([np.nan], np.float32), np.array([0.5], np.float32))
    saliency = np.full((8, 8), np.nan, np.float32)
    data = as_data(make_explanation(scores=bad, probabilities=bad, target=0, rcap=rcap, saliency=saliency))
    assert data["target"]["score"] is None
    assert data["target"]["probability"] is None
    assert data["scores"] == {"shape": [3], "minimum": 0.4, "maximum": 0.4, "finite": False}
    assert data["rcap"]["score"] is None
    assert data["rcap"]["ratio"] == [None]


def test_a_plain_score_has_no_probability(make_explanation: Builder) -> None:
    """What does not exist is null and not 0."""
    scores = np.array([3.25], np.float32)
    data = as_data(make_explanation(scores=scores, probabilities=None, classes=(), target=0))
    assert data["target"] == {"index": [0], "name": "0", "score": 3.25, "probability": None}
    assert data["activation"] == "none"


def test_at_most_five_classes_and_ties_in_order(make_explanation: Builder) -> None:
    """The list is short, sorted by score, and the lower index wins a tie."""
    scores = np.array([1, 3, 3, 0, 2, 2, 2], np.float32)
    data = as_data(make_explanation(scores=scores, probabilities=None, classes=(), target=0))
    assert [one["index"] for one in data["top"]] == [[1], [2], [4], [5], [6]]


def test_a_map_of_scores_has_no_top_list(make_explanation: Builder) -> None:
    """An output with more axes is no list of classes."""
    explanation = make_explanation(target=1)
    target = dataclasses.replace(explanation.target, index=(1, 0, 2))
    scores = np.zeros((3, 4, 5), np.float32)
    changed = dataclasses.replace(
        explanation, scores=scores, probabilities=scores, target=target, predicted=target
    )
    data = as_data(changed)
    assert data["top"] == []
    assert data["target"]["index"] == [1, 0, 2]
    assert data["target"]["name"] == "dent"


def test_a_file_name_that_is_no_utf8(make_explanation: Builder) -> None:
    """Any bytes in a file name give a valid record."""
    frame = Frame(np.zeros((4, 4), np.uint8), "dir/part\udcff.png")
    assert as_data(make_explanation(frame=frame))["frame"]["file"] == "dir/part?.png"


def test_files_are_names_without_folders(make_explanation: Builder) -> None:
    """The folder may be moved; the record still tells its files."""
    made = record_of(make_explanation(), files={"picture": Path("/somewhere/part.explained.png")})
    assert made.files == {"picture": "part.explained.png"}


def test_one_line_or_many(make_explanation: Builder) -> None:
    """``--json`` prints one line per frame; the file is indented; both decode to the same record."""
    made = record_of(make_explanation())
    line, pretty = encode(made, pretty=False), encode(made)
    assert line.count(b"\n") == 1
    assert pretty.count(b"\n") > 50
    assert msgspec.json.decode(line, type=Record) == msgspec.json.decode(pretty, type=Record) == made


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("record.schema.json", json_schema()),
        ("prediction.schema.json", prediction_record.json_schema()),
        ("manifest.schema.json", schema.json_schema(Manifest)),
    ],
)
def test_the_published_schema_is_the_programs(name: str, schema: dict[str, Any]) -> None:
    """The docs cannot drift; ``UPDATE_SCHEMAS=1 pytest`` of this file writes them again."""
    text = json.dumps(in_order(schema), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SCHEMAS"):
        (DOCS / name).write_text(text, encoding="utf-8")
    assert (DOCS / name).read_text(encoding="utf-8") == text


def in_order(schema: Any) -> Any:
    """Return ``schema`` with its alternatives sorted: msgspec's versions differ in their order."""
    if isinstance(schema, dict):
        return {
            key: sorted(map(in_order, value), key=json.dumps) if key == "anyOf" else in_order(value)
            for key, value in schema.items()
        }
    return [in_order(item) for item in schema] if isinstance(schema, list) else schema


def test_every_field_is_told_in_words() -> None:
    """docs/record.md has a row for each top-level field and each field of the parts."""
    text = (DOCS / "record.md").read_text(encoding="utf-8")
    for kind in json_schema()["$defs"].values():
        for field in kind["properties"]:
            assert f"`{field}`" in text, field
