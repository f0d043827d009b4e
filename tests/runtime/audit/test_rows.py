"""Rows: what is measured of an image, and why one is explained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import SettingError
from gagrad_runtime.audit.forecast import duration, in_words, seconds_of, within
from gagrad_runtime.audit.observing import Answer, _of_input
from gagrad_runtime.audit.plan import Asked
from gagrad_runtime.audit.quality import quality, shares, unpacked
from gagrad_runtime.audit.rows import why
from gagrad_runtime.audit.trial import Trial
from gagrad_runtime.explanation.explanation import Explanation
from gagrad_runtime.explanation.input_cautions import constant_image, dark_image
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from tests.models import build_spec

ASKED = Asked(bundle="b", sha256="0" * 64)
TRIAL = Trial(
    images=100,
    broken=0,
    marked=10,
    look_seconds=0.01,
    explain_seconds=0.4,
    row_bytes=200,
    explained_bytes=500,
)


def bits(first: int, second: int) -> int:
    return (first ^ second).bit_count()


def test_quality_sees_light_contrast_and_focus(part: np.ndarray) -> None:
    """A darker, a flatter and a blurred frame have less of it; other sizes and depths the same."""
    import cv2

    plain = quality(load_frame(part))
    assert quality(load_frame(part // 2)).brightness == pytest.approx(plain.brightness / 2, abs=0.01)
    assert quality(load_frame(part // 4 + 96)).contrast < plain.contrast / 3
    assert quality(load_frame(cv2.GaussianBlur(part, (0, 0), 2))).sharpness < plain.sharpness / 2
    deep = quality(load_frame(part.astype(np.uint16) * 257))
    assert deep[:3] == pytest.approx(plain[:3], abs=5e-4)  # 8 bits are rounded


def test_alike_images_have_alike_hashes(part: np.ndarray, rng: np.random.Generator) -> None:
    """Noise, light and size change few of 64 bits; another picture changes many."""
    plain = quality(load_frame(part)).phash
    noisy = np.clip(part + rng.normal(0, 4, part.shape), 0, 255).astype(np.uint8)
    small = np.asarray(Image.fromarray(part).resize((120, 90)))
    for other in (noisy, part // 2 + 20, small):
        assert bits(plain, quality(load_frame(other)).phash) <= 4
    assert bits(plain, quality(load_frame(part[::-1].copy())).phash) > 12


def test_a_map_comes_back_as_shares(make_explanation: Callable[..., Explanation]) -> None:
    """256 bytes hold where the map is, to within a 255th of its highest cell; a flat zero stays zero."""
    saliency = np.zeros((64, 48), np.float32)
    saliency[4:8, 3:6] = 1.0  # the cell in row 1, column 1
    saliency[60:64, 45:48] = 0.5
    found = unpacked([shares(make_explanation(saliency=saliency)), bytes(256)])
    assert found[0, 1, 1] == pytest.approx(2 / 3, abs=0.01)
    assert found[0, 15, 15] == pytest.approx(1 / 3, abs=0.01)
    assert found[1].sum() == 0


@pytest.mark.parametrize(
    ("ng", "cautions", "reason"),
    [
        (True, ("unsure",), "ng"),
        (False, ("dark-image", "unsure"), "unsure"),
        (None, ("dark-image",), "caution"),
        (False, (), ""),
    ],
)
def test_what_is_marked_is_explained(ng: bool | None, cautions: tuple[str, ...], reason: str) -> None:
    """NG before unsure before any caution; what nothing marks is not, but by chance."""
    answer = Answer("x", ng, 0.9, 0.8, None, cautions)
    assert why(answer, "0" * 8 + "00000001" + "0" * 48, ASKED) == reason


def test_chance_goes_by_the_pixels() -> None:
    """About one in so many of the rest, and the share of the marked that a budget leaves."""
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(32).hex() for _ in range(5000)]
    rest, marked = (Answer("x", ng, 0.9, 0.8, None, ()) for ng in (False, True))
    asked = Asked(bundle="b", sha256="0" * 64, one_in=50, share=0.3)
    assert sum(why(rest, one, asked) == "sample" for one in hashes) == pytest.approx(100, abs=35)
    assert sum(why(marked, one, asked) == "ng" for one in hashes) == pytest.approx(1500, abs=120)
    assert not any(why(rest, one, Asked(bundle="b", sha256="0" * 64, one_in=0)) for one in hashes)


def test_a_budget_lowers_the_share_that_is_explained() -> None:
    """The forecast then meets the budget; answers alone that take longer are refused."""
    hours = duration(TRIAL, ASKED, 1_000_000, 2)
    asked = within(hours / 2, TRIAL, ASKED, 1_000_000, 2)
    assert 0 < asked.share < 1
    assert duration(TRIAL, asked, 1_000_000, 2) == pytest.approx(hours / 2, rel=0.01)
    assert within(2 * hours, TRIAL, ASKED, 1_000_000, 2) == ASKED
    with pytest.raises(SettingError, match="the answers alone"):
        within(600, TRIAL, ASKED, 1_000_000, 2)


def test_times_are_read_and_written() -> None:
    """A budget in minutes, hours or days; anything else is refused."""
    assert [seconds_of(text) for text in ("90m", "8h", "1.5d", "30 s")] == [5400, 28800, 129600, 30]
    assert [in_words(one) for one in (0.2, 50, 3000, 13_200, 190_800)] == [
        "1 s", "50 s", "50 min", "3 h 40 min", "2 d 5 h",
    ]  # fmt: skip
    for text in ("8", "h", "-1h", "0h"):
        with pytest.raises(SettingError, match="is no time"):
            seconds_of(text)


@pytest.mark.parametrize("kind", ["plain", "dark", "spot", "flat", "noisy", "grey", "black"])
def test_the_short_way_says_what_the_long_one_does(kind: str, rng: np.random.Generator) -> None:
    """Whether an image is dark or empty is the same as by its quantiles, wherever few bright pixels lie."""
    spec = build_spec(64, 64)
    pixels = {
        "plain": rng.integers(0, 256, (64, 64, 3)),
        "dark": rng.integers(0, 20, (64, 64, 3)),
        "spot": np.zeros((64, 64, 3), int),
        "flat": rng.integers(100, 105, (64, 64, 3)),
        "noisy": rng.integers(100, 112, (64, 64, 3)),
        "grey": np.full((64, 64, 3), 128),
        "black": np.zeros((64, 64, 3), int),
    }[kind].astype(np.uint8)
    if kind == "spot":
        pixels[0, :8] = 255  # in a row that is looked at: 0.2 % of the image
    frame = load_frame(pixels)
    image, placement = prepare(frame, spec)
    long = constant_image(frame, image, placement) + dark_image(image, placement)
    assert _of_input(frame, image[0], placement, spec) == [one.code for one in long]
    expected = {"dark": ["dark-image"], "grey": ["constant-image"], "black": ["constant-image", "dark-image"]}
    assert [one.code for one in long] == expected.get(kind, [one.code for one in long])
