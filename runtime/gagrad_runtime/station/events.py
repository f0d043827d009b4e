"""The events of a station: what its callbacks, the lines of ``--json`` and the receivers of its sinks get.

One struct per event. As JSON, ``event`` names the struct, times are UTC, seconds are wall time, and fields
that do not apply are left out. ``docs/event.schema.json`` is generated from these structs: fields may be
added, but a name or a meaning never changes, because receivers' programs rely on both.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gagrad_edge import schema
from gagrad_runtime.report.prediction_record import PredictionRecord  # noqa: TC001 - msgspec resolves it
from gagrad_runtime.report.record_schema import CoveringRecord, PlaceRecord  # noqa: TC001 - as above

EventKind = Literal["verdict", "explained", "dropped", "failed", "quarantined", "source", "index", "health"]
"""Values of ``event``."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Fields of every event."""

    station: str | UnsetType = UNSET
    """Name of the station; only in messages to receivers."""
    epoch: str | UnsetType = UNSET
    """Identity of what numbers events and frames, 32 hexadecimal digits: another at each start of the
    station, and when a damaged index is replaced."""
    sequence: int | UnsetType = UNSET
    """Number of the event in its epoch, only in messages to receivers. It grows by one and never comes twice
    in an epoch, so a receiver knows a repetition by both."""
    time: str
    """What the station's clock showed, UTC, ``2026-11-25T09:30:00Z``."""

    @property
    def kind(self) -> str:
        """The value of ``event`` in JSON."""
        return str(self.__struct_config__.tag)


class FrameEvent(Event, frozen=True, kw_only=True):
    """Fields of every event about one frame."""

    id: int | None = None
    """Number of the frame's row in the index; null when the row could not be stored."""
    file: str | UnsetType = UNSET
    """Name of the frame. Left out only in events that an earlier version of gagrad-edge stored."""
    part: str | UnsetType | None = UNSET
    """The plant's name of the part, found in the frame's name by the station's pattern; null where the name
    does not have one, left out without a pattern."""


class VerdictEvent(FrameEvent, frozen=True, kw_only=True, tag="verdict"):
    """The model gave its verdict on a frame."""

    verdict: str
    """Name of the predicted class; of a model that predicts no class what it says, such as its text."""
    probability: float | None
    """Probability of the verdict, 0 to 1; null for a model that gives plain scores."""
    explain: bool
    """Whether the frame is to be explained."""
    ng: bool | UnsetType = UNSET
    """Whether the part is NG, at a station whose rule says what makes a part NG."""
    reason: str | UnsetType = UNSET
    """The condition that makes the part NG."""
    said: PredictionRecord | UnsetType = UNSET
    """All that the model says, for models other than classifiers."""
    seconds: float
    """Time that the model took."""
    outcome: Literal["OK", "NG"] | UnsetType = UNSET
    """Whether the part is NG or OK as the picture says it: by the rule, by a score's limit, or by the names
    of the classes; left out where nobody has told which classes are good."""
    bundle: str | UnsetType = UNSET
    """Name of the bundle that gave the verdict. This and what follows is left out only in events that an
    earlier version of gagrad-edge stored."""
    bundle_sha256: str | UnsetType = UNSET
    """Its SHA-256."""
    sha256: str | UnsetType = UNSET
    """SHA-256 of the frame's file, or of a stream's pixels: the same frame again has the same."""
    disk: float | UnsetType = UNSET
    """Share of the disk with the results that is used, 0 to 1."""
    cautions: list[str] | UnsetType = UNSET
    """Codes of cautions about the frame, the gravest first; empty when nothing is unusual. Left out where
    nothing is known of good parts."""


