"""A case: one frame of one station, as the pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gagrad_runtime.report.record_schema import CoveringRecord, PlaceRecord

Verdict = Literal["OK", "NG"]


@dataclass(frozen=True)
class Case:
    """What the station said of one frame, and where its pictures are."""

    station: str
    key: str
    """What the address of the frame's own page ends with."""
    number: int | None
    """Number of the frame at its station."""
    time: str
    file: str
    state: str
    """``verdict``, ``waiting``, ``explained``, ``dropped``, ``failed`` or ``quarantined``."""
    verdict: Verdict | None
    """None where the station does not say which parts are NG."""
    answer: str
    """What the model says: a class, a text."""
    probability: float | None
    target: str = ""
    """What the map explains."""
    cautions: tuple[str, ...] = ()
    """Codes, the gravest first."""
    places: tuple[PlaceRecord, ...] = ()
    covering: CoveringRecord | None = None
    place_stability: float | None = None
    rcap: float | None = None
    roi_passed: bool | None = None
    reason: str = ""
    """Why there is no explanation, as the station wrote it; or the rule that made the part NG."""
    width: int = 0
    height: int = 0
    """Of the frame in pixels; 0 where it is not known."""
    frame: str = ""
    """Address of the frame's picture; empty without one."""
    map: str = ""
    """Address of the map alone, transparent where it is low."""
    picture: str = ""
    """Address of the picture with its caption, as the station drew it."""
    label: str = ""
    """The newest label that a person gave."""

    @property
    def address(self) -> str:
        """Address of the frame's own page."""
        return f"/frame/{self.key}"
