"""Draining: the rest of a body is read after the answer, within limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gagrad_runtime.service import draining
from gagrad_runtime.service.draining import drained

LIMIT = 100


class Client:
    """Sends a body in ``parts`` and notes in which order parts and answers pass."""

    def __init__(self, *parts: bytes, length: int | None = None) -> None:
        self.parts = list(parts)
        self.passed: list[str] = []
        size = sum(map(len, parts)) if length is None else length
        self.scope = {"type": "http", "headers": [(b"content-length", str(size).encode())]}

    async def receive(self) -> dict[str, Any]:
        """Return the next part."""
        self.passed.append("part")
        if not self.parts:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": self.parts.pop(0), "more_body": bool(self.parts)}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a part of the answer."""
        self.passed.append(message["type"])

    def ask(self, *, reads: int = 0) -> list[str]:
        """Ask an application that reads so many parts before it answers, and return what passed."""

        async def app(_: Any, receive: Any, send: Any) -> None:
            for _ in range(reads):
                await receive()
            await send({"type": "answer"})

        asyncio.run(drained(app, LIMIT)(self.scope, self.receive, self.send))  # type: ignore[arg-type]
        return self.passed


@pytest.mark.parametrize("reads", [0, 1, 3])
def test_the_rest_is_read_after_the_answer(reads: int) -> None:
    """However much of it the application has read, and no more than there is."""
    found = Client(b"a", b"b", b"c").ask(reads=reads)
    assert found.count("part") == 3
    assert found.index("answer") == reads


def test_a_request_without_a_body_is_left_alone() -> None:
    """Nothing is waited for."""
    assert Client().ask() == ["answer"]


def test_a_body_beyond_the_limit_is_not_read() -> None:
    """Neither one that says its size, nor the end of one that does not."""
    assert Client(b"a", length=LIMIT + 1).ask() == ["answer"]
    client = Client(*[b"a" * 60] * 9)
    client.scope["headers"] = [(b"transfer-encoding", b"chunked")]
    assert client.ask().count("part") == 2


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the time for it."""
    monkeypatch.setattr(draining, "SECONDS", 0.02)
    client = Client(b"a", b"b", length=50)
    client.parts.clear()
    assert client.ask() == ["answer", "part"]
