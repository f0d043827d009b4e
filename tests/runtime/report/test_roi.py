"""The region of interest: how it is read, where it lies on a frame, and what is said of a map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import RoiError, SettingError
from gagrad_runtime.report.picture import render
from gagrad_runtime.report.record import record_of
from gagrad_runtime.report.roi import Roi, filled, read_roi, roi_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]


def square(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def test_a_polygon_is_the_pixels_whose_centres_it_holds() -> None:
    """Exact on whole pixels, no outline added; half a pixel decides; what lies beside the frame is cut."""
    mask = filled((square(2, 1, 5, 3),), (6, 8))
    assert mask.sum() == 6
    assert mask[1:3, 2:5].all()
    assert filled((square(2.4, 1, 5.6, 3),), (6, 8)).sum() == 2 * 4
    assert filled((square(2.6, 1, 5.4, 3),), (6, 8)).sum() == 2 * 2
    assert filled((square(-50, -50, 3, 2),), (6, 8)).sum() == 6
    assert not filled((square(20, 20, 30, 30),), (6, 8)).any()


def test_polygons_unite_and_a_concave_one_keeps_its_notch() -> None:
    """Two that overlap are no hole, and the area of a triangle is right to a pixel's width."""
    assert filled((square(0, 0, 4, 4), square(2, 2, 6, 6)), (8, 8)).sum() == 16 + 16 - 4
    notched = np.array([(0, 0), (9, 0), (9, 9), (6, 9), (6, 3), (3, 3), (3, 9), (0, 9)], float)
    mask = filled((notched,), (9, 9))
    assert mask.sum() == 81 - 18
    assert not mask[3:, 3:6].any()
    triangle = filled((np.array([(0, 0), (100, 0), (0, 100)], float),), (100, 100))
    assert abs(int(triangle.sum()) - 5000) <= 100


def test_shares_of_a_map_counted_by_hand(make_explanation: Builder) -> None:
    """Mass 4 inside, 2 ignored, 2 elsewhere: the share that counts is 4 of 6."""
    saliency = np.zeros((8, 8), np.float32)
    saliency[0, :4], saliency[4, :2], saliency[7, 6:] = 1, 1, 1
    explanation = make_explanation(frame=np.zeros((8, 8), np.uint8), saliency=saliency)
    roi = Roi("r", inside=(square(0, 0, 8, 5),), ignore=(square(0, 4, 8, 5),))
    found = roi_result(explanation, roi, 0.66)
    assert (found.inside, found.ignored, found.elsewhere) == (0.5, 0.25, 0.25)
    assert found.share == pytest.approx(2 / 3)
    assert found.passed
    assert roi_result(explanation, roi, 0.67).passed is False
    assert roi_result(explanation, roi).passed is None


@pytest.mark.parametrize("value", [0, 1])
def test_a_map_that_says_nothing_does_not_pass(make_explanation: Builder, value: int) -> None:
    """Otherwise a dead model would pass every region that is large enough."""
    explanation = make_explanation(saliency=np.full((8, 8), value, np.float32))
    found = roi_result(explanation, Roi("r", inside=(square(0, 0, 160, 120),)), 0.5)
    assert found.passed is False


def test_nothing_outside_ignore_zones_does_not_pass(make_explanation: Builder) -> None:
    """A map that lies in ignore zones only does not pass the region's limit."""
    saliency = np.zeros((8, 8), np.float32)
    saliency[0, 0] = 1
    explanation = make_explanation(frame=np.zeros((8, 8), np.uint8), saliency=saliency)
    roi = Roi("r", inside=(square(4, 4, 8, 8),), ignore=(square(0, 0, 2, 2),))
    assert roi_result(explanation, roi, 0.01).passed is False


@pytest.mark.parametrize("limit", [0, -1, 1.5, float("nan")])
def test_a_limit_is_a_share(make_explanation: Builder, limit: float) -> None:
    """A limit outside 0..1 raises SettingError."""
    with pytest.raises(SettingError, match=r"^roi_limit: .* out of range"):
        roi_result(make_explanation(), Roi("r", inside=(square(0, 0, 9, 9),)), limit)


