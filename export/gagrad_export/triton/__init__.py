"""A bundle as a model repository for NVIDIA's Triton Inference Server."""

from __future__ import annotations

from gagrad_export.triton.repository import write_repository

__all__ = ["write_repository"]
