"""The outbox: told with the row or not at all, in order, until each sink has it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from gagrad_edge.errors import OutputError
from gagrad_runtime.station import outbox as outbox_module
from gagrad_runtime.station.events import DroppedEvent, VerdictEvent
from gagrad_runtime.station.outbox import DeliveryStatus, Outbox
from gagrad_runtime.station.store import Store
from tests.runtime.station.receiving import verdict

if TYPE_CHECKING:
    from pathlib import Path


def add(store: Store, name: str) -> int:
    return store.add(name, name, "", state="verdict", event=verdict(name))


def files(box: Outbox, sink: str) -> list[Any]:
    return [message.event and message.event.file for message in box.pending(sink, 100)]


def test_each_sink_has_its_own_cursor(tmp_path: Path) -> None:
    """Each sink reads events at its own pace; an event is deleted when all sinks are past it."""
    with Store(tmp_path, sinks=["a", "b"]) as store:
        for name in "xyz":
            add(store, name)
        box = Outbox(store.index)
        first = box.pending("a", 2)
        assert [isinstance(event := message.event, VerdictEvent) and event.id for message in first] == [1, 2]
        box.acknowledge("a", first[-1].sequence)
        assert files(box, "a") == ["z"]
        assert files(box, "b") == ["x", "y", "z"]
        assert box.status("a") == DeliveryStatus(1, 0, 0)
        box.acknowledge("b", 3)
        box.acknowledge("a", 3, refused=1)
        assert box.status("a") == DeliveryStatus(0, 0, 1)
        assert store.index.row("SELECT count(*) FROM outbox") == (0,)


def test_numbers_never_come_twice(tmp_path: Path) -> None:
    """Also when everything was delivered and the station started again: receivers tell repetitions by it."""
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, "x")
        box = Outbox(store.index)
        box.acknowledge("a", 1)
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, "y")
        box = Outbox(store.index)
        assert [message.sequence for message in box.pending("a", 9)] == [2]


def test_an_event_is_stored_with_its_row_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the event cannot be stored, the row of its result is not stored either."""
    with Store(tmp_path, sinks=["a"]) as store:

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(outbox_module, "put", full)
            with pytest.raises(OutputError, match="disk is full"):
                add(store, "x")
        assert store.rows() == []
        add(store, "y")
        box = Outbox(store.index)
        assert files(box, "a") == ["y"]


def test_beyond_the_limit_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    """Above the limit the oldest events are deleted, and counted as dropped for the sink."""
    with Store(tmp_path, sinks=["a"], limit=3) as store:
        for name in "uvwxyz":
            add(store, name)
        box = Outbox(store.index)
        assert files(box, "a") == ["x", "y", "z"]
        assert box.status("a") == DeliveryStatus(3, 3, 0)
        box.acknowledge("a", 6)
        assert box.status("a") == DeliveryStatus(0, 3, 0)


def test_so_many_bytes_wait_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their number: long events push more of the oldest out; the size stays right."""
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, "x")
        (one,) = store.index.rows("SELECT bytes FROM outbox_size")[0]
        monkeypatch.setattr(outbox_module, "BYTES", 4 * one)
        for name in ("y" * 50, "z", "v" * one):
            add(store, name)
        box = Outbox(store.index)
        assert files(box, "a") == ["z", "v" * one]
        assert box.status("a") == DeliveryStatus(2, 2, 0)
    with Store(tmp_path, sinks=["a"]) as store:
        query = "SELECT sum(length(event)), (SELECT bytes FROM outbox_size) FROM outbox"
        size, stated = store.index.rows(query)[0]
        assert size == stated
        Outbox(store.index).acknowledge("a", 4)
        assert store.index.rows("SELECT bytes FROM outbox_size")[0] == (0,)


def test_who_comes_later_gets_what_comes_later(tmp_path: Path) -> None:
    """A sink that is added later gets the events from then on."""
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, "x")
    with Store(tmp_path, sinks=["a", "b"]) as store:
        add(store, "y")
        box = Outbox(store.index)
        assert files(box, "a") == ["x", "y"]
        assert files(box, "b") == ["y"]


def test_who_is_gone_holds_nothing(tmp_path: Path) -> None:
    """Events and cursor of a sink that is no longer configured are deleted."""
    with Store(tmp_path, sinks=["a", "b"]) as store:
        add(store, "x")
    with Store(tmp_path) as store:
        add(store, "y")
        assert store.index.row("SELECT count(*) FROM outbox") == (0,)
        assert store.index.row("SELECT count(*) FROM cursor") == (0,)


def test_an_index_of_before_is_taken_over(tmp_path: Path) -> None:
    """An index without outbox, of an earlier version, is upgraded and keeps its rows."""
    index = sqlite3.connect(tmp_path / "index.sqlite")
    index.executescript(
        "CREATE TABLE result (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, "
        "sha256 TEXT NOT NULL, created TEXT NOT NULL, verdict TEXT, probability REAL, state TEXT NOT NULL, "
        "reason TEXT NOT NULL DEFAULT '', stem TEXT NOT NULL DEFAULT '', bytes INTEGER NOT NULL DEFAULT 0, "
        "UNIQUE (name, sha256)); CREATE INDEX state ON result (state, id);"
        "INSERT INTO result (name, sha256, created, state, stem, bytes) "
        "VALUES ('a', '1', '', 'explained', '00000001-a', 7);"
    )
    index.close()
    with Store(tmp_path, sinks=["a"]) as store:
        assert [row.name for row in store.rows()] == ["a"]
        assert (store.kept, store.size) == (1, 7)
        add(store, "b")
        assert store.index.row("PRAGMA user_version") == (1,)


def test_an_index_of_later_is_refused(tmp_path: Path) -> None:
    """An index of a later version is refused and not changed."""
    index = sqlite3.connect(tmp_path / "index.sqlite")
    index.execute("PRAGMA user_version=99")
    index.close()
    with pytest.raises(OutputError, match="has version 99"):
        Store(tmp_path)


def test_a_text_that_is_no_event_holds_nothing(tmp_path: Path) -> None:
    """A row that cannot be read, such as one with NaN, comes out without an event; its number stays."""
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, "x")
        with store.index.transaction() as connection:
            connection.execute('UPDATE outbox SET event = \'{"event":"explained","rcap":NaN}\'')
        add(store, "y")
        messages = Outbox(store.index).pending("a", 9)
        assert [(one.sequence, one.event is None) for one in messages] == [(1, True), (2, False)]


def test_events_of_the_version_before_are_read(tmp_path: Path) -> None:
    """A dropped frame had no name then."""
    old = '{"event":"dropped","time":"t","reason":"r","id":3}'
    with Store(tmp_path, sinks=["a"]) as store:
        add(store, "x")
        with store.index.transaction() as connection:
            connection.execute("UPDATE outbox SET event = ?", (old,))
        (message,) = Outbox(store.index).pending("a", 9)
    assert message.event == DroppedEvent(time="t", reason="r", id=3, epoch=message.epoch, sequence=1)