class ExplainedEvent(FrameEvent, frozen=True, kw_only=True, tag="explained"):
    """The explanation of a frame is stored."""

    record: str
    """File name of the JSON record in the folder of results."""
    picture: str
    """File name of the picture in the folder of results."""
    rcap: float | None
    """RCAP score of the map; null when it is no number, or was not asked for."""
    samples: int
    """Samples that the map was made from."""
    seconds: float
    """Time from the beginning of the explanation to its end, verdicts in between included."""
    picture_png: str | UnsetType | None = UNSET
    """The picture, base64, for receivers with ``picture = true``; null when it was removed to make room."""
    verdict: str | UnsetType = UNSET
    """What the model says, as in the event ``verdict``. This and what follows is left out only in events
    that an earlier version of gagrad-edge stored."""
    probability: float | UnsetType | None = UNSET
    """Probability of the verdict, as there."""
    target: str | UnsetType = UNSET
    """Name of what is explained."""
    against: str | UnsetType = UNSET
    """The other class of a difference; left out without one."""
    cautions: list[str] | UnsetType = UNSET
    """Codes of what to know before trusting the map, the gravest first; empty when all is well."""
    places: list[PlaceRecord] | UnsetType = UNSET
    """Where the map points, numbered from 1 in this order, as in the record."""
    covering: CoveringRecord | UnsetType | None = UNSET
    """What the model says with places covered, as in the record; null where it was not asked."""
    place_stability: float | UnsetType | None = UNSET
    """How often parts of the samples agree on place 1, 0 to 1; null where it is not measured."""
    roi_share: float | UnsetType = UNSET
    """Share of the map in the region of interest, 0 to 1; left out without a region."""
    roi_passed: bool | UnsetType = UNSET
    """Whether enough of the map lies there; left out without a limit."""
    outcome: Literal["OK", "NG"] | UnsetType = UNSET
    """As in the event ``verdict``."""
    strength: Literal["strong", "weak", "none"] | UnsetType = UNSET
    """How strong the covering test's evidence is that a place is the reason; left out without one."""
    height: int | UnsetType = UNSET
    """Of the frame, in pixels."""
    width: int | UnsetType = UNSET
    bundle: str | UnsetType = UNSET
    """Name of the bundle."""
    bundle_sha256: str | UnsetType = UNSET
    frame_jpeg: str | UnsetType | None = UNSET
    """The frame, at most 640 pixels on its longer side, JPEG, base64; for receivers with ``picture = true``,
    as is what follows. Null when it was removed to make room."""
    map_png: str | UnsetType | None = UNSET
    """The coloured map with a transparent ground, in the proportions of the frame, PNG, base64."""
    record_json: dict[str, Any] | UnsetType | None = UNSET
    """The record."""
    reused_from: int | UnsetType = UNSET
    """Number of the row whose explanation is used again, as this frame shows the same: ``record``,
    ``picture`` and all that is said of the map are that row's. Left out for an explanation of its own."""


class DroppedEvent(FrameEvent, frozen=True, kw_only=True, tag="dropped"):
    """A frame that was to be explained is not: too many waited, or the result could not be stored."""

    reason: str
    stored: bool | UnsetType = UNSET
    """False when the index could not be written: the row is brought up to date later."""


class FailedEvent(FrameEvent, frozen=True, kw_only=True, tag="failed"):
    """The model gave no verdict or no map for a frame."""

    reason: str
    stored: bool | UnsetType = UNSET
    """False when the index could not be written: the row is brought up to date later."""


class QuarantinedEvent(FrameEvent, frozen=True, kw_only=True, tag="quarantined"):
    """A file is no image that can be used; a copy of it is in ``quarantine/``."""

    reason: str


class SourceEvent(Event, frozen=True, kw_only=True, tag="source"):
    """The state of a camera changed."""

    state: Literal["connected", "frozen", "lost"]
    source: str
    """The camera's address, without password."""
    reason: str


class IndexEvent(Event, frozen=True, kw_only=True, tag="index"):
    """The index of results was damaged or gone; the station goes on."""

    state: Literal["renewed", "restored"]
    """``renewed``: a new index was begun, with a new epoch; ``restored``: the deleted file was written again
    with all that it had, in the same epoch."""
    reason: str
    aside: str | UnsetType = UNSET
    """Name of the file that the damaged index was moved to, in the folder of results."""


class ReceiverHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a receiver of the station fares."""

    name: str
    """``webhook`` or ``mqtt``."""
    waiting: int
    """Events that it has not acknowledged."""
    dropped: int
    """Events that were deleted because too many waited."""
    refused: int
    """Events that it will never take."""
    error: str | UnsetType = UNSET
    """Why the last attempt to send failed; left out where it did not."""
    since: str | UnsetType = UNSET
    """When the first of the attempts failed that have failed since, UTC; left out as ``error``."""


class HealthEvent(Event, frozen=True, kw_only=True, tag="health"):
    """How the station fares; at a station with receivers each minute, and when something changes."""

    receivers: list[ReceiverHealth]
    degraded: bool
    """Whether results cannot be stored at the moment."""
    waiting: int
    """Frames that wait for their explanation."""
    disk: float | UnsetType = UNSET
    """Share of the disk with the results that is used, 0 to 1; left out where the system does not tell."""
    camera: Literal["connected", "frozen", "lost"] | UnsetType = UNSET
    """State of the camera, as in the last event ``source``; left out for other sources."""
    source: str | UnsetType = UNSET
    """The camera's address, without password; left out as ``camera``."""


StationEvent = (
    VerdictEvent
    | ExplainedEvent
    | DroppedEvent
    | FailedEvent
    | QuarantinedEvent
    | SourceEvent
    | IndexEvent
    | HealthEvent
)
EndEvent = DroppedEvent | FailedEvent
"""Events that end the wait for an explanation without one."""

_decoder = msgspec.json.Decoder(StationEvent)


def encode(event: Event) -> bytes:
    """Return ``event`` as one line of JSON, UTF-8, without a newline."""
    return msgspec.json.encode(event)


def decode(data: bytes | str) -> StationEvent:
    """Return the event in the JSON ``data``; unknown fields are ignored. Raises msgspec.DecodeError."""
    event: StationEvent = _decoder.decode(data)
    return event


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event, as docs/event.schema.json has it."""
    return schema.json_schema(StationEvent)


def now() -> str:
    """Return what this device's clock shows, UTC, to the second: the ``time`` of an event."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
