"""What is wrong in findings.json is said in words: the place, the value, and how to mend it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gagrad_edge.errors import InputError
from gagrad_runtime.audit.decisions import read_findings
from tests.runtime.audit.test_gate import cluster

_RESTORE = "restore what gagrad-edge clusters wrote"


def findings() -> Any:
    """Return findings with one cluster, of number 3, as they stand in the file."""
    image = {"path": "a.png", "sha256": "0" * 64}
    told = {
        "bundle": "0" * 64,
        "input": {"height": 64, "width": 64, "colour": "rgb", "mean": [0, 0, 0], "std": [1, 1, 1]},
        "explained": 9,
        "unlike": 0,
        "clusters": [{**msgspec.to_builtins(cluster(3, "the left")), "members": [image]}],
        "others": {"OK": [image], "dent": [image]},
    }
    return json.loads(json.dumps(told))


def read(path: Path, told: Any) -> str:
    """Return the message about ``told`` in the file ``path``, without the file's name in front."""
    path.write_text(json.dumps(told))
    with pytest.raises(InputError) as raised:
        read_findings(path)
    assert raised.value.exit_code == 3
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "`" not in message, "msgspec's words of types"
    assert "How to mend it: " in message
    return message.removeprefix(f"{path}: ")


def test_what_the_other_tests_change_is_right(tmp_path: Path) -> None:
    """The findings that these tests change one value of are read without an error."""
    (tmp_path / "f.json").write_text(json.dumps(findings()))
    assert read_findings(tmp_path / "f.json").clusters[0].number == 3


FIRST = ("clusters", 0)


@pytest.mark.parametrize(
    ("place", "value", "said", "hint"),
    [
        (
            (*FIRST, "images"),
            "12",
            'cluster 3, images: "12" is not a whole number',
            "the quotation",
        ),
        ((*FIRST, "images"), 1.5, "cluster 3, images: 1.5 is not a whole number", "such as 3"),
        ((*FIRST, "number"), None, "clusters, entry 1, number: null is not a whole number", "such as 3"),
        ((*FIRST, "area"), True, "cluster 3, area: true is not a number", "such as 0.25"),
        ((*FIRST, "proven"), "yes", 'cluster 3, proven: "yes" is not true or false', "write true or false"),
        ((*FIRST, "note"), ["a"], "cluster 3, note: a list is not a text", "in quotation marks"),
        ((*FIRST, "decision"), "badd", 'cluster 3, decision: "badd" is not possible', "did you mean 'bad'?"),
        ((*FIRST, "decision"), 3, "cluster 3, decision: 3 is not possible", "one of those below"),
        ((*FIRST, "when"), 3, "cluster 3, when: 3 is not a time or null", '28T09:30:00Z", or null'),
        ((*FIRST, "when"), "x", 'cluster 3, when: "x" is no time', '28T09:30:00Z", or null'),
        ((*FIRST, "whom"), "x", "cluster 3: there is no field 'whom'", "did you mean 'who'?"),
        ((*FIRST, "members"), {}, "cluster 3, members: an object is not a list", "between [ and ]"),
        ((*FIRST, "members", 0), 7, "cluster 3, members, entry 1: 7 is not an object", "between { and }"),
        ((*FIRST, "members", 0, "sha256"), "ab", 'members, entry 1, sha256: "ab" is no SHA-256', _RESTORE),
        ((*FIRST, "members", 0), {"path": "a"}, "entry 1: the field 'sha256' is missing", _RESTORE),
        ((*FIRST, "verdicts"), {"a": 1, "b": "x"}, 'verdicts, b: "x" is not a whole number', "such as 3"),
        ((*FIRST, "place", 0, 2), 17, "cluster 3, place, entry 1, entry 3: 17 is out of range", "at most 16"),
        ((*FIRST, "place", 0), [1, 2], "place, entry 1: the list has 2 entries, and must have 4", _RESTORE),
        ((*FIRST, "place", 0, 2), 0, "cluster 3: a rectangle of place is empty", _RESTORE),
        ((*FIRST, "mean"), [], "cluster 3: mean must have 16 rows of 16 numbers", _RESTORE),
        (("others", "dent", 0, "path"), 3, "others, dent, entry 1, path: 3 is not a text", "quotation marks"),
        (("input", "crop_ratio"), "a", 'input, crop_ratio: "a" is not a number or null', "0.25, or null"),
        (("input", "resize"), "crops", 'input, resize: "crops" is not possible', "did you mean 'crop'?"),
        (("input", "mean"), [1], "input: mean must hold 3", _RESTORE),
        (("clusters",), "x" * 99, f'clusters: "{"x" * 39}… is not a list', "between [ and ]"),
        (("schema",), 2, "schema: 2 is not possible", "one of those below\n  Valid choices: 1"),
    ],
)
def test_a_wrong_value(
    tmp_path: Path, place: tuple[str | int, ...], value: object, said: str, hint: str
) -> None:
    """The message has the file, the place in plain form, the value as written, and how to mend it."""
    told = findings()
    parent = told
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    message, mend = read(tmp_path / "f.json", told).split("\n  How to mend it: ")
    assert said in message
    assert hint in mend


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    """A list, or an object of another kind, is said to be no findings, or which field is missing."""
    assert read(tmp_path / "f.json", []).startswith("the file holds a list, and no findings\n")
    assert read(tmp_path / "f.json", {}).startswith("the field 'bundle' is missing\n")


def test_brackets_without_end(tmp_path: Path) -> None:
    """A hundred thousand brackets are an error like any other, wherever they stand."""
    for text in ("[" * 100_000, '{"clusters": [{"mean": ' + "[" * 100_000):
        (tmp_path / "f.json").write_text(text)
        with pytest.raises(InputError, match="How to mend it: "):
            read_findings(tmp_path / "f.json")
