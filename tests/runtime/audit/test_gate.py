"""The gate: what intervals decide, and where another model sees a place."""

from __future__ import annotations

import re

import pytest

from gagrad_runtime.audit.clustering import Rectangle
from gagrad_runtime.audit.decisions import Cluster
from gagrad_runtime.audit.gate import Checked, Outcome, outcome, table
from gagrad_runtime.audit.intervention import Rate, pixels, seen_by_another
from gagrad_runtime.frame.placement import place
from gagrad_runtime.language import speaking
from tests.models import build_spec

NONE = Rate(0, 0)


@pytest.mark.parametrize(
    ("covered", "beside", "pasted", "pasted_beside", "said"),
    [
        (Rate(55, 60), Rate(1, 60), Rate(50, 60), Rate(0, 60), "still"),
        (Rate(0, 60), Rate(0, 60), Rate(30, 60), Rate(0, 60), "still"),
        (Rate(55, 60), NONE, NONE, NONE, "still"),
        (Rate(55, 60), Rate(54, 60), Rate(0, 60), Rate(0, 60), "unclear"),
        (Rate(0, 22), Rate(0, 22), NONE, NONE, "gone"),
        (Rate(0, 21), Rate(0, 21), NONE, NONE, "unclear"),
        (Rate(3, 60), Rate(0, 60), Rate(3, 60), Rate(0, 60), "gone"),
        (Rate(4, 60), Rate(0, 60), Rate(0, 60), Rate(0, 60), "unclear"),
        (Rate(15, 60), Rate(0, 60), Rate(0, 60), Rate(0, 60), "still"),
        (NONE, NONE, Rate(0, 60), Rate(0, 60), "unclear"),
    ],
)
def test_intervals_decide(covered: Rate, beside: Rate, pasted: Rate, pasted_beside: Rate, said: str) -> None:
    """As docs/audit.md says: 0 of 22 and 3 of 60 are gone; what any cover changes is not still bad."""
    assert outcome(covered, beside, pasted, pasted_beside, at_most=0.15) == said


def cluster(number: int, where: str) -> Cluster:
    rate = Rate(55, 60)
    return Cluster(
        number=number, images=60, where=where, verdict="dent", verdicts={"dent": 60}, stations={}, first="",
        last="", place=[Rectangle(0, 12, 4, 16)], covered=rate, covered_elsewhere=NONE, becomes="",
        pasted=NONE, pasted_elsewhere=NONE, proven=True, share=rate, area=0.1, finding=True, rows=[],
        mean=[[0.0] * 16] * 16, members=[],
    )  # fmt: skip


def test_the_table_has_a_language_and_straight_columns() -> None:
    """Letters of Japanese are two columns wide in a terminal; the model's names stay as they are."""
    outcomes: tuple[Outcome, ...] = ("still", "gone", "unclear")
    names = ("the upper right", "the border", "the left")
    found = [
        Checked(cluster(number, where), said, Rate(55, 60), Rate(1, 1000), NONE, NONE, ())
        for number, (where, said) in enumerate(zip(names, outcomes, strict=True))
    ]
    english = table(found)
    assert english[0].split() == [
        "cluster",
        "place",
        "answer",
        "covered",
        "elsewhere",
        "pasted",
        "elsewhere",
        "result",
    ]
    assert [line.rpartition("  ")[2] for line in english[1:]] == ["STILL BAD", "gone", "cannot tell"]
    assert "92 % (82 % to 96 %) of 60" in english[1]
    with speaking("ja"):
        lines = table(found)
    assert lines[0].split() == [
        "グループ",
        "箇所",
        "判定",
        "隠した場合",
        "別の場所",
        "貼り付けた場合",
        "別の場所",
        "結果",
    ]
    assert [line.rpartition("  ")[2] for line in lines[1:]] == ["未解消", "解消", "判断不能"]
    assert "60 枚中 92 %（82 %～96 %）" in lines[1]
    assert not re.search("[a-z]", "".join(lines).replace("dent", ""))
    begin = column(lines[0], "判定")
    assert [column(line, "dent") for line in lines[1:]] == [begin] * 3
    end, results = column(lines[0], "結果"), ("未解消", "解消", "判断不能")
    assert [column(line, word) for line, word in zip(lines[1:], results, strict=True)] == [end] * 3


def column(line: str, word: str) -> int:
    """Return the column of a terminal in which ``word`` begins for the first time."""
    return sum(2 if ord(letter) > 0x2FFF else 1 for letter in line[: line.index(word)])


def test_a_place_is_one_of_the_frame() -> None:
    """A model of another size or with another cut sees it at the same pixels of the frame, or not at all."""
    spec, corner = build_spec(64, 64), [Rectangle(0, 12, 4, 16)]
    frame = (120, 160)
    same = place(frame, spec)
    assert seen_by_another(corner, spec, same) == pixels(corner, same)
    larger = place(frame, build_spec(128, 128, resize="letterbox"))
    (cover,) = seen_by_another(corner, spec, larger)
    left, top, right, bottom = larger.box_to_frame(tuple(map(float, cover)))  # type: ignore[arg-type]
    assert (left, bottom) == (pytest.approx(120, abs=11), pytest.approx(30, abs=11))  # widened
    assert (right, top) == (160, 0)
    cut = place(frame, build_spec(64, 64, resize="crop"))
    (cover,) = seen_by_another(corner, spec, cut)
    assert cut.box_to_frame(tuple(map(float, cover)))[2] == pytest.approx(140, abs=1)  # type: ignore[arg-type]
    narrow = place((64, 640), build_spec(64, 64, resize="crop"))
    assert seen_by_another(corner, spec, narrow) == []
