"""From the outputs that a model has to the outputs that its task needs: one finder for each task."""

from __future__ import annotations

from gagrad_export.arrange.arranged import Arranged, Finder, Probe, Wishes
from gagrad_export.arrange.choose import arrange
from gagrad_export.arrange.stated import Stated, stated

__all__ = ["Arranged", "Finder", "Probe", "Stated", "Wishes", "arrange", "stated"]
