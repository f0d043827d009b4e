"""One check of an engine with known answers, and what it found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check: a measured value and the largest that is allowed."""

    check: str
    """The measured quantity, in words to be followed by its value."""
    found: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the value is at most the allowed one; False for NaN."""
        return self.found <= self.allowed

    def __str__(self) -> str:
        return f"{self.check} {self.found:.2g} (allowed {self.allowed:.2g})"
