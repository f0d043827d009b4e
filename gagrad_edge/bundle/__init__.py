"""The bundle file: archive, container, reading, writing and signing."""

from __future__ import annotations
