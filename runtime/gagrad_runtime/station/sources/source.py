"""What every source of frames offers the station."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.frame.frame import Frame


class Arrival(Protocol):
    """One frame that came; nothing of it is read before it is asked for."""

    @property
    def name(self) -> str:
        """For people, and with the hash the frame's identity."""

    @property
    def path(self) -> Path | None:
        """The file that it is, if it is one."""

    def sha256(self) -> str:
        """Return the hash of its content. Raises InputError."""

    def frame(self) -> Frame:
        """Return its pixels. Raises InputError."""


class Source(Protocol):
    """Gives frames; used by one thread."""

    patient: bool
    """Whether what comes later is still there: then the station takes it as it can, and drops nothing."""
    ended: bool
    """Whether nothing will come any more."""

    def look(self) -> list[Arrival]:
        """Return what is new, oldest first; does not wait. Raises InputError when the source is away."""

    def again(self, name: str, sha256: str) -> Frame | None:
        """Return a frame that came in an earlier run, if the source still has it."""

    def wait(self, seconds: float) -> None:
        """Wait until something new may be there, at most so long."""

    def news(self) -> list[dict[str, Any]]:
        """Return what happened to the source since the last call: events with a ``state`` each."""

    def close(self) -> None:
        """Let go of it."""
