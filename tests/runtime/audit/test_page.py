"""The report: what is planted is found, each number has images, and the page needs nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")

from gagrad_edge.errors import InputError
from gagrad_runtime.audit.distributions import distributions
from gagrad_runtime.audit.findings import (
    EVERYWHERE,
    cells,
    copies,
    history,
    mean_maps,
    reference_days,
    versus,
)
from gagrad_runtime.audit.page import write_report
from gagrad_runtime.audit.sides import sides
from gagrad_runtime.language import speaking
from tests.runtime.audit.history import parts, spot, write_history, write_pictures


@pytest.mark.slow
def test_planted_drift_is_named(tmp_path: Path) -> None:
    """Station b's NG rate of the last week is an alarm, with its interval and ten NG parts; a's is none."""
    folder = write_history(tmp_path / "audit", parts(np.random.default_rng(0), a_day=240, drift=True))
    past = history(folder)
    assert (past.span, reference_days(past)) == (35, 12)
    found = cells(past, 14)
    alarms = {(one.scope, one.quantity.name): one for one in found if one.alarm}
    assert ("b", "ng") in alarms
    assert not any(scope == "a" for scope, _ in alarms)
    cell = alarms["b", "ng"]
    assert f"{cell.week:%m-%d}" == "10-05"
    assert cell.comparison.low > 0.02
    assert len(cell.rows) == 10
    assert {past.values["ng"][row] for row in cell.rows} == {1.0}
    maps = mean_maps(folder, past, 28)
    assert maps is not None
    assert np.unravel_index((maps.after - maps.before).argmax(), (16, 16)) == (12, 12)


@pytest.mark.slow
def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    """Well-formed, nothing loaded from anywhere, foreign names escaped, pictures in it once each."""
    rows = parts(np.random.default_rng(1), days=21, a_day=30)
    for row, path in zip(rows, write_pictures(tmp_path / "images", 40), strict=False):
        row["path"] = path
    rows[5] |= {"error": "the file is <empty>", "ng": None, "explained": ""}
    page = write_report(write_history(tmp_path / "audit", rows)).read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "<0>.png" not in page
    assert "the file is &lt;empty&gt;: 1" in page
    assert "$" not in page
    rule = re.search(r"ul\.images i {[^}]*}", page)
    assert rule is not None
    assert "background:" not in rule[0], "the shorthand takes the pictures away"
    for name in re.findall(r'class="i(\d+)"', page):
        assert page.count(f".i{name} {{") == 1
    for scope in (EVERYWHERE, "a", "b"):
        assert f"<h3>{scope}</h3>" in page
    _Balanced().feed(page)


@pytest.mark.slow
def test_the_page_in_japanese(tmp_path: Path) -> None:
    """No English is left but the names of classes, stations and files; the font is in the page."""
    rows = parts(np.random.default_rng(1), days=21, a_day=30)
    for row in rows:
        row |= {"path": "0.png", "verdict": "0", "station": str("ab".index(row["station"]))}
    rows[3] |= {"sha256": "1", "phash": 0}
    rows[4] |= {"sha256": "1", "phash": 0}
    folder = write_history(tmp_path / "audit", rows)
    with speaking("ja"):
        page = write_report(folder, folder).read_text()
    assert '<html lang="ja">' in page
    assert "data:font/woff2" in page
    body = re.sub(r"<[^>]*>", " ", page.partition("<body>")[2])
    assert set(re.findall(r"[A-Za-z]+", body)) <= {"NG", "png"}
    assert "基準期間は最初の 7 日間" in body


def test_distributions(tmp_path: Path) -> None:
    """Shares of each range before and after, with images of the range; places that moved are outside 0."""
    rows = parts(np.random.default_rng(0), days=14, a_day=40)
    for number, row in enumerate(rows):
        late = number >= 280
        row |= {
            "station": "a",
            "probability": 0.75 if late and number % 4 == 0 else 0.97,
            "explained": "ng",
            "map": spot(15, 15) if late else spot(0, 0),
            "covered_before": 0.9,
            "covered": 0.1 if late else None,
        }
    found = distributions(history(write_history(tmp_path / "audit", rows)), 7)
    probability, place = found[EVERYWHERE]
    assert probability.before.tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert probability.after.tolist() == [0, 0, 0.25, 0, 0, 0.75, 0]
    assert len(probability.rows[2]) == 10
    assert {rows[row]["probability"] for row in probability.rows[2]} == {0.75}
    assert (place.before[0], place.after[15], place.low[15]) == (1, 1, 1)
    assert "lost" not in {one.kind.name for one in found[EVERYWHERE]}, "nothing was covered before"


def test_two_bundles_side_by_side(tmp_path: Path) -> None:
    """Numbers of equal images with both: by station, the interval by days, images that differ first."""
    old = parts(np.random.default_rng(0), days=14, a_day=20)
    new = [dict(row) for row in reversed(old)]
    for row in new:
        if row["station"] == "b":
            row["probability"] -= 0.1
    changed = sorted(number for number, row in enumerate(new) if row["station"] == "b")
    write_history(tmp_path / "old", old, sha256="1" * 64)
    found = sides(write_history(tmp_path / "new", new), tmp_path / "old")
    sure = {one.scope: one for one in found if one.quantity.name == "probability"}
    assert set(sure) == {EVERYWHERE, "a", "b"}
    assert [sure[scope].images for scope in (EVERYWHERE, "a", "b")] == [280, 140, 140]
    assert sure["b"].difference == pytest.approx(-0.1, abs=1e-6)
    assert sure["a"].difference == pytest.approx(0, abs=1e-6)
    assert sure[EVERYWHERE].low <= -0.049
    assert sure[EVERYWHERE].high >= -0.051
    assert set(sure["b"].rows) <= set(changed)
    assert len(sure["a"].rows) == 0


class _Balanced(HTMLParser):
    """Checks that elements are closed in their order."""

    open: list[str]

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - HTMLParser's
        """Remember what has to be closed."""
        self.open = [*getattr(self, "open", []), tag]
        if tag in ("meta", "img"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the last one."""
        assert self.open.pop() == tag


