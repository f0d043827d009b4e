"""The picture and its words. How it looks was judged by eye; this holds what must not get lost."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from gagrad_runtime.explanation.places import soften
from gagrad_runtime.frame import load_frame
from gagrad_runtime.report import lettering as lettering_module
from gagrad_runtime.report.caption import write_caption
from gagrad_runtime.report.colour import overlay, scale_of, to_eight_bits
from gagrad_runtime.report.lettering import OpenCvLettering, PillowLettering, Style, lettering, printable
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.sheet import wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]

INK = Style(18, (0, 0, 0))


@pytest.fixture(params=["opencv", "pillow", "pillow-without-fonts"])
def pen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every lettering that a device may have."""
    if request.param == "opencv":
        if not hasattr(cv2, "FontFace"):
            pytest.skip("OpenCV before 5 carries no fonts")
        return OpenCvLettering()
    if request.param == "pillow-without-fonts":
        monkeypatch.setattr(lettering_module, "_fonts", lambda: ("",))
    return PillowLettering()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 1, 3), (5, 7, 3), (240, 320), (300, 3000), (3000, 300), (2, 6000), (900, 1400, 3)]
)
def test_any_frame_gives_a_picture_of_sensible_size(
    make_explanation: Builder, rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    """From one pixel to a line camera's strip the picture is readable on one screen."""
    picture = render(make_explanation(frame=rng.integers(0, 256, shape, dtype=np.uint8)))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert 400 < picture.shape[0] < 1300
    assert 1000 < picture.shape[1] < 1700


def test_the_same_explanation_gives_the_same_picture(make_explanation: Builder) -> None:
    """No clock and no chance in it."""
    explanation = make_explanation(cautions=("Careful.",))
    np.testing.assert_array_equal(render(explanation), render(explanation))


@pytest.mark.parametrize("saliency", [np.ones((64, 48)), np.zeros((64, 48)), np.full((64, 48), np.nan)])
def test_degenerate_maps_are_drawn(make_explanation: Builder, saliency: NDArray[np.float64]) -> None:
    """A map without contrast, or without numbers, is no reason to fail: the cautions say what is wrong."""
    with np.errstate(all="raise"):
        assert render(make_explanation(saliency=saliency.astype(np.float32))).size


def test_the_frame_is_shown_as_it_is_and_the_map_where_it_is(make_explanation: Builder) -> None:
    """The left panel has the frame's colour; the right one is brightest at the map's strongest place."""
    saliency = np.zeros((64, 48), np.float32)
    saliency[45:55, 30:40] = 1
    picture = render(make_explanation(frame=np.full((64, 48, 3), (20, 120, 60), np.uint8), saliency=saliency))
    green = np.all(picture == (20, 120, 60), axis=2)
    rows, columns = np.nonzero(green)
    top, left, height, width = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
    assert green[top : top + height, left : left + width].all()
    right = picture[top : top + height, left + width + 24 :][:, :width].astype(int).sum(axis=2)
    row, column = np.unravel_index(right.argmax(), right.shape)
    assert 45 / 64 < row / height < 55 / 64
    assert 30 / 48 < column / width < 40 / 48


def test_brighter_means_more_on_any_part() -> None:
    """The map's colours rise in lightness over light, dark and middle grounds, and outshine the part."""
    shown = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None], 8, axis=0)
    ramp = np.repeat(np.linspace(0, 255, 256)[None], 8, axis=0).astype(np.uint8)
    for ground in (np.full_like(ramp, 250), np.full_like(ramp, 5), np.full_like(ramp, 128)):
        panel = overlay(np.repeat(ground[..., None], 3, axis=2), shown)
        lightness = cv2.cvtColor(panel, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
        assert (np.diff(lightness[90:]) >= -1).all()
        assert lightness[-1] > 220
    quiet = overlay(np.repeat(ramp[..., None], 3, axis=2), np.zeros_like(shown))
    assert quiet.max() < 130


def test_the_scale_does_not_hang_on_one_pixel() -> None:
    """A single huge value saturates and the rest stays visible; the blur is reported."""
    saliency = np.full((200, 200), 0.1, np.float32)
    saliency[100, 100] = 1
    softened, sigma = soften(saliency)
    scale = scale_of(softened, sigma)
    assert sigma == 2
    assert scale.shown(softened)[10, 10] > 0.7
    assert "2 model pixels" in scale.note
    assert soften(np.eye(8, dtype=np.float32))[1] == 0


def test_caption_of_the_models_own_answer(make_explanation: Builder) -> None:
    """Class, probability, margin, verdict, RCAP, samples and names are all there."""
    caption = write_caption(make_explanation(cautions=("The model is unsure.",)), lettering())
    assert caption.title == 'What the model looked at for "scratch"'
    assert caption.answer == '97.3 % for "scratch", clearly ahead of "OK" (2.0 %).'
    assert caption.verdict == "NG"
    assert caption.places[0].startswith("1: at the upper left, ")
    assert caption.cautions == ("The model is unsure.",)
    facts = " ".join(caption.facts)
    for words in (
        "RCAP 0.6",
        "20 samples, noise 15 %",
        "bundle part",
        "120 pixels high, 160 wide",
        "onnxruntime 1.32.0",
    ):
        assert words in facts


def test_caption_of_another_class_and_of_a_difference(make_explanation: Builder) -> None:
    """When the model says something else, the picture says so; a difference names both."""
    pen = lettering()
    other = write_caption(make_explanation(target=1, predicted=2), pen)
    assert other.answer == 'The model predicts "scratch" (97.3 %). Explained here: "dent", 0.7 %.'
    difference = write_caption(make_explanation(against=0), pen)
    assert difference.title == 'What the model looked at for "scratch" and not "OK"'
    assert difference.answer == '97.3 % for "scratch", 2.0 % for "OK". The model predicts "scratch".'


def test_caption_of_a_plain_score(make_explanation: Builder) -> None:
    """A model with one score has no classes and no probability."""
    scores = np.array([3.217], np.float32)
    caption = write_caption(
        make_explanation(scores=scores, probabilities=None, classes=(), target=0), lettering()
    )
    assert caption.title == "What the model looked at for its score"
    assert caption.answer == "Score 3.22."


def test_a_frame_of_floats_keeps_its_brightness() -> None:
    """Floats state what is white: the picture shows them so, and does not stretch them."""
    frame = load_frame(np.linspace(0.2, 0.4001, 48).reshape(6, 8))
    assert frame.pixels.dtype == np.uint16
    shown, note = to_eight_bits(frame, frame.pixels)
    assert note is None
    assert (int(shown.min()), int(shown.max())) == (51, 102)


def test_names_in_any_script_can_be_read_or_are_numbered(make_explanation: Builder, pen: Any) -> None:
    """German is always readable; what has no letters on this device is the class number, and it says so."""
    german = write_caption(make_explanation(classes=("OK", "Delle", "Riß")), pen)
    assert german.title in ('What the model looked at for "Riß"', 'What the model looked at for "Riss"')
    japanese = write_caption(make_explanation(classes=("OK", "打痕", "キズ")), pen)
    if all(map(pen.covers, "キズ")):
        assert japanese.title.endswith('"キズ"')
    else:
        assert japanese.title.endswith("class 2")
        assert any("JSON record has it" in fact for fact in japanese.facts)


def test_a_long_name_leaves_room_for_the_figures(make_explanation: Builder) -> None:
    """The title has all of it, the answer is cut so that the percentages stay on the line."""
    caption = write_caption(make_explanation(classes=("OK", "dent", "scratch_" * 30)), lettering())
    assert len(caption.title) > 240
    assert len(caption.answer) < 100
    assert render(make_explanation(classes=("OK", "dent", "scratch_" * 30))).shape[1] < 1700


def test_every_pen_writes(pen: Any) -> None:
    """Text leaves ink inside its measured width, and bold leaves more."""
    inks = []
    for style in (Style(24, (0, 0, 0)), Style(24, (0, 0, 0), bold=True)):
        canvas = np.full((60, 600, 3), 255, np.uint8)
        pen.draw(canvas, 20, 40, "Scratch (97.3 %)", style)
        columns = np.nonzero((canvas < 128).any(axis=(0, 2)))[0]
        assert 15 <= columns.min() <= 26
        assert columns.max() <= 20 + pen.width("Scratch (97.3 %)", style) + 1
        inks.append((255 - canvas.astype(int)).sum())
    assert inks[1] > inks[0]


def test_brackets_in_bold_hold_the_word() -> None:
    """Bold brackets are much narrower than a letter, in whatever font the title then is."""
    pen, style = lettering(), Style(24, (0, 0, 0), bold=True)
    assert pen.width("(" * 10, style) < 0.7 * pen.width("n" * 10, style)


def test_wrapped_lines_fit(pen: Any) -> None:
    """No line is wider than asked, nothing is lost, and a flood ends with three dots."""
    text = "The two halves disagree; " + "x" * 200 + " take more samples."
    lines = wrap(text, 300, Style(18, (0, 0, 0), lines=99), pen)
    assert all(pen.width(line, INK) <= 300 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("word " * 500, 300, Style(18, (0, 0, 0), lines=2), pen)[1].endswith("...")


def test_hostile_text_is_one_plain_line(pen: Any) -> None:
    """Line breaks, control characters and lone surrogates (which crash OpenCV) cannot reach the pen."""
    text, readable = printable("a\nb\x00c\u202ed\udcff\u2028e", pen)
    assert text == "a b cd? e"
    assert readable


def test_drawing_survives_any_letters() -> None:
    """OpenCV's text drawing, fed with random letters through our filter, does not end the program."""
    script = (
        "import random, numpy as np\n"
        "from gagrad_runtime.report.lettering import Style, lettering, printable\n"
        "pen, chance = lettering(), random.Random(1)\n"
        "canvas = np.zeros((80, 400, 3), np.uint8)\n"
        "for _ in range(400):\n"
        "    text = ''.join(map(chr, (chance.randrange(0x110000) for _ in range(8))))\n"
        "    pen.draw(canvas, 10, 50, printable(text, pen)[0], Style(20, (255, 255, 255), bold=True))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
