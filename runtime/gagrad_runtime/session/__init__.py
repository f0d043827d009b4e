"""A bundle that is open on a device: loading, checks of the engine, and the explainer."""

from __future__ import annotations
