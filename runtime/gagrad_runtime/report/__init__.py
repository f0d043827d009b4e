"""An explanation as people and programs read it: picture, caption, JSON record, result files."""

from __future__ import annotations
