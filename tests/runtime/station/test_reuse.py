"""An explanation that is used again: only while frames show the same, and never over a new defect."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from msgspec import UNSET

from gagrad_edge.errors import SettingError
from gagrad_runtime.station.config import RetentionTable, read_config
from gagrad_runtime.station.events import encode
from gagrad_runtime.station.explaining import Explaining
from gagrad_runtime.station.keeping import FRAME
from gagrad_runtime.station.reuse import Answer, changed, same
from gagrad_runtime.station.store import Store, stem_of
from tests.runtime.station.images import put
from tests.runtime.station.test_findings import FOUND, explained

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 224
SMALL = round(0.0005 * SIDE * SIDE)
"""Pixels of a defect of 0.05 % of the area."""
LEVEL = 1 / 255
SAID = Answer("dent", 0.9, ("dent",), True, "dent > 0.5", (0.9, 0.4), None)


def part(generator: np.random.Generator) -> NDArray[np.float32]:
    """Return an image [1, 3, H, W] in 0..1 with a texture, from dark to bright."""
    rough = cv2.GaussianBlur(generator.standard_normal((SIDE, SIDE, 3)).astype(np.float32), (0, 0), 4)
    image = (rough - rough.min()) / (rough.max() - rough.min())
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def taken(image: NDArray[np.float32], generator: np.random.Generator, noise: float) -> NDArray[np.float32]:
    """Return ``image`` as a camera with ``noise`` grey levels gives it, in 256 levels."""
    noisy = image + noise * LEVEL * generator.standard_normal(image.shape)
    levels: NDArray[np.float32] = np.rint(noisy.clip(0, 1) * 255).astype(np.float32)
    levels /= 255
    return levels


@pytest.mark.parametrize("noise", [0, 0.5, 1, 1.5])
def test_noise_is_no_change(noise: float) -> None:
    """Two frames of one scene are the same, at the noise of a good camera and without any."""
    generator = np.random.default_rng(0)
    for _ in range(10):
        scene = part(generator)
        assert not changed(taken(scene, generator, noise), taken(scene, generator, noise))


@pytest.mark.parametrize("kind", ["scratch", "slanted", "mark"])
@pytest.mark.parametrize("noise", [0, 1, 2])
def test_a_defect_of_a_two_thousandth_of_the_area_is_a_change(kind: str, noise: float) -> None:
    """Wherever it is, brighter or darker, in one colour only: a scratch one pixel wide, or a mark."""
    generator = np.random.default_rng(1)
    for number in range(40):
        scene = part(generator) * np.float32(0.6) + np.float32(0.2)
        defect = scene.copy()
        x, y = (int(value) for value in generator.integers(0, SIDE - SMALL, 2))
        contrast = np.float32(0.6 * 0.1 * (1 if number % 2 else -1))
        along = np.arange(SMALL)
        if kind == "scratch":
            defect[0, number % 3, y, x : x + SMALL] += contrast
        elif kind == "slanted":
            defect[0, number % 3, y + (0.4 * along).astype(int), x + (0.9 * along).astype(int)] += contrast
        else:
            defect[0, number % 3, y : y + 5, x : x + 5] += contrast
        assert changed(taken(scene, generator, noise), taken(defect, generator, noise)), number


def test_what_grows_slowly_is_compared_with_what_was_explained() -> None:
    """A light that fades and a part that moves by one pixel are changes; a dark image has a small range."""
    generator = np.random.default_rng(2)
    scene = part(generator)
    assert changed(scene, scene * np.float32(0.98))
    assert changed(scene, np.roll(scene, 1, axis=3))
    dark = scene * np.float32(0.1)
    assert changed(dark, taken(dark, generator, 2))
    assert changed(scene, scene[:, :, :-1])
    assert not changed(scene, scene)


@pytest.mark.parametrize(
    ("field", "value", "alike"),
    [
        ("probability", 0.91, True),
        ("shares", (0.91, 0.39), True),
        ("shares", (0.87, 0.4), False),
        ("shares", (0.9,), False),
        ("found", ("dent", "dent"), False),
        ("found", ("scratch",), False),
        ("ng", False, False),
        ("condition", "dent > 0.3", False),
        ("value", 1.0, False),
    ],
)
def test_the_same_answer(field: str, value: Any, alike: bool) -> None:
    """Classes, number of detections and condition are the same; probabilities and shares to 0.02."""
    assert same(SAID, SAID._replace(**{field: value})) is alike


@pytest.mark.parametrize(("value", "alike"), [(10.1, True), (10.3, False), (-10.0, False)])
def test_the_same_value(value: float, alike: bool) -> None:
    """A score or a value may differ by 2 % of itself."""
    assert same(SAID._replace(value=10.0), SAID._replace(value=value)) is alike


def test_a_static_scene_is_explained_once(station: Any, tmp_path: Path) -> None:
    """Rows and events of the later frames name the first one's explanation; the model explains once."""
    for name in ("a.png", "b.png", "c.png"):
        put(tmp_path / "in", name)
    one = station(explaining=Explaining({"cover": False}, reuse=60))
    refine, asked = one.explainer.refine, []

    def counted(frame: Any, **settings: Any) -> Any:
        asked.append(frame.name)
        return refine(frame, **settings)

    one.explainer.refine = counted
    one.run(once=True)
    assert asked == ["a.png"]
    first, *others = [event for event in station.events if event.kind == "explained"]
    assert first.reused_from is UNSET
    for event, name in zip(others, ("b.png", "c.png"), strict=True):
        assert (event.file, event.reused_from, event.record) == (name, first.id, first.record)
        assert (event.places, event.target, event.verdict) == (first.places, first.target, first.verdict)
    rows = one.store.rows("explained")
    assert [row.finding.reused_from for row in rows] == [None, first.id, first.id]
    assert [row.finding.places for row in rows] == [rows[0].finding.places] * 3
    assert [bool(row.stem) for row in rows] == [True, False, False]
    assert one.store.kept == 1


