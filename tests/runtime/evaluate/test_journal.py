"""The journal: what is there is kept, what is half-written is cut off, what is foreign is measured again."""

from __future__ import annotations

from pathlib import Path

from gagrad_runtime.evaluate.journal import Entry, Journal, key_of
from gagrad_runtime.evaluate.table import METRICS, Row, shown, summarise, used_metrics


def row(image: str = "a.png", method: str = "smoothgrad", **fields: object) -> Row:
    values: dict[str, object] = {metric.field: None for metric in METRICS} | {"seconds": 1.0}
    text = {"image": image, "method": method, "target": "ok", "probability": 0.5}
    return Row(**{**values, **text, "insertion_curve": [], "deletion_curve": [], **fields})  # type: ignore[arg-type]


def entry(key: str) -> Entry:
    return Entry(key=key, row=row(), picture=b"\xff\xd8jpeg")


def test_lines_come_back(tmp_path: Path) -> None:
    """A journal that is opened again has the entries that were added."""
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add(entry("one"))
        journal.add(entry("two"))
    with Journal(path) as journal:
        assert journal.entries == {"one": entry("one"), "two": entry("two")}


def test_a_killed_run_leaves_no_trace(tmp_path: Path) -> None:
    """Half a line at the end is cut off before more is added; a foreign line is no error."""
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add(entry("one"))
        journal.add(entry("two"))
    data = path.read_bytes()
    path.write_bytes(b'{"of": "another version"}\n\xff\xfe\n' + data[:-30])
    with Journal(path) as journal:
        assert list(journal.entries) == ["one"]
        journal.add(entry("three"))
    with Journal(path) as journal:
        assert list(journal.entries) == ["one", "three"]
    assert path.read_bytes().endswith(b"}\n")


def test_a_key_changes_with_every_part() -> None:
    """And not with their order."""
    assert key_of(a=1, b=None) == key_of(b=None, a=1)
    assert len({key_of(a=1, b=None), key_of(a=2, b=None), key_of(a=1, b="x"), key_of(a=1)}) == 4


def test_summary_by_hand() -> None:
    """Means over the images that have the figure, the median for the time, order of appearance."""
    rows = [
        row("a", "x", rcap=0.2, pointing=True, seconds=9.0),
        row("b", "x", rcap=0.4, pointing=False, seconds=1.0),
        row("c", "x", rcap=None, seconds=2.0),
        row("a", "w", rcap=0.9),
    ]
    first, second = summarise(rows)
    assert (first.method, second.method) == ("x", "w")
    assert first.images == 3
    assert abs((first.values["rcap"] or 0) - 0.3) < 1e-12
    assert abs((first.errors["rcap"] or 0) - 0.1) < 1e-12
    assert first.counts["rcap"] == 2
    assert first.values["pointing"] == 0.5
    assert first.values["seconds"] == 2
    assert first.values["mass"] is None
    assert second.errors["rcap"] is None
    assert [metric.field for metric in used_metrics(rows)] == ["pointing", "rcap", "seconds"]
    assert shown(METRICS[0], 0.1234) == "12.3 %"
    assert shown(METRICS[0], None) == "–"
