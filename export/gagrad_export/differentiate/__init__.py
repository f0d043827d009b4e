"""Reverse-mode differentiation of an ONNX graph, into ONNX operators."""

from __future__ import annotations

from gagrad_export.differentiate.walk import gradients

__all__ = ["gradients"]
