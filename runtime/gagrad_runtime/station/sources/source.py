"""The interface of a source of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.station.events import SourceEvent


class Arrival(Protocol):
    """One new frame of a source. Its pixels are read when they are asked for."""

    @property
    def name(self) -> str:
        """Name of the frame; with the hash its identity."""

    @property
    def path(self) -> Path | None:
        """File of the frame; None for a frame of a stream."""

    def sha256(self) -> str:
        """Return the SHA-256 of the frame's content. Raises InputError."""

    def frame(self) -> Frame:
        """Return the frame. Raises InputError."""


class Source(Protocol):
    """A source of frames; used by one thread."""

    lossless: bool
    """Whether frames wait in the source until they are polled. The station then drops none of them."""
    ended: bool
    """Whether no frame will come any more."""

    def poll(self) -> list[Arrival]:
        """Return the new frames, oldest first, without waiting. Raises InputError when the source is away."""

    def reload(self, name: str, sha256: str) -> Frame | None:
        """Return a frame of an earlier run if the source still has it, else None."""

    def wait(self, seconds: float) -> bool:
        """Wait until a new frame may be there, at most ``seconds``; return whether one may be."""

    def events(self) -> list[SourceEvent]:
        """Return the changes of the source's state since the last call."""

    def close(self) -> None:
        """Close the source."""
