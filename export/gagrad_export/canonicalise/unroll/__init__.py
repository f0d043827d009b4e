"""Passes that write out loops, branches, recurrent layers and sequences."""

from __future__ import annotations
