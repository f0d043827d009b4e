"""The frames that wait for their explanation: so many at most, and only some of their pixels in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gagrad_runtime.frame.frame import Frame
    from gagrad_runtime.station.reuse import Answer

BYTES = 256 << 20
"""Most bytes of pixels in memory. Frames beyond are read again when it is their turn."""


@dataclass
class Pending:
    """A frame that waits."""

    number: int
    """Number of its row."""
    name: str
    sha256: str
    frame: Frame | None
    """None when it is to be read again."""
    answer: Answer | None = None
    """What the model said of it; None where that is not known any more, or of no use."""
    question: dict[str, str] | None = None
    """What is to be explained by the rule, as keywords of ``explain``; None where that is not known."""


class Waiting:
    """The queue; its oldest frame is explained next."""

    def __init__(self, most: int, size: int = BYTES) -> None:
        self.most = most
        self._size = size
        self._held = 0
        self._frames: deque[Pending] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return len(self._frames) >= self.most

    def put(self, pending: Pending) -> Pending | None:
        """Put ``pending`` at the end; return the oldest, taken out, when there are too many."""
        size = 0 if pending.frame is None else pending.frame.pixels.nbytes
        if self._held + size > self._size:
            pending.frame, size = None, 0
        self._held += size
        self._frames.append(pending)
        return self.take() if len(self._frames) > self.most else None

    def take(self) -> Pending:
        """Take the oldest out."""
        pending = self._frames.popleft()
        self._held -= 0 if pending.frame is None else pending.frame.pixels.nbytes
        return pending
