"""A model of an old opset, converted for the nodes that are written behind its outputs.

Before: opset 9, where the bounds of a Slice are attributes. After: opset 18, with the same outputs, which is
checked on the probe's frames: later stages compare with the converted model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from gagrad_edge.errors import ModelError
from gagrad_export.canonicalise.rewrite.opset import OPSET, ConvertOpset

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import NDArray

    from gagrad_export.arrange.arranged import Probe

_OLDEST = 11
"""The first opset whose Slice, Clip, Gather and TopK are written as in all later ones."""
_CLOSE = 1e-4
"""Largest difference of two computations of an output, relative to its largest value."""


def converted(model: onnx.ModelProto, probe: Probe) -> onnx.ModelProto:
    """Return ``model`` in an opset that nodes can be added to: as it is where it has one, else converted.

    Raises ModelError where it cannot be converted, or answers otherwise then.
    """
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), OPSET)
    if opset >= _OLDEST:
        return model
    copy = ir.serde.deserialize_model(model)
    ConvertOpset().call(copy)
    made = ir.serde.serialize_model(copy)
    if not _agree(probe.run(model), probe.run(made)):
        raise ModelError(
            f"the model answers otherwise when its opset {opset} is converted to {OPSET}",
            hint=f"export it with opset {_OLDEST} or later",
        )
    return made


def _agree(given: Mapping[str, NDArray[np.float32]], made: Mapping[str, NDArray[np.float32]]) -> bool:
    """Whether each output of the one is an output of the other, with the same values."""
    return given.keys() == made.keys() and all(
        values.shape == made[name].shape
        and np.allclose(values, made[name], rtol=0, atol=_CLOSE * float(np.abs(values).max(initial=0)))
        for name, values in given.items()
    )
