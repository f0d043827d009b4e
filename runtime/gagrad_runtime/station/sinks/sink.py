"""The interface of a sink, and the bytes of a message."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from gagrad_runtime.station.events import ExplainedEvent, encode

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from gagrad_runtime.station.config import SinkTable
    from gagrad_runtime.station.events import StationEvent


class UndeliveredError(Exception):
    """The receiver cannot be reached, or cannot take the message now: the delivery retries."""


class RefusedError(Exception):
    """The receiver will never take this message: the delivery leaves it out, counts it and logs it."""


class Connection(Protocol):
    """An open connection to a receiver."""

    async def send(self, event: StationEvent, body: bytes) -> None:
        """Send ``body``, the JSON of ``event``, and return when the receiver has acknowledged it.

        Raises UndeliveredError and RefusedError.
        """


class Sink(Protocol):
    """One configured receiver."""

    name: str
    """Name of its cursor in the outbox."""

    @property
    def table(self) -> SinkTable:
        """The configuration: which events the receiver gets, and whether with pictures."""

    def connected(self) -> AbstractAsyncContextManager[Connection]:
        """Connect to the receiver for the length of the block. Raises UndeliveredError."""


def message_of(event: StationEvent, station: str, folder: Path, *, picture: bool) -> bytes:
    """Return the JSON that a receiver gets: ``event`` with the station's name.

    With ``picture`` an explanation has its picture, a file in ``folder``, as base64.
    """
    event = replace(event, station=station)
    if picture and isinstance(event, ExplainedEvent):
        try:
            encoded = base64.b64encode((folder / event.picture).read_bytes()).decode()
        except OSError:
            encoded = None  # removed to make room
        event = replace(event, picture_png=encoded)
    return encode(event)
