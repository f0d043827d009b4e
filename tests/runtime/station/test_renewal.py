"""A damaged or deleted index: the station goes on, no number comes twice, no file is lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gagrad_edge.errors import OutputError
from gagrad_runtime.station.config import WebhookTable
from gagrad_runtime.station.events import VerdictEvent
from gagrad_runtime.station.outbox import Outbox
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.store import Store, stem_of
from tests.runtime.station.images import put
from tests.runtime.station.receiving import Receiver, add, until, verdict

if TYPE_CHECKING:
    from pathlib import Path

NOISE = os.urandom(9000)


def identities(store: Store, sink: str = "a") -> list[tuple[str, int, str]]:
    messages = [message.event for message in Outbox(store.index).pending(sink, 100)]
    return [(str(one.epoch), int(one.sequence or 0), one.kind) for one in messages if one is not None]


def ruin(path: Path, beginning: int = 0) -> None:
    """Write noise over the file, from ``beginning`` on."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(beginning)
        file.write(os.urandom(size - beginning))


def explained(store: Store, name: str) -> int:
    """Store an explanation, with its files."""
    number = store.add(name, name, "", state="waiting")
    stem = stem_of(number, name)
    for ending in (".explained.png", ".json"):
        (store.folder / (stem + ending)).write_bytes(b"12345")
    store.finish(number, "explained", stem=stem, size=10)
    return number


@pytest.mark.slow
@pytest.mark.parametrize("content", [NOISE, b"\0" * 100 + NOISE, b"SQLite format 3\0" + NOISE, b"x"])
def test_a_start_on_a_damaged_index(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is moved aside and said so; a new one with another epoch goes on behind the files' numbers."""
    with Store(tmp_path, sinks=["a"]) as store:
        first = store.epoch
        for name in "xyz":
            explained(store, name)
    (tmp_path / "index.sqlite").write_bytes(content)
    with Store(tmp_path, sinks=["a"]) as store:
        (event,) = store.heal()
        assert (event.state, event.aside) == ("renewed", "index.aside-1.sqlite")
        assert store.heal() == []
        assert store.epoch != first
        assert (store.kept, store.size) == (3, 30)
        assert store.add("v", "v", "", state="verdict", event=verdict("v")) == 4
        assert identities(store) == [(store.epoch, 1, "index"), (store.epoch, 2, "verdict")]
        for _ in range(3):
            store.remove(*store.oldest_explained() or (0, "", 0))
    if len(content) > 1:  # SQLite takes a file of one byte for an empty database
        assert (tmp_path / "index.aside-1.sqlite").read_bytes() == content
    assert not list(tmp_path.glob("*.json"))
    assert "a new index of results is begun" in caplog.text


@pytest.mark.slow
def test_what_waits_for_a_receiver_is_taken_along(tmp_path: Path) -> None:
    """What can be read of the outbox keeps its identity; new events have another epoch."""
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, 2000)
        first = store.epoch
        Outbox(store.index).acknowledge("a", 3)
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'state'").fetchone()
    connection.close()
    with (tmp_path / "index.sqlite").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    with Store(tmp_path, sinks=["a"]) as store:
        assert store.epoch != first
        told = identities(store)
        assert told[:2] == [(first, 4, "verdict"), (first, 5, "verdict")]
        assert Outbox(store.index).status("a").waiting == 1998  # and the event of the index
        box = Outbox(store.index)
        box.acknowledge("a", 1997, epoch=first)
        assert box.status("a").waiting == 1998, "an acknowledgement of another epoch's numbers"
        box.acknowledge("a", 1997, epoch=store.epoch)
        assert identities(store) == [(store.epoch, 1998, "index")]


@pytest.mark.slow
def test_damage_that_shows_while_running(station: Any, tmp_path: Path) -> None:
    """The frame at hand is stored in the new index, and what waited is explained under its number."""
    put(tmp_path / "in", "a.png")
    one = station()
    one.source.poll()
    one._verdicts()
    index, epoch = tmp_path / "out" / "index.sqlite", one.store.epoch
    one.store.index.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    ruin(index)
    one.store.index.script("PRAGMA shrink_memory; PRAGMA cache_size=0; PRAGMA cache_size=100;")
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    assert one.store.epoch != epoch
    assert [event.kind for event in station.events].count("index") == 1
    assert {(row.id, row.state) for row in one.store.rows()} == {(1, "explained"), (2, "explained")}
    assert not one.degraded
    assert (tmp_path / "out" / "index.aside-1.sqlite").exists()


@pytest.mark.slow
def test_an_index_that_is_deleted_while_running(station: Any, tmp_path: Path) -> None:
    """It is written again with all its rows, in its epoch; a start reads it."""
    put(tmp_path / "in", "a.png")
    one = station()
    one.run(once=True)
    epoch = one.store.epoch
    for file in (tmp_path / "out").glob("index.sqlite*"):
        file.unlink()
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    assert [event.state for event in station.events if event.kind == "index"] == ["restored"]
    assert one.store.epoch == epoch
    one.store.close()
    with Store(tmp_path / "out") as store:
        assert [(row.id, row.name, row.state) for row in store.rows()] == [
            (1, "a.png", "explained"),
            (2, "b.png", "explained"),
        ]


@pytest.mark.slow
@pytest.mark.parametrize("moved", [True, False])
def test_a_folder_of_results_that_goes_while_running(station: Any, tmp_path: Path, moved: bool) -> None:
    """It is made again, and locked; explanations whose files went are dropped and not counted."""
    put(tmp_path / "in", "a.png")
    one = station()
    one.run(once=True)
    if moved:
        (tmp_path / "out").rename(tmp_path / "moved")
    else:
        shutil.rmtree(tmp_path / "out")
    put(tmp_path / "in", "b.png", 1)
    one.run(once=True)
    assert [(row.name, row.state) for row in one.store.rows()] == [
        ("a.png", "dropped"),
        ("b.png", "explained"),
    ]
    assert one.store.kept == 1
    assert not one.degraded
    with pytest.raises(OutputError, match="another process"):
        Store(tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="this system cannot lock a folder")
