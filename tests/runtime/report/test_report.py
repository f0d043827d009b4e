"""The files that an explanation leaves behind."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gagrad_edge.errors import OutputError, SettingError
from gagrad_runtime.report import report as report_module
from gagrad_runtime.report.naming import safe_stem
from gagrad_runtime.report.report import Report, sixteen_bit_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]


def test_all_kinds_are_written_and_readable(tmp_path: Path, make_explanation: Builder) -> None:
    """Overlay, record and both raw maps are where the answer says, in a folder that did not exist."""
    explanation = make_explanation()
    paths = explanation.save(tmp_path / "a" / "b", stem="part", raw=("png", "npy"))
    assert {kind: path.name for kind, path in paths.items()} == {
        "picture": "part.explained.png",
        "png": "part.saliency.png",
        "npy": "part.saliency.npy",
        "record": "part.json",
    }
    assert set((tmp_path / "a" / "b").iterdir()) == set(paths.values())
    assert Image.open(paths["picture"]).mode == "RGB"
    np.testing.assert_array_equal(np.load(paths["npy"]), explanation.saliency)
    sixteen = cv2.imread(str(paths["png"]), cv2.IMREAD_UNCHANGED)
    assert sixteen is not None
    assert sixteen.dtype == np.uint16
    np.testing.assert_allclose(sixteen / 65535, explanation.saliency, atol=1e-5)
    written = json.loads(paths["record"].read_text(encoding="utf-8"))
    assert written["files"] == {kind: path.name for kind, path in paths.items()}


def test_the_picture_file_has_the_pictures_colours(tmp_path: Path, make_explanation: Builder) -> None:
    """RGB stays RGB through the encoder."""
    frame = np.full((20, 30, 3), (200, 30, 10), np.uint8)
    picture = np.asarray(Image.open(make_explanation(frame=frame).save(tmp_path)["picture"]))
    assert np.all(picture == (200, 30, 10), axis=2).sum() > 10000


def test_the_pictures_bytes_are_its_pixels(make_explanation: Builder) -> None:
    """The PNG holds what ``picture`` returns."""
    report = Report(make_explanation())
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(report.png()))), report.picture())


def test_raw_maps_are_written_on_request_only(tmp_path: Path, make_explanation: Builder) -> None:
    """No raw kind, no raw file; an unknown one is a usage error that lists the kinds."""
    assert set(Report(make_explanation()).save(tmp_path, raw=())) == {"picture", "record"}
    with pytest.raises(SettingError, match="'tiff'") as caught:
        Report(make_explanation()).save(tmp_path / "new", raw=("png", "tiff"))
    assert caught.value.choices == ("png", "npy")
    assert not (tmp_path / "new").exists()


def test_the_same_explanation_gives_the_same_bytes(tmp_path: Path, make_explanation: Builder) -> None:
    """No time stamp gets into a picture or a map."""
    first = make_explanation().save(tmp_path / "1", raw=("png", "npy"))
    second = make_explanation().save(tmp_path / "2", raw=("png", "npy"))
    for kind in ("picture", "png", "npy"):
        assert first[kind].read_bytes() == second[kind].read_bytes(), kind


def test_nothing_is_written_when_encoding_fails(
    tmp_path: Path, make_explanation: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes exist before the first file does."""

    def fail(*_: object, **__: object) -> bytes:
        raise OutputError("broken")

    monkeypatch.setattr(report_module, "encode", fail)
    with pytest.raises(OutputError):
        make_explanation().save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_where_nothing_can_be_written(tmp_path: Path, make_explanation: Builder) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file stands where a folder is needed"):
        make_explanation().save(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("part_01.png", "part_01"),
        ("part.01.png", "part.01"),
        ("../../etc/passwd", "passwd"),
        ("a\\b.png", "b"),
        (".hidden.png", "hidden"),
        ("キズ 3.jpg", "キズ 3"),
        ("a:b*c?.png", "a_b_c_"),
        ("...", "frame"),
        ("", "frame"),
        ("array", "array"),
    ],
)
def test_file_names_are_made_safe(name: str, stem: str) -> None:
    """No folders, no leading dot, no characters that a shell or Windows trips over; other scripts stay."""
    assert safe_stem(name, ending=True) == stem


@pytest.mark.slow
@given(st.text(max_size=400))
def test_any_text_gives_a_usable_stem(name: str) -> None:
    """A stem is never empty, hidden, in another folder or too long for a file system."""
    stem = safe_stem(name)
    assert stem
    assert not stem.startswith(".")
    assert "/" not in stem
    assert "\0" not in stem
    assert len(stem.encode()) <= 180


def test_a_map_with_wrong_values_is_black_there() -> None:
    """NaN and infinity become 0, and values are not wrapped around."""
    saliency = np.array([[np.nan, np.inf], [1.5, -1]], np.float32)
    assert sixteen_bit_map(saliency).tolist() == [[0, 0], [65535, 0]]