@pytest.mark.slow
def test_without_the_key_every_frame_is_explained(station: Any, tmp_path: Path) -> None:
    """It is off by default: the same frame under another name has an explanation of its own."""
    for name in ("a.png", "b.png"):
        put(tmp_path / "in", name)
    one = station(explaining=Explaining({"cover": False}))
    one.run(once=True)
    assert [event.reused_from for event in station.events if event.kind == "explained"] == [UNSET] * 2
    assert one.store.kept == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["late", "other image", "files removed", "other answer"])
def test_when_it_is_explained_anew(station: Any, tmp_path: Path, how: str) -> None:
    """After ``reuse`` seconds, for another image or answer, and where the files were removed to make room."""
    put(tmp_path / "in", "a.png")
    one = station(explaining=Explaining({"cover": False}, reuse=60))
    one.run(once=True)
    last = one._backlog._explained
    if how == "late":
        one._backlog._explained = last._replace(at=last.at - 61)
    elif how == "files removed":
        (tmp_path / "out" / last.event.picture).unlink()
    elif how == "other answer":
        one._backlog._explained = last._replace(answer=last.answer._replace(found=("nothing of this model",)))
    put(tmp_path / "in", "b.png", 1 if how == "other image" else 0)
    one.run(once=True)
    assert station.events[-1].kind == "explained"
    assert station.events[-1].reused_from is UNSET
    assert one._backlog._explained.event.file == "b.png"


@pytest.mark.slow
def test_retention_counts_explanations_with_files(station: Any, tmp_path: Path) -> None:
    """Rows without files neither push out explanations nor are removed in place of them."""
    for number in range(3):
        put(tmp_path / "in", f"{number}.png")
    put(tmp_path / "in", "3.png", 1)
    one = station(explaining=Explaining({"cover": False}, reuse=60), retention=RetentionTable(keep=1))
    one.run(once=True)
    rows = one.store.rows()
    assert [row.state for row in rows] == ["dropped", "explained", "explained", "explained"]
    assert one.store.kept == 1
    assert len(list((tmp_path / "out").glob("*.explained.png"))) == 1
    one.store.delete_rows(1)
    assert (len(one.store.rows()), one.store.kept) == (1, 1)


def test_the_frame_of_a_stream_is_not_kept(tmp_path: Path) -> None:
    """Its file goes with its wait, as the scene is in the other row's picture; after a power cut, too."""
    with Store(tmp_path) as store:
        number = store.add("cam#2", "x", "", state="waiting")
        path = tmp_path / (stem_of(number, "cam#2") + FRAME)
        path.write_bytes(b"png")
        store.finish(number, "explained", event=explained(number, **FOUND, reused_from=1))
        assert not path.exists()
        path.write_bytes(b"png")
    with Store(tmp_path) as store:
        assert store.removed == 1
        (row,) = store.rows()
        assert row.finding is not None
        assert row.finding.reused_from == 1


def test_an_index_of_an_earlier_version_is_brought_up(tmp_path: Path) -> None:
    """Its findings have no such column; they are read, and new ones are written."""
    with Store(tmp_path) as store:
        store.finish(store.add("a", "a", "", state="waiting"), "explained", event=explained(1, **FOUND))
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("ALTER TABLE finding DROP COLUMN reused_from")
    connection.close()
    with Store(tmp_path) as store:
        (row,) = store.rows()
        assert row.finding is not None
        assert row.finding.reused_from is None


def test_the_events_json_has_the_number() -> None:
    """Receivers get ``reused_from`` as a number, and no key for an explanation of its own."""
    own, again = (explained(1, **FOUND), explained(2, **FOUND, reused_from=1))
    assert "reused_from" not in json.loads(encode(own))
    assert json.loads(encode(again))["reused_from"] == 1


@pytest.mark.parametrize("value", ["0.0", "601.0", "-1", '"yes"'])
def test_a_wrong_limit_names_its_line(tmp_path: Path, value: str) -> None:
    """The longest time is from above 0 to 600 seconds."""
    path = tmp_path / "station.toml"
    path.write_text(f'bundle = "a.gagrad"\n[explain]\ncover = true\nreuse = {value}\n')
    with pytest.raises(SettingError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}:4: explain.reuse: expected `float")
    path.write_text("[explain]\nreuse = 60\n")
    assert read_config(path).explain.reuse == 60
