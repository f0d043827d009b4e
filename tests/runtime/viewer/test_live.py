"""Live: open pages learn at once of what is stored, and a page that is gone costs nothing."""

from __future__ import annotations

import asyncio

import pytest

from gagrad_runtime.viewer import live
from gagrad_runtime.viewer.live import Changes, message, stream
from gagrad_runtime.viewer.storing import Stored


def _stored(station: str) -> Stored:
    return Stored("verdict", station, 1)


def test_a_page_is_told_of_its_station(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener hears of its own station, or of all; ten changes that it did not look at are one."""
    monkeypatch.setattr(live, "PAUSE", 0.0)

    async def heard() -> tuple[int, int]:
        changes = Changes()
        counts = {"a": 0, "all": 0}

        async def listen(name: str, station: str | None) -> None:
            async for _ in changes(station):
                counts[name] += 1

        tasks = [asyncio.create_task(listen("a", "a")), asyncio.create_task(listen("all", None))]
        await asyncio.sleep(0)
        changes.publish(_stored("b"))
        await asyncio.sleep(0.01)
        for _ in range(10):
            changes.publish(_stored("a"))
        await asyncio.sleep(0.01)
        changes.end()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert not changes._listeners
        return counts["a"], counts["all"]

    assert asyncio.run(heard()) == (1, 2)


def test_what_is_sent_is_made_once_for_all() -> None:
    """Pages with one language and station share what was made, until something new is stored."""

    async def work() -> int:
        changes, made = Changes(), 0

        async def make() -> str:
            nonlocal made
            made += 1
            await asyncio.sleep(0)
            return str(made)

        texts = await asyncio.gather(*(changes.text(("en", None), None, make) for _ in range(20)))
        assert set(texts) == {"1"}
        changes.publish(_stored("a"))
        assert await changes.text(("en", None), None, make) == "2"
        assert await changes.text(("ja", "b"), "b", make) == "3"
        return made

    assert asyncio.run(work()) == 3


def test_a_stream_beats_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with the state, sends comments when nothing comes, and ends when the viewer does."""
    monkeypatch.setattr(live, "BEAT", 0.01)
    monkeypatch.setattr(live, "PAUSE", 0.0)

    async def work() -> list[str]:
        changes = Changes()

        async def make() -> str:
            return "<p>one</p>\n<p>two</p>"

        found = []
        async for piece in stream(changes, None, "en", make).iterator:
            found.append(piece)
            if len(found) == 3:
                changes.end()
        return found

    first, *beats = asyncio.run(work())
    assert first == "retry: 1000\n\ndata: <p>one</p>\ndata: <p>two</p>\n\n"
    assert beats == [": still here\n\n"] * 2


def test_no_text_leaves_its_message() -> None:
    """A line break of any kind in a text cannot begin a field of its own."""
    assert message("a\r\nevent: b\rid: c\u2028x\n") == "data: a\ndata: event: b\ndata: id: c\ndata: x\n\n"
    assert message("") == "data: \n\n"
