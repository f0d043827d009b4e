"""The interface of a sink, and the bytes of a message."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from gagrad_runtime.report.naming import ENDINGS
from gagrad_runtime.station.events import ExplainedEvent, encode
from gagrad_runtime.station.keeping import FRAME_LAYER, MAP_LAYER

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

    With ``picture`` an explanation has its pictures and its record, files in ``folder``.
    """
    event = replace(event, station=station)
    if picture and isinstance(event, ExplainedEvent):
        stem = event.picture.removesuffix(ENDINGS["picture"])
        event = replace(
            event,
            picture_png=_base64(folder / event.picture),
            frame_jpeg=_base64(folder / (stem + FRAME_LAYER)),
            map_png=_base64(folder / (stem + MAP_LAYER)),
            record_json=_record(folder / event.record),
        )
    return encode(event)


def _base64(path: Path) -> str | None:
    """Return the file at ``path``; None when it was removed to make room."""
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError:
        return None


def _record(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None
    return found
