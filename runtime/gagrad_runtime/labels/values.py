"""Images with labels, as every form of file knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels of the frame."""
Format = Literal["cvat", "coco", "label-studio", "csv"]
FORMATS: dict[Format, tuple[str, str]] = {
    "cvat": ("labels.cvat.xml", "application/xml"),
    "coco": ("labels.coco.json", "application/json"),
    "label-studio": ("labels.label-studio.json", "application/json"),
    "csv": ("labels.csv", "text/csv; charset=utf-8"),
}
"""File name and type of each."""


class Label(Protocol):
    """A label that a person gave."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def label(self) -> str:
        """What it says."""

    @property
    def who(self) -> str:
        """Who gave it."""

    @property
    def at(self) -> int:
        """When, in seconds of UTC."""

    @property
    def box(self) -> Box | None:
        """What it is said of; None for the whole frame."""


class Labelled(NamedTuple):
    """A frame with the labels that count."""

    id: int
    station: str
    name: str
    part: str
    time: int
    height: int
    """In pixels; 0 where it is not known."""
    width: int
    labels: Sequence[Label]
    more: Mapping[str, Any] = {}
    """What else is known of it, for the forms that have a place for it."""
