"""The values of an explanation: map, scores, target, RCAP, places, cautions."""

from __future__ import annotations
