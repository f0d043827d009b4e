"""onnx's reference evaluator, with the operators mended that it computes wrongly or in float32 only."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_conv_transpose import ConvTranspose as ReferenceConvTranspose

from gagrad_export.verify.reference_operators import LRN, Erf, Gelu, LpNormalization


class ConvTranspose(ReferenceConvTranspose):
    """A grouped one: the reference splits the weights by output channels, where inputs lie on that axis."""

    def _run(self, x: Any, w: Any, b: Any = None, group: int = 1, **attributes: Any) -> tuple[Any]:
        pairs = zip(np.split(x, group, 1), np.split(w, group), strict=True)
        parts = [super(ConvTranspose, self)._run(*pair, None, group=1, **attributes)[0] for pair in pairs]
        y = np.concatenate(parts, 1)
        return (y if b is None else y + b.reshape(-1, *[1] * (y.ndim - 2)),)


def evaluator(model: onnx.ModelProto) -> ReferenceEvaluator:
    """Return the evaluator of ``model`` in the types that it states."""
    return ReferenceEvaluator(model, new_ops=[ConvTranspose, Erf, Gelu, LRN, LpNormalization])
