"""What the pages are made of: frozen structs, plain values, no words for people.

Times are seconds since 1970, UTC, as the *station's* clock showed them; ``at`` is the viewer's own clock.
Codes (cautions, states) are those of the events.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["verdict", "waiting", "explained", "dropped", "failed", "quarantined"]
STATES: tuple[State, ...] = ("verdict", "waiting", "explained", "dropped", "failed", "quarantined")
Outcome = Literal["OK", "NG"]
Evidence = Literal["map", "class activation", "good reference"]
Strength = Literal["strong", "weak", "none"]
PictureKind = Literal["picture", "frame", "map"]
PICTURES: tuple[PictureKind, ...] = ("picture", "frame", "map")
"""``picture``: the whole sheet, PNG; ``frame``: what the camera gave, small, JPEG; ``map``: the coloured map
with transparent ground, PNG, exactly over the frame."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all of them."""


class Row(Value, frozen=True):
    """One frame, as lists show it."""

    id: int
    """Number in the viewer: it grows in the order in which frames came in."""
    station: str
    number: int | None
    """Number of the frame's row at its station; None where the station could not store it."""
    name: str
    part: str
    """The plant's name for the part; empty where the station sends none."""
    time: int
    state: State
    verdict: str
    """What the model says; empty where it gave no verdict."""
    probability: float | None
    outcome: Outcome | None
    """Whether the part is NG or OK; None where nobody has told which classes are good."""
    reason: str
    """Why NG, dropped, failed or quarantined; empty without."""
    cautions: tuple[str, ...]
    """Codes, the gravest first."""
    checked: bool
    """Whether the station compared the frame with those of good parts, or explained it."""
    strength: Strength | None
    """How strong the covering test's evidence is; None where there is none."""
    stability: float | None
    """How often parts of the samples agree on place 1, 0..1."""
    looked: bool
    """Whether anybody opened its page."""
    label: str
    """The newest label that people gave; empty without."""
    pictures: tuple[PictureKind, ...]
    """Which pictures there are: ``/picture/{id}/{kind}``."""


class Place(Value, frozen=True):
    """A numbered place, in frame pixels."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom)."""
    share: float
    """Of the map, 0..1."""
    peak: tuple[float, float]
    middle: tuple[float, float] | None = None
    """Where to look, (x, y); a station of an earlier version tells the peak only."""
    evidence: str = "map"
    covering: float | None = None
    """Confidence with the place covered, 0..1."""

    @property
    def spot(self) -> tuple[float, float]:
        """Where to look, (x, y)."""
        return self.middle or self.peak


class Covering(Value, frozen=True):
    """The covering test: the model's confidence in the target, 0..1."""

    fill: str
    before: float
    places: tuple[float, ...]
    changed: tuple[bool, ...]
    controls: tuple[float, ...] = ()
    controls_changed: tuple[bool, ...] = ()
    decidable: bool = True

    @property
    def decides(self) -> int | None:
        """Number of the first place that changes the answer when it is covered; None where none does."""
        return next((number for number, changed in enumerate(self.changed, start=1) if changed), None)

    @property
    def changed_elsewhere(self) -> bool:
        """Whether as much covered elsewhere changes the answer, too: the evidence is weak then."""
        return bool(self.controls) and 2 * sum(self.controls_changed) >= len(self.controls)


class RcapPoint(Value, frozen=True):
    """One level of the RCAP curve."""

    level: float
    ratio: float | None
    """Share of the map's mass that is kept."""
    confidence: float | None
    """Probability of the target on the kept pixels alone."""


class Version(Value, frozen=True):
    """Another look of a model at the same frame."""

    row: Row
    bundle: str
    bundle_sha256: str


class Label(Value, frozen=True):
    """One label, never changed once it is given."""

    id: int
    frame: int
    label: str
    """Empty for one that takes the label before it back."""
    who: str
    at: int
    box: tuple[float, float, float, float] | None = None
    """In frame pixels; None for the whole frame."""
    source: str = "page"
    """``page``, or the format that it was imported from."""


class Said(Value, frozen=True):
    """One class, detection or area that the model names."""

    name: str
    value: float | None
    """Probability or share, 0..1; of a score the score."""
    box: tuple[float, float, float, float] | None = None


class Frame(Value, frozen=True):
    """One frame with all that is known of it."""

    row: Row
    at: float
    """When it came in, by the viewer's clock."""
    target: str
    """What is explained; empty without an explanation."""
    against: str
    places: tuple[Place, ...]
    covering: Covering | None
    rcap: float | None
    curve: tuple[RcapPoint, ...]
    samples: int | None
    model_seconds: float | None
    """Time of the verdict."""
    map_seconds: float | None
    """Time of the explanation."""
    said: tuple[Said, ...]
    """What the model says, the most probable first; empty where the event does not tell."""
    answer: str
    """The same in a few words; empty for a classifier."""
    height: int | None
    width: int | None
    """Of the frame, in pixels."""
    bundle: str
    bundle_sha256: str
    sha256: str
    """Of the frame's file; empty where the event does not tell."""
    roi_share: float | None
    roi_passed: bool | None
    labels: tuple[Label, ...]
    """All labels, oldest first."""
    before: int | None
    """Id of the frame of the same station before it; None for the first."""
    after: int | None
    record: str
    """Name of the record at the station."""


