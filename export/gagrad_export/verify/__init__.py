"""Verification: the graphs that will ship are run and compared with independent answers."""

from __future__ import annotations

from gagrad_export.verify.sessions import Graphs, Sessions
from gagrad_export.verify.verify import verify

__all__ = ["Graphs", "Sessions", "verify"]
