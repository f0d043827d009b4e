"""Keys, signature envelopes and release statements."""

from __future__ import annotations
