"""Verification: the graphs that will ship are run and compared with independent answers."""

from __future__ import annotations

from gagrad_export.verify.checks import verify
from gagrad_export.verify.frame_scores import scores_on_frames
from gagrad_export.verify.sessions import Sessions

__all__ = ["Sessions", "scores_on_frames", "verify"]