@pytest.mark.slow
def test_two_bundles_are_compared(tmp_path: Path) -> None:
    """By equal pixels: which answers changed, and where the new one looks."""

    def row(number: int, verdict: str, cell: int) -> dict[str, object]:
        return {"path": f"{number}.png", "verdict": verdict, "explained": "ng", "map": spot(cell, cell)}

    old = [row(number, "dent", 3) for number in range(20)]
    new = [row(number, "dent" if number < 15 else "OK", 9) for number in range(20)]
    write_history(tmp_path / "old", old[::-1], sha256="1" * 64)
    write_history(tmp_path / "new", new)
    found = versus(tmp_path / "new", tmp_path / "old")
    assert [(before, after, rows.tolist()) for before, after, rows in found.changed] == [
        ("dent", "OK", [15, 16, 17, 18, 19])
    ]
    assert found.maps is not None
    assert found.maps.after[9, 9] > 0.3 > found.maps.before[9, 9]
    assert found.maps.before[3, 3] > 0.3
    assert "dent → OK: 5" in write_report(tmp_path / "new", tmp_path / "old").read_text()


def test_copies_are_found(tmp_path: Path) -> None:
    """Equal pixels are one group, and their hash counts once among the nearly equal."""
    rows = [{"path": f"{n}.png", "sha256": text, "phash": bits} for n, (text, bits) in enumerate(
        [("a", 7 << 40), ("a", 7 << 40), ("b", 5 << 40), ("c", 2**62 + 9)]
    )]  # fmt: skip
    found = copies(write_history(tmp_path / "audit", rows))
    assert [one.tolist() for one in found.equal] == [[0, 1]]
    assert [one.tolist() for one in found.alike] == [[0, 2]]


def test_half_an_audit_has_no_report(tmp_path: Path) -> None:
    """A table with holes would say something wrong; the error says how many shards are missing."""
    folder = write_history(tmp_path / "audit", [{"path": f"{n}.png"} for n in range(30)], shard=10)
    (folder / "shards" / "000001.parquet").unlink()
    with pytest.raises(InputError, match="1 of 3 shards are not done"):
        write_report(folder)
    with pytest.raises(InputError, match="there is no audit"):
        write_report(tmp_path)
