"""The bundle file: archive, container, reading and signing."""

from __future__ import annotations
