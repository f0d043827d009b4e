"""Rearrangements between channels and pixels."""

from __future__ import annotations

from tests.export.differentiate.gradient_check import Row

ROWS = [
    Row("DepthToSpace", ((2, 12, 3, 4),), {"blocksize": 2}),
    Row("DepthToSpace", ((2, 12, 3, 4),), {"blocksize": 2, "mode": "DCR"}),
    Row("DepthToSpace", ((2, 18, 3, 2),), {"blocksize": 3, "mode": "CRD"}),
    Row("SpaceToDepth", ((2, 3, 6, 4),), {"blocksize": 2}),
]
