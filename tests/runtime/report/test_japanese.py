"""Pictures and pages in Japanese: whole sentences, lines that end where they may, and the same record."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gagrad_runtime.answer.anomaly import ABOVE
from gagrad_runtime.answer.areas import CLOSEST
from gagrad_runtime.answer.prediction import Detection
from gagrad_runtime.explanation.cautions import (
    answer_unusual,
    constant_map,
    copies_lose_answer,
    covering_finds_nothing,
    late,
    not_settled,
    peaks_disagree,
    place_unstable,
    uncalibrated,
    unstable,
)
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.language import speaking
from gagrad_runtime.question.output_region import OutputRegion
from gagrad_runtime.question.target import Target
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.index_page import error_row, explained_row, render_index
from gagrad_runtime.report.lettering import Style, lettering
from gagrad_runtime.report.line_breaks import pieces
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.record import encode, record_of
from gagrad_runtime.report.report import Report
from gagrad_runtime.report.sheet import wrap
from gagrad_runtime.report.task_words import words_of
from tests.runtime.report.test_words_of_tasks import CELLS, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]

ENGLISH = re.compile(
    r"\b(?:the|is|are|of|and|with|for|that|this|from|in|at|to|not|no|place|map|model|score|class|sure|area|its)\b"
)
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
INK = Style(20, (0, 0, 0), lines=50)


@pytest.fixture
def _japanese() -> Iterator[None]:
    with speaking("ja"):
        yield


def every_caution() -> list[Any]:
    """Return cautions that the map and its evidence can bring about."""
    flat = np.zeros((4, 4), np.float32)
    nothing = Covering("surroundings", 0.9, (0.95, 0.9), (False, False), (0.9,), (False,))
    return [
        *constant_map(flat, dead=False), *constant_map(flat, dead=True),
        *constant_map(flat, dead=False, cam=True), *unstable(0.2), *not_settled(0.4, 0.9),
        *not_settled(None, 0.9), *late(2.0, 100, 20), *late(2.0, 100, 4), *covering_finds_nothing(nothing),
        *peaks_disagree((), apart=0.5), *place_unstable(0.4),
        *copies_lose_answer(0.4), *answer_unusual(["x"]), *uncalibrated(True, calibrated=False),
    ]  # fmt: skip


def of_each_task(make: Builder) -> list[Explanation]:
    """Return explanations of every task, with and without what is asked for being found."""
    two, grid = np.array([0.7, 0.3], np.float32), np.full((2, 8, 8), 0.8, np.float32)
    region = OutputRegion("where it is predicted", CELLS, found=True)
    closest = OutputRegion(CLOSEST, CELLS, found=True)
    part = OutputRegion("area 1 of 2", CELLS, found=True)
    names = ("dent", "scratch")
    box, other = (4.0, 5.0, 40.0, 50.0), (60.0, 5.0, 90.0, 50.0)
    found = tuple(Detection("dent", 0.9, one, (0, number)) for number, one in enumerate((box, other)))
    candidates = np.array([[0.9, 0.8], [0.1, 0.2]], np.float32)
    plain = make()
    return [
        plain,
        make(target=0, predicted=2),
        make(against=0),
        make(classes=()),
        make(probabilities=None, scores=np.array([0.4], np.float32), classes=(), target=0),
        explained(make, "multilabel", Target((0,), "dent"), scores=two, probabilities=two, classes=names),
        explained(make, "regression", Target((0,), "0"), scores=two[:1], score=0.7, unit="mm"),
        explained(make, "regression", Target((0,), "dent"), scores=two, classes=names),
        explained(make, "anomaly", Target((0,), "0"), scores=two[:1], score=0.8, threshold=0.5,
                  areas=(("", 0.2),)),
        explained(make, "anomaly", Target((0,), "0"), scores=two[:1], score=0.8),
        explained(make, "anomaly", Target((0,), "0", region=OutputRegion(ABOVE, CELLS, found=True)),
                  scores=grid[:1], score=0.8, threshold=0.5),
        explained(make, "segmentation", Target((0,), "dent", region=region), scores=grid, probabilities=grid,
                  classes=names, areas=(("dent", 0.1),)),
        explained(make, "segmentation", Target((0,), "dent", region=closest), scores=grid, probabilities=grid,
                  classes=names, predicted=Target((1,), "scratch"), areas=(("scratch", 0.1),)),
        explained(make, "segmentation", Target((0,), "dent", region=part), scores=grid, classes=names),
        explained(make, "detection", Target((0, 0), "dent", box=box, detection=1), scores=candidates,
                  probabilities=candidates, classes=names, detections=found),
        explained(make, "detection", Target((0, 1), "dent", box=other, detection=2), scores=candidates,
                  probabilities=candidates, classes=names, detections=found),
        explained(make, "detection", Target((1, 0), "scratch", box=box), scores=candidates,
                  probabilities=candidates, classes=names, detections=found),
        explained(make, "detection", Target((1, 0), "scratch", box=box), scores=candidates,
                  probabilities=candidates, classes=names),
    ]  # fmt: skip


@pytest.mark.usefixtures("_japanese")
def test_no_sentence_stays_english(make_explanation: Builder) -> None:
    """Title, answer, evidence, places and cautions of every task are Japanese but for the names in them."""
    covering = Covering("surroundings", 0.9, (0.4, 0.88), (True, False), (0.89, 0.2), (False, True))
    for one in of_each_task(make_explanation):
        whole = replace(one, covering=covering, place_stability=0.4, cautions=tuple(every_caution()))
        caption = write_caption(whole, lettering())
        said = (caption.title, caption.answer, *caption.evidence, *caption.places, *caption.cautions)
        for sentence in said:
            assert not ENGLISH.search(sentence), sentence
        assert all(JAPANESE.search(sentence) for sentence in (caption.title, *said[2:])), said
        line = words_of(one).line()
        assert not ENGLISH.search(line), line


def test_the_record_is_the_same_in_every_language(make_explanation: Builder) -> None:
    """Programs get English codes and texts, whatever a person reads."""
    one = replace(make_explanation(), cautions=tuple(every_caution()))
    english = encode(record_of(one))
    with speaking("ja"):
        assert encode(record_of(one)) == english
        assert JAPANESE.search(write_caption(one, lettering()).cautions[0])
    assert english.isascii()


@pytest.mark.slow
@pytest.mark.usefixtures("_japanese")
@pytest.mark.parametrize("shape", [(120, 160, 3), (80, 640), (640, 80)])
def test_a_picture_of_any_shape(
    make_explanation: Builder, rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    """Wide, high and usual frames give a picture of sensible size in Japanese, too."""
    frame = rng.integers(0, 256, shape, dtype=np.uint8)
    picture = render(replace(make_explanation(frame=frame), cautions=tuple(every_caution())))
    assert 400 < picture.shape[0] < 2200
    assert 1000 < picture.shape[1] < 1700


@pytest.mark.usefixtures("_japanese")
def test_no_line_begins_with_a_full_stop() -> None:
    """A line ends behind a mark and never before it, nor behind an opening bracket."""
    text = (
        "箇所1を隠すと判定が変わります：99.0 % → 12.0 %（別の場所では「傷」を 98.2 %）。確認してください。"
        * 3
    )
    for width in range(120, 700, 37):
        lines = wrap(text, width, INK, lettering())
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line[0] in "。、）」：%" or line[-1] in "（「" for line in lines), lines


@pytest.mark.slow
@given(st.text(alphabet="あ漢ア。、（「」）%a1 -ー", max_size=40))
def test_pieces_are_the_whole_text(text: str) -> None:
    """Whatever the text, its pieces with their spaces are the text again, in both languages."""
    for language in ("en", "ja"):
        with speaking(language):
            found = pieces(text)
        assert "".join(space + letters for space, letters in found)[1:] == text


@pytest.mark.usefixtures("_japanese")
def test_the_page_is_japanese_and_its_codes_are_not(make_explanation: Builder) -> None:
    """What people read is Japanese, in a font inside the page; what the filters compare stays English."""
    from gagrad_edge.errors import FrameError

    one = replace(make_explanation(), cautions=tuple(every_caution()))
    rows = [explained_row("a.png", Report(one), {}), error_row("b.png", FrameError("cannot be read"))]
    page = render_index("part", rows, ["fact"])
    assert '<html lang="ja">' in page
    assert "font-src data:" in page
    assert "@font-face" in page
    assert ">ファイル名 <" in page
    assert '<option value="peaks-disagree">根拠の不一致 (1)</option>' in page
    assert 'data-cautions="not explained"' in page
    body = re.sub(r"<(style|script)>.*?</\1>|<[^>]*>|b\.png|cannot be read", " ", page, flags=re.DOTALL)
    assert not ENGLISH.search(body), ENGLISH.search(body)


def test_the_english_page_carries_no_font(make_explanation: Builder) -> None:
    """In English the page is as small as before."""
    page = render_index("part", [explained_row("a.png", Report(make_explanation()), {})], [])
    assert "font-face" not in page
    assert "font-src" not in page
    assert len(page) < 30_000
