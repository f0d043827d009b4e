"""Passes that fold constants, infer shapes and types, and simplify."""

from __future__ import annotations