class Similar(Value, frozen=True):
    """A frame that is like another."""

    row: Row
    likeness: float
    """0..1."""


class Page(Value, frozen=True):
    """One page of the history, the newest first."""

    rows: tuple[Row, ...]
    older: int | None
    """Give it as ``before`` for the next page; None at the end."""
    searched_to: int | None
    """Time down to which was searched, where the search was ended to answer in time; else None. The next
    page goes on there."""


class Hour(Value, frozen=True):
    """Counts of one hour, or of a longer span."""

    time: int
    """Its beginning."""
    frames: int
    ng: int
    ok: int
    explained: int
    lost: int
    """Dropped, failed and quarantined frames."""


class Gap(Value, frozen=True):
    """Events that never came: the sequence has a hole."""

    station: str
    after: int
    """Sequence of the last event before the hole."""
    before: int
    """Sequence of the first after it."""
    at: int
    frame: int
    """The newest frame of the viewer at that time: the hole is behind it."""

    @property
    def missing(self) -> int:
        """Number of events."""
        return self.before - self.after - 1


class Camera(Value, frozen=True):
    """State of a camera, as its station last said."""

    station: str
    source: str
    state: Literal["connected", "frozen", "lost"]
    reason: str
    time: int


class Receiver(Value, frozen=True):
    """A receiver of a station's events, as the station last said."""

    name: str
    waiting: int = 0
    """Events that it has not acknowledged."""
    error: str = ""
    """Why the station cannot send to it; empty where it can."""
    since: str = ""
    """Since when not, UTC, as in the event."""


class Health(Value, frozen=True):
    """How a station fares, as it last said."""

    station: str
    time: int
    receivers: tuple[Receiver, ...]
    degraded: bool
    """Whether it cannot store results."""
    waiting: int
    """Frames that wait for their explanation."""
    disk: float | None
    """Share of its disk that is used."""


class Disk(Value, frozen=True):
    """The disk of the viewer's data."""

    used: float
    """Share, 0..1."""
    free_bytes: int
    full: bool
    """Whether events could not be stored: the viewer acknowledges none until they can."""


class Tile(Value, frozen=True):
    """One station of the fleet."""

    station: str
    heard: float
    """When its last message came, by the viewer's clock."""
    skew: float | None
    """Seconds that its clock is ahead of the viewer's; None where it is not known."""
    frames_hour: int
    """Frames of this hour and of the one before."""
    ng_rate: float | None
    """Share of NG of the last 24 hours' frames with an outcome; None without any."""
    ng_rate_week: float | None
    """The same of the seven days before."""
    covering: float | None
    """Median of the confidence that is left with place 1 covered, over that before; of the last maps."""
    stability: float | None
    """Median of the stability of place 1, of the last maps."""
    cameras: tuple[Camera, ...]
    bundle: str
    bundle_sha256: str
    other_bundle: bool
    """Whether most stations with a bundle of this name have another hash."""
    disk: float | None
    """Share of the station's disk that is used."""
    health: Health | None
    """None where the station has not said."""
    missing: int
    """Events that never came, of the last seven days."""
    newest: Row | None


class Fleet(Value, frozen=True):
    """All stations, by name."""

    tiles: tuple[Tile, ...]
    disk: Disk


class Live(Value, frozen=True):
    """The newest of one station, or of all."""

    newest: Frame | None
    """The newest frame."""
    explained: Frame | None
    """The newest frame with a map, which may be an earlier one."""
    strip: tuple[Row, ...]
    """The last 20, the newest first."""
    stations: tuple[str, ...]
    cameras: tuple[Camera, ...]
    health: tuple[Health, ...]
    heard: float | None
    """When the last message came."""
    disk: Disk
    gaps: tuple[Gap, ...]
    """Of the last 24 hours, the newest first."""


class Group(Value, frozen=True):
    """NG frames whose maps have the same place in common."""

    id: int
    verdict: str
    station: str
    frames: int
    newest: tuple[Row, ...]
    """The newest of them, at most eight."""
    cells: tuple[int, ...]
    """Where the maps of the group are: cells of a grid of 8 × 8 over the frame, row by row."""


class Queued(Value, frozen=True):
    """A frame to label next, and why."""

    row: Row
    score: float
    why: tuple[str, ...]
    """Of ``margin``, ``disagreement``, ``covering``, ``roi``, ``novelty``; the strongest first."""


class Queue(Value, frozen=True):
    """What to label next."""

    items: tuple[Queued, ...]
    classes: tuple[str, ...]
    """Names for the keys 1 to 9: those that models and people have given, the most frequent first."""
    labelled: int
    """Frames that have a label."""
    waiting: int
    """Explained frames without one, of those that are looked through."""
