"""What several tests of the station begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gagrad_runtime import load
from gagrad_runtime.station.events import Event
from gagrad_runtime.station.rule import Rule
from gagrad_runtime.station.sources.folder import Folder
from gagrad_runtime.station.store import Store
from gagrad_runtime.station.watch import Watch
from tests.runtime.station.receiving import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def station(tiny_bundle: Path, tmp_path: Path) -> Any:
    """Return what makes a station over tmp_path/in and tmp_path/out, and keeps its events."""
    (tmp_path / "in").mkdir()
    opened: list[Any] = []

    def make(rule: Rule | None = None, **settings: Any) -> Watch:
        explainer, store = load(tiny_bundle, device="cpu"), Store(tmp_path / "out")
        opened.extend((explainer, store))
        station = Watch(
            explainer, Folder(tmp_path / "in", polling=True), store, rule or Rule(), interval=0.01, **settings
        )
        station.on_event = events.append
        return station

    events: list[Event] = []
    make.events = events  # type: ignore[attr-defined]
    yield make
    for one in opened:
        one.close()
