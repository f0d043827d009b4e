"""Passes that write one operator in terms of others."""

from __future__ import annotations
