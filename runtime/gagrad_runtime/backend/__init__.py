"""Backends: one interface over the engines that run a bundle's graphs."""

from __future__ import annotations

from gagrad_runtime.backend.base import Backend, Runner, Tensor
from gagrad_runtime.backend.select import open_backend

__all__ = ["Backend", "Runner", "Tensor", "open_backend"]
