"""What every sink offers the delivery, and how a message looks."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from gagrad_runtime.station.config import SinkTable
    from gagrad_runtime.station.outbox import Letter


class UndeliveredError(Exception):
    """The receiver cannot be reached, or cannot take it now: to be tried again."""


class RefusedError(Exception):
    """The receiver will never take this message: to be left out, counted and logged."""


class Connection(Protocol):
    """An open way to the receiver."""

    async def send(self, letter: Letter, message: bytes) -> None:
        """Return when the receiver has acknowledged it. Raises UndeliveredError and RefusedError."""


class Sink(Protocol):
    """One receiver."""

    name: str
    """Of its cursor."""

    @property
    def table(self) -> SinkTable:
        """Which events it gets, and whether with pictures."""

    def connected(self) -> AbstractAsyncContextManager[Connection]:
        """Open the way to the receiver. Raises UndeliveredError."""


def message_of(letter: Letter, station: str, folder: Path, *, picture: bool) -> bytes:
    """Return what a receiver gets, JSON; with ``picture`` also the explained frame, if still there."""
    fields: dict[str, Any] = {"station": station, "sequence": letter.sequence, **letter.event}
    name = letter.event.get("picture")
    if picture and isinstance(name, str):
        try:
            fields["picture_png"] = base64.b64encode((folder / name).read_bytes()).decode()
        except OSError:
            fields["picture_png"] = None  # removed to make room
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
