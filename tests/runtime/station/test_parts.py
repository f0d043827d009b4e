"""Part ids: found in frames' names by a pattern, bounded on any name, in events, rows and records."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from gagrad_edge.errors import SettingError
from gagrad_runtime.station.config import read_config
from gagrad_runtime.station.events import ExplainedEvent, VerdictEvent
from gagrad_runtime.station.parts import LONGEST, Parts, check_pattern
from tests.runtime.station.images import put


@pytest.mark.parametrize(
    ("pattern", "name", "part"),
    [
        (r"(?P<part>SN\d+)_.*", "SN0042_top.png", "SN0042"),
        (r"(?P<part>SN\d+)_.*", "2026-11-27/SN0042_top.png", "SN0042"),
        (r"(?P<part>SN\d+)_.*", "part-7.png", None),
        (r"(?P<part>SN\d+)_.*", "XSN0042_top.png", None),
        (r"(?P<part>[^/]+)/.*", "SN0042/top.png", "SN0042"),
        (r".*_(?P<part>\d{4,8})(?:_retry)?\.(?:png|jpe?g)", "line_00017_retry.jpeg", "00017"),
        (r"(?P<part>\d*)_.*", "_top.png", None),
        (r"(?P<part>.*)_.*", "a\x1b\u202e_top.png", "a\\x1b\\u202e"),
        (r"(?P<part>.*)", "a" * (LONGEST + 1), None),
    ],
)
def test_the_id_is_found_in_the_name(pattern: str, name: str, part: str | None) -> None:
    """The pattern is of the whole name; what does not fit has no id, and an id is printable."""
    check_pattern(pattern)
    assert Parts(pattern).of(name) == part


def test_without_a_pattern_nothing_is_said() -> None:
    """A station without a pattern leaves the field out of its events."""
    assert Parts().of("SN1_a.png") is UNSET


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(?P<part>SN\d+_.*", "no regular expression"),
        (r"(SN\d+)_.*", "no group (?P<part>...)"),
        (r"(?P<part>(a+)+)b", "repeats a group"),
        (r"(?P<part>(?:a|a)*)b", "repeats a group"),
        (r"(?P<part>a+)\1", "is not possible"),
        (r"(?=.*x)(?P<part>.*)", "is not possible"),
        (r".*.*.*.*(?P<part>.*)", "may take long"),
        ("a?" * 30 + "(?P<part>b)", "may take long"),
        ("(?:ab|b)" * 23 + "(?P<part>c)", "may take long"),
        ("(?:xy|ab|b)" * 15 + "(?P<part>c)", "may take long"),
        (r"\d{1,50}" * 4 + "(?P<part>c)x", "may take long"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, pattern: str, said: str
) -> None:
    """What is no pattern, has no group, or may take long on some name, is an error in station.toml."""
    path = tmp_path / "station.toml"
    path.write_text(f"queue = 3\n[part]\n\npattern = '{pattern}'\n")
    with pytest.raises(SettingError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}:4: part.pattern: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (r"\w*\d*\w*(?P<part>\d*)x", "1" * LONGEST),
        (r".*_.*_.*_.*_(?P<part>x)y", "_" * LONGEST),
        ("a?" * 20 + "a" * 20 + "(?P<part>b)", "a" * 40),
        ("(?:aa|a)" * 22 + "(?P<part>b)", "a" * 40),
        (r"\d{1,40}" * 4 + "(?P<part>c)x", "1" * LONGEST),
    ],
)
def test_no_name_takes_long(pattern: str, name: str) -> None:
    """The worst patterns that are let through end on the worst names, long before a second."""
    check_pattern(pattern)
    began = time.process_time()
    assert Parts(pattern).of(name) is None
    assert time.process_time() - began < 1.0


def test_the_id_travels_with_its_part(station: Any, tmp_path: Path) -> None:
    """Events, rows and records have the id; a name without one has null there."""
    put(tmp_path / "in", "SN0042_top.png", 1)
    put(tmp_path / "in", "other.png", 2)
    (tmp_path / "in" / "SN0043_top.png").write_bytes(b"\x89PNG and no more")
    one = station(parts=Parts(r"(?P<part>SN\d+)_.*"))
    one.run(once=True)
    told = {(event.kind, event.file): event.part for event in station.events if hasattr(event, "part")}
    assert told == {
        ("verdict", "SN0042_top.png"): "SN0042",
        ("verdict", "other.png"): None,
        ("explained", "SN0042_top.png"): "SN0042",
        ("explained", "other.png"): None,
        ("quarantined", "SN0043_top.png"): "SN0043",
    }
    rows = {row.name: row.noted.part for row in one.store.rows()}
    assert rows == {"SN0042_top.png": "SN0042", "other.png": None, "SN0043_top.png": "SN0043"}
    for event in station.events:
        if isinstance(event, ExplainedEvent):
            record = json.loads((tmp_path / "out" / event.record).read_bytes())
            assert record["part"] == event.part
    assert isinstance(next(one for one in station.events if one.kind == "verdict"), VerdictEvent)
    one.store.delete_rows(0)
    assert one.store.index.rows("SELECT count(*) FROM noted") == [(0,)]
