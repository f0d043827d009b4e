"""Clusters and their proof: planted shortcuts are found by what covering and pasting do to the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")
pytest.importorskip("sklearn", reason="clusters need the extra audit")

from gagrad_edge.errors import InputError
from gagrad_runtime.audit.clustering import Rectangle, clustered, elsewhere, in_words, place_of, rectangles
from gagrad_runtime.audit.clusters_page import sentences, write_clusters
from gagrad_runtime.audit.decisions import Findings
from gagrad_runtime.audit.intervention import Part, Rate, pixels
from gagrad_runtime.audit.reading import finished
from gagrad_runtime.audit.shortcuts import find
from gagrad_runtime.frame.placement import Placement, place
from tests.models import build_spec
from tests.runtime.audit.history import write_history

SIDE = 64
SPEC = build_spec(SIDE, SIDE)
PLACEMENT = place((SIDE, SIDE), SPEC)


class Plant:
    """Parts with a dark dent somewhere, and a model that knows what it was taught.

    With the shortcut ``sticker`` every second NG part has a bright square in the upper right corner and no
    dent that the model sees, with ``border`` a bright border. The model says NG where it finds a dent or the
    shortcut; its map shows what it found, and it is right.
    """

    def __init__(self, shortcut: str, seed: int = 0, parts: int = 240) -> None:
        self.shortcut, rng = shortcut, np.random.default_rng(seed)
        self.mask = np.zeros((SIDE, SIDE), bool)
        if shortcut == "sticker":
            self.mask[4:12, 50:60] = True
        if shortcut == "border":
            self.mask[:] = True
            self.mask[4:-4, 4:-4] = False
        self.images: dict[str, np.ndarray] = {}
        self.rows: list[dict[str, Any]] = []
        for number in range(parts):
            image = rng.normal(0.5, 0.02, (3, SIDE, SIDE)).astype(np.float32)
            kind = number % 4
            cells = np.zeros((16, 16))
            if kind == 1 and shortcut:
                image[:, self.mask] = 0.9
                cells = self.mask.reshape(16, 4, 16, 4).mean(axis=(1, 3))
            elif kind in (1, 3):
                top, left = rng.integers(8, SIDE - 16, 2)
                image[:, top : top + 7, left : left + 7] = 0.05
                cells[top // 4 : top // 4 + 2, left // 4 : left // 4 + 2] = 1
            name = f"{number}.png"
            self.images[name] = np.clip(image, 0, 1)
            cells = np.clip(cells * 200 + rng.uniform(0, 12, (16, 16)), 0, 255)
            ng = kind in (1, 3)
            row = {"path": name, "verdict": "NG" if ng else "OK", "ng": ng}
            self.rows.append(
                {**row, **({"explained": "ng", "map": cells.astype(np.uint8).tobytes()} if ng else {})}
            )

    def part(self, path: str) -> Part:
        """Return the part of that name."""
        image = self.images[Path(path).name]
        return Part(image, PLACEMENT, self.verdict(image, PLACEMENT))

    def verdict(self, image: np.ndarray, placement: Placement) -> str:  # noqa: ARG002 - as the protocol has it
        """Say NG where there is a dent, or the shortcut."""
        grey = image.mean(axis=0)
        shortcut = bool(self.shortcut) and float((grey[self.mask] > 0.75).mean()) > 0.4
        return "NG" if shortcut or int((grey < 0.2).sum()) > 12 else "OK"


def findings(folder: Path, plant: Plant) -> Findings:
    write_history(folder, plant.rows)
    return find(folder, finished(folder), plant, SPEC, asked=25)[0]


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", ["sticker", pytest.param("border", marks=pytest.mark.long)])
def test_a_planted_shortcut_comes_first(tmp_path: Path, shortcut: str) -> None:
    """Covering its place turns its parts good, pasting it turns good ones NG, and elsewhere neither does."""
    found = findings(tmp_path / "audit", Plant(shortcut))
    first = found.clusters[0]
    assert first.proven
    assert first.finding
    assert sum(one.finding for one in found.clusters) == 1
    assert first.where == {"sticker": "the upper right", "border": "the border"}[shortcut]
    assert first.images == pytest.approx(60, abs=3)
    assert first.covered.share > 0.9
    assert first.pasted.share > 0.9
    assert first.pasted_elsewhere.share < 0.1
    assert first.becomes == "OK"
    text = " ".join(sentences(first))
    assert text.startswith(f"Covering {first.where} turns 100 % (87 % to 100 %) of 25 of these 'NG'")
    page = write_clusters(tmp_path / "audit", finished(tmp_path / "audit"), found).read_text()
    assert "60 images, finding" in page
    assert "$" not in page


@pytest.mark.slow
def test_dents_here_and_there_are_no_finding(tmp_path: Path) -> None:
    """Each dent decides where it lies, but no place has more of them than its share."""
    found = findings(tmp_path / "audit", Plant(""))
    assert len(found.clusters) >= 3
    assert not any(one.finding for one in found.clusters)


@pytest.mark.long
@pytest.mark.parametrize("shortcut", ["sticker", "border", ""])
def test_five_plants_of_each_kind(tmp_path: Path, shortcut: str) -> None:
    """In four of five plants with a shortcut it comes first; in four of five without there is no finding."""
    right = 0
    for seed in range(5):
        found = findings(tmp_path / str(seed), Plant(shortcut, seed)).clusters
        where = {"sticker": "the upper right", "border": "the border", "": ""}[shortcut]
        right += (
            found[0].where == where and found[0].finding if shortcut else not any(c.finding for c in found)
        )
    assert right >= 4


@pytest.mark.slow
def test_never_two_clusters() -> None:
    """Maps of two kinds are cut into more: one of two planted kinds was missed between two clusters."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0, 1, (200, 16, 16)).astype(np.float32)
    shares[:100, 2, 2] += 60
    shares[100:, 12, 12] += 60
    labels = clustered(shares / shares.sum(axis=(1, 2), keepdims=True))
    assert labels.max() + 1 >= 3
    counts = np.bincount(labels[labels >= 0])
    assert (np.diff(counts) <= 0).all()
    with pytest.raises(InputError, match="clusters need 30"):
        clustered(shares[:20])


