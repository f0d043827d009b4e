"""What a station sends: one struct for every kind of event, with the fields that the viewer reads.

It reads the JSON that docs/event.schema.json describes, like any other receiver. What it does not know it
leaves alone: a kind or a field of a later gagrad-edge is no error.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

import msgspec

from gagrad_runtime.viewer.values import Covering, Place  # noqa: TC001 - msgspec resolves them

Name = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]{1,64}\Z")]
Epoch = Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,64}\Z")]
Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Share = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]


class ReceiverSaid(msgspec.Struct, frozen=True, kw_only=True):
    """One of a station's receivers, in the event ``health``."""

    name: Annotated[str, msgspec.Meta(max_length=64)]
    waiting: Number = 0
    error: Text = ""
    since: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One event. Fields that do not apply are None, as are those that an earlier station does not send."""

    event: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    station: Name
    epoch: Epoch
    sequence: Number
    time: Annotated[str, msgspec.Meta(max_length=40)]
    id: Number | None = None
    file: Text | None = None
    part: Text | None = None
    verdict: Text | None = None
    probability: Share | None = None
    explain: bool = False
    ng: bool | None = None
    outcome: str | None = None
    reason: Text | None = None
    said: dict[str, Any] | None = None
    seconds: Share | None = None
    rcap: Share | None = None
    samples: Number | None = None
    target: Text | None = None
    against: Text | None = None
    cautions: list[Annotated[str, msgspec.Meta(max_length=100)]] | None = None
    places: Annotated[list[Place], msgspec.Meta(max_length=100)] | None = None
    covering: Covering | None = None
    strength: str | None = None
    place_stability: Share | None = None
    roi_share: Share | None = None
    roi_passed: bool | None = None
    height: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    width: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    bundle: Text | None = None
    bundle_sha256: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    sha256: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    disk: Share | None = None
    state: str | None = None
    source: Text | None = None
    receivers: Annotated[list[ReceiverSaid], msgspec.Meta(max_length=16)] | None = None
    degraded: bool = False
    waiting: Number | None = None
    camera: str | None = None
    record: Text | None = None
    picture_png: str | None = None
    frame_jpeg: str | None = None
    map_png: str | None = None
    record_json: dict[str, Any] | None = None


class EventError(Exception):
    """The message is no event that can be stored, and never will be."""


_decoder = msgspec.json.Decoder(Received)


def read(body: bytes) -> tuple[Received, int]:
    """Return the event in ``body`` and its time, seconds since 1970. Raises EventError."""
    try:
        event = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EventError(f"this is no event of a station ({error})") from error
    try:
        when = datetime.strptime(event.time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return event, int(when.timestamp())
    except (ValueError, OverflowError) as error:
        raise EventError(f"time: {error}") from error
