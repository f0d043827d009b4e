"""Canonical form: one graph that the rest of the exporter can rely on.

One floating-point image input ``[N, C, H, W]`` with fixed C, H, W and a free batch; one score output
``[N, K…]`` before any Softmax or Sigmoid; functions inlined, constants folded, BatchNorm in its convolution,
opset 18 or later; every value typed and shaped.
"""

from __future__ import annotations

from gagrad_export.canonicalise.canonical import Canonical, canonicalise

__all__ = ["Canonical", "canonicalise"]