def test_places_become_rectangles() -> None:
    """A border becomes four strips; what is compared with it lies off it, where the maps are lowest."""
    border = np.zeros((16, 16), bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    found = rectangles(border)
    assert len(found) == 4
    assert sum((one.bottom - one.top) * (one.right - one.left) for one in found) == border.sum()
    mean = np.full((16, 16), 0.1, np.float32)
    mean[1:4, 12:15] = 1
    place = rectangles(place_of(mean))
    assert place == [Rectangle(1, 12, 4, 15)]
    mean[8:, :] = 0.01
    (other,) = elsewhere(mean, place)
    assert other.top >= 8
    assert (other.bottom - other.top, other.right - other.left) == (3, 3)
    middle = np.zeros((16, 16), bool)
    middle[7:9, 7:9] = True
    assert [in_words(one) for one in (border, place_of(mean), middle)] == [
        "the border", "the upper right", "the middle",
    ]  # fmt: skip


def test_cells_are_pixels_of_what_the_model_sees() -> None:
    """On a letterboxed frame the padding holds no cells."""
    placement = place((32, 64), build_spec(SIDE, SIDE, resize="letterbox"))
    rows, _ = placement.on_model
    (cover,) = pixels([Rectangle(0, 0, 16, 16)], placement)
    assert (cover.top, cover.bottom) == (rows.start, rows.stop)
    assert (cover.left, cover.right) == (0, SIDE)


def test_rates_have_intervals() -> None:
    """Wilson's: as in the tables, also for none and for all; nothing asked is nothing known."""
    assert Rate(87, 100).interval == pytest.approx((0.790, 0.922), abs=0.001)
    assert Rate(0, 10).interval == pytest.approx((0.0, 0.278), abs=0.001)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(18, 20).above(Rate(2, 20))
    assert not Rate(18, 20).above(Rate(0, 0))
