"""The values of an explanation: map, scores, target, RCAP, salient regions, cautions."""

from __future__ import annotations