def test_the_three_forms_say_the_same(tmp_path: Path) -> None:
    """A mask, our JSON and labelme's, with an ignore zone where the form has one."""
    pixels = np.zeros((12, 16), np.uint8)
    pixels[2:8, 3:9] = 7
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    box = [[3, 2], [9, 2], [9, 8], [3, 8]]
    (tmp_path / "ours.json").write_text(json.dumps({"inside": [box], "ignore": [[[0, 0], [5, 0], [5, 5]]]}))
    shapes: list[dict[str, Any]] = [
        {"label": "hole", "points": [[9, 8], [3, 2]], "shape_type": "rectangle", "flags": {}},
        {"label": "Ignore", "points": [[0, 0], [5, 0], [5, 5]], "shape_type": "polygon", "group_id": None},
    ]
    labelme = {"version": "5.4", "shapes": shapes, "imageHeight": 12, "imageWidth": 16, "imageData": None}
    (tmp_path / "labelme.json").write_text(json.dumps(labelme))
    mask, ours, theirs = (
        read_roi(tmp_path / name).on((12, 16)) for name in ("mask.png", "ours.json", "labelme.json")
    )
    assert (mask.inside == (pixels > 0)).all()
    assert (ours.inside == theirs.inside).all()
    assert (ours.ignore == theirs.ignore).all()
    assert ours.ignore.any()
    assert (ours.inside == mask.inside & ~ours.ignore).all()


BAD = {
    "text": ("no json", "no region"),
    "other": ('{"outside": []}', "outside"),
    "no-inside": ('{"ignore": []}', "inside"),
    "line": ('{"inside": [[[0, 0], [1, 1]]]}', "2 points"),
    "circle": ('{"shapes": [{"label": "a", "shape_type": "circle", "points": [[0, 0], [3, 3]]}]}', "circle"),
    "latin": ('{"inside": "\u00e9"}', "no region"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_said(tmp_path: Path, kind: str) -> None:
    """A region file that is no valid region raises RoiError with its fault."""
    text, words = BAD[kind]
    (tmp_path / "roi.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RoiError, match=words):
        read_roi(tmp_path / "roi.json")


def test_files_that_are_not_there_or_empty(tmp_path: Path) -> None:
    """A region file that is missing, or a mask without a pixel, raises RoiError."""
    with pytest.raises(RoiError, match="cannot be read"):
        read_roi(tmp_path / "gone.json")
    with pytest.raises(RoiError, match="no such file"):
        read_roi(tmp_path / "gone.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(RoiError, match="0 everywhere"):
        read_roi(tmp_path / "black.png")


def test_another_size_or_nothing_on_the_frame() -> None:
    """A mask of another size, and a region off the frame, raise RoiError."""
    with pytest.raises(RoiError, match="for frames 6 high and 8 wide, and this one is 6 high and 9 wide"):
        Roi("r", mask=np.ones((6, 8), bool), frame_size=(6, 8)).on((6, 9))
    with pytest.raises(RoiError, match="nothing of the region"):
        Roi("r", inside=(square(50, 50, 60, 60),)).on((40, 40))
    with pytest.raises(RoiError, match="nothing of the region"):
        Roi("r", inside=(square(5, 5, 9, 9),), ignore=(square(0, 0, 40, 40),)).on((40, 40))


def test_it_is_in_the_record_and_on_the_picture(make_explanation: Builder) -> None:
    """The outline is cyan, which the map's colours never are; the verdict has a strip of its own."""
    explanation = make_explanation()
    roi = Roi("zone.json", inside=(square(20, 20, 90, 70),), ignore=(square(100, 80, 130, 110),))
    judged = [roi_result(explanation, roi, limit) for limit in (0.01, 0.99)]
    made = record_of(explanation, roi=judged[0]).roi
    assert made is not None
    assert (made.file, made.limit, made.passed) == ("zone.json", 0.01, True)
    assert made.inside + made.ignored + made.elsewhere == pytest.approx(1, abs=3e-6)
    plain, good, bad = (render(explanation, roi=one) for one in (None, *judged))
    cyan = [np.all(picture == (90, 220, 255), axis=2).sum() for picture in (plain, good, bad)]
    assert cyan[0] == 0
    assert min(cyan[1:]) > 500
    assert good.shape[0] > plain.shape[0] + 50
    assert (good != bad).any()