def test_a_deleted_lock_file_lets_no_second_station_in(tmp_path: Path) -> None:
    """The folder is locked too."""
    with Store(tmp_path):
        (tmp_path / ".lock").unlink()
        with pytest.raises(OutputError, match="another process"):
            Store(tmp_path)


def test_a_full_disk_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged index stays where it is until a new one is written; then that takes its place."""
    with Store(tmp_path) as store:
        add(store, 1)
    ruin(tmp_path / "index.sqlite")
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        patch.setattr("gagrad_runtime.station.renewal.schema.number_from", full)
        with pytest.raises(OutputError, match="full"):
            Store(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "index.sqlite"]
    with Store(tmp_path) as store:
        assert store.add("b", "b", "", state="verdict") == 1


@pytest.mark.slow
def test_damaged_indexes_are_bounded(tmp_path: Path) -> None:
    """Of those that were moved aside the newest three are kept."""
    for _ in range(5):
        Store(tmp_path).close()
        (tmp_path / "index.sqlite").write_bytes(NOISE)
    Store(tmp_path).close()
    names = sorted(path.name for path in tmp_path.glob("index.aside*"))
    assert names == [f"index.aside-{number}.sqlite" for number in (3, 4, 5)]


@pytest.mark.parametrize("name", ["99999999999999999999-a.json", "00000007-a.frame.png", "12-a.json"])
def test_numbers_go_on_behind_files(tmp_path: Path, name: str) -> None:
    """Also behind those of an index that was deleted; numbers that no station gives are not counted."""
    (tmp_path / name).write_text("x")
    with Store(tmp_path) as store:
        assert store.add("b", "b", "", state="verdict") == (8 if name.startswith("00000007") else 1)
        assert store.last == (8 if name.startswith("00000007") else 1)


@pytest.mark.slow
def test_a_receiver_can_tell_true_events_from_repetitions(tmp_path: Path, receiver: Receiver) -> None:
    """Over a damaged index no key comes twice for two events, and each event comes."""
    names = []
    for turn in range(3):
        with Store(tmp_path, sinks=["webhook"]) as store:
            delivery = Delivery(store, [Webhook(WebhookTable(url=receiver.url), "s")], "s")
            for number in range(5):
                names.append(f"{turn}-{number}")
                store.add(names[-1], names[-1], "", state="verdict", event=verdict(names[-1]))
            until(lambda: {body.get("file") for body, _ in receiver.got} >= set(names))
            delivery.close()
        ruin(tmp_path / "index.sqlite")
    keys: dict[str, str] = {}
    for body, headers in receiver.got:
        event = json.dumps(body, sort_keys=True)
        assert keys.setdefault(headers["Idempotency-Key"], event) == event
        assert headers["Idempotency-Key"] == f"s-{body['epoch']}-{body['sequence']}"


def test_an_earlier_state_of_the_index_reuses_no_identity(tmp_path: Path) -> None:
    """A backup that was copied back, or an index whose log was deleted after a kill, numbers events anew."""
    first = tmp_path / "first"
    with Store(first, sinks=["a"]) as store:
        add(store, 2)
    with Store(first, sinks=["a"]) as store:
        store.index.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(first, tmp_path / "earlier")
        for number in range(5, 8):
            store.add(str(number), str(number), "", state="verdict", event=verdict(str(number)))
        later = set(identities(store))
    with Store(tmp_path / "earlier", sinks=["a"]) as store:
        kept = identities(store)
        assert set(kept) < later, "those that waited keep their identity"
        store.add("z", "z", "", state="verdict", event=verdict("z"))
        (new,) = set(identities(store)) - set(kept)
        assert new not in later


@pytest.mark.slow
def test_a_second_process_after_the_lock_file_was_deleted(tmp_path: Path) -> None:
    """It ends, as locks are between processes and not between two objects of one."""
    code = (
        "import sys; from pathlib import Path; from gagrad_runtime.station.store import Store; "
        "Store(Path(sys.argv[1]))"
    )
    with Store(tmp_path):
        (tmp_path / ".lock").unlink()
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert b"another process keeps its results there" in done.stderr


@pytest.mark.slow
def test_each_page_may_be_the_damaged_one(tmp_path: Path) -> None:
    """Whichever page of a small index is noise, the station starts, and the event of a new frame waits."""
    with Store(tmp_path / "whole", sinks=["a"]) as store:
        for number in range(20):
            explained(store, f"{number}")
        for number in range(100, 130):
            store.add(str(number), str(number), "", state="verdict", event=verdict(str(number)))
    size = (tmp_path / "whole" / "index.sqlite").stat().st_size
    assert size >= 10 * 4096
    for page in range(size // 4096):
        for place in (0, 2048):
            out = tmp_path / f"{page}-{place}"
            shutil.copytree(tmp_path / "whole", out)
            with (out / "index.sqlite").open("r+b") as file:
                file.seek(page * 4096 + place)
                file.write(b"\xa5" * 512)
            with Store(out, sinks=["a"]) as store:
                assert store.add("new", "new", "", state="verdict", event=verdict("new")) > 20
                assert len({one.id for one in store.rows()}) == len(store.rows())
                waiting = [message.event for message in Outbox(store.index).pending("a", 100)]
                assert [one.file for one in waiting if isinstance(one, VerdictEvent)][-1] == "new"
