"""Sources of an audit: what becomes an image of the plan, in which order, with which station and time."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")

import pyarrow as pa
import pyarrow.parquet as pq

from gagrad_edge.errors import FrameError, InputError
from gagrad_runtime.audit import plan
from gagrad_runtime.audit.plan import GROUPED, PATHS, items_of_shard, shard_size, write_paths
from gagrad_runtime.audit.sources import Item, content, items_of
from gagrad_runtime.frame import load_frame

TIME = datetime(2026, 11, 2, 9, 30, tzinfo=timezone.utc)


def paths(*sources: object) -> list[str]:
    return [item.path for item in items_of([str(source) for source in sources])]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(path)
    return path


def test_folders_are_walked_in_order(tmp_path: Path) -> None:
    """With the folders in them; hidden files, other files and our own results are left out."""
    wanted = [picture(tmp_path / name) for name in ("a.png", "b/a.png", "b/c.PNG", "d/x.jpg")]
    for name in (".hidden.png", "b/part.explained.png", ".git/y.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert paths(tmp_path) == list(map(str, wanted))


def test_lists_and_tables_say_station_time_and_part(tmp_path: Path) -> None:
    """Relative paths are those beside the list; a time without a zone is UTC."""
    (tmp_path / "list.txt").write_text("a.png\n\n/else/b.png\n")
    assert paths(tmp_path / "list.txt") == [str(tmp_path / "a.png"), "/else/b.png"]
    (tmp_path / "list.csv").write_text("station,path,time,part_id\nline 1,a.png,2026-11-02T09:30:00Z,P7\n")
    wanted = Item(str(tmp_path / "a.png"), TIME, "line 1", "P7")
    assert list(items_of([str(tmp_path / "list.csv")])) == [wanted]
    columns = {
        "path": ["a.png"],
        "time": [TIME.replace(tzinfo=None)],
        "station": ["line 1"],
        "part_id": ["P7"],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    assert list(items_of([str(tmp_path / "list.parquet")])) == [wanted]


def test_a_stations_results_name_their_frames(tmp_path: Path) -> None:
    """By their records: the file that the station read, or the frame of a stream that it kept."""
    (tmp_path / "index.sqlite").touch()
    record = '{"frame": {"file": "%s"}, "run": {"created": "2026-11-02T09:30:00Z"}}'
    (tmp_path / "00000001-a.json").write_text(record % "/in/a.png")
    (tmp_path / "00000002-b.json").write_text(record % "stream")
    kept = picture(tmp_path / "00000002-b.frame.png")
    (tmp_path / "other.json").write_text("[]")
    found = list(items_of([str(tmp_path)]))
    assert [item.path for item in found] == ["/in/a.png", str(kept)]
    assert {(item.station, item.time) for item in found} == {(tmp_path.name, TIME)}


def test_addresses_are_read_through_arrow(tmp_path: Path) -> None:
    """An address below which objects lie, and one of an object; its bytes are a frame."""
    picture(tmp_path / "line" / "a.png")
    address = (tmp_path / "line").as_uri()
    (item,) = items_of([address])
    assert item.path == f"{address}/a.png"
    assert load_frame(content(item.path)).width == 6
    with pytest.raises(FrameError, match="cannot be read"):
        content(f"{address}/gone.png")


@pytest.mark.parametrize("name", ["gone", "bad.csv", "bad.parquet", "times.csv"])
def test_a_source_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    """What is missing, has no column of paths, or no table or time, is an error before any work."""
    (tmp_path / "bad.csv").write_text("file\na.png\n")
    (tmp_path / "times.csv").write_text("path,time\na.png,yesterday\n")
    (tmp_path / "bad.parquet").write_text("no table")
    with pytest.raises(InputError):
        paths(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
def test_names_of_any_bytes_come_back(tmp_path: Path) -> None:
    """A file name that is no UTF-8 can be opened by the plan; shards hold so many images each."""
    odd = os.fsdecode(b"part-\xff.png")
    items = [Item(odd, TIME, "s", "p"), Item("b.png"), Item("c.png")]
    assert write_paths(tmp_path, items, 2) == (3, 2)
    assert items_of_shard(tmp_path, 0, 2) == items[:2]
    assert items_of_shard(tmp_path, 1, 2) == items[2:]


@pytest.mark.parametrize(
    ("images", "workers", "size"),
    [
        (1, 1, 25),
        (300, 1, 75),
        (300, 2, 38),
        (300, 8, 25),
        (4000, 1, 1000),
        (4000, 2, 500),
        (10**7, 64, 1000),
    ],
)
def test_small_audits_keep_all_workers_busy(images: int, workers: int, size: int) -> None:
    """Each worker has four shards where there are images enough, and a shard has 25 to 1,000 images."""
    assert shard_size(images, workers) == size


def test_the_plan_has_the_size_of_its_shards(tmp_path: Path) -> None:
    """Of a long source no more is held than decides it, and all images are written all the same."""
    short = (Item(f"{number}.png") for number in range(300))
    assert write_paths(tmp_path, short, workers=2) == (300, 38)
    assert [len(items_of_shard(tmp_path, number, 38)) for number in (0, 7)] == [38, 34]
    long = (Item(f"{number}.png") for number in range(9000))
    assert write_paths(tmp_path, long, workers=2) == (9000, 1000)
    assert items_of_shard(tmp_path, 8, 1000)[-1].path == "8999.png"


def test_a_group_of_rows_holds_some_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard is found in its group, and in the plan of an earlier version, which has one for each."""
    items = [Item(f"{number}.png") for number in range(2 * 3 * GROUPED + 5)]
    write_paths(tmp_path, items, 3)
    assert pq.ParquetFile(tmp_path / PATHS).num_row_groups == 3
    shards = range(-(-len(items) // 3))
    assert [one for number in shards for one in items_of_shard(tmp_path, number, 3)] == items
    monkeypatch.setattr(plan, "GROUPED", 1)
    write_paths(tmp_path, items, 3)
    assert pq.ParquetFile(tmp_path / PATHS).num_row_groups == len(shards)
    assert [one for number in shards for one in items_of_shard(tmp_path, number, 3)] == items


def test_lists_say_little_or_much(tmp_path: Path) -> None:
    """A short line of a CSV, one with more than its header, and paths with dots are read as they stand."""
    path = tmp_path / "list.csv"
    path.write_text("station,path\na,./x/1.png\nb\n\nc,2.png,left over\n,/abs/3.png\n")
    found = list(items_of([str(path)]))
    assert [(one.path, one.station) for one in found] == [
        (str(tmp_path / "x/1.png"), "a"),
        (f"{tmp_path}/", "b"),
        (str(tmp_path / "2.png"), "c"),
        ("/abs/3.png", ""),
    ]
