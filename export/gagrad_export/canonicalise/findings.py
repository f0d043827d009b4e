"""What one canonicalisation was asked for, and what its passes found, kept with the model that they change.

Passes are shared between models and hold nothing of one model themselves. onnx_ir's place for what one pass
tells the next is ``model.meta``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from gagrad_export.canonicalise.interface.activation import Steps
    from gagrad_export.canonicalise.interface.source import SourceInput, SourceOutput

_KEY = "gagrad.findings"


class Known(enum.IntEnum):
    """What is known of the shapes of a graph's values; each level includes those before it.

    Types are inferred together with shapes. For a few values of eight bits and less, onnx infers a shape and
    no type: passes refuse these values where the type matters.
    """

    NOTHING = 0
    SOME = 1
    """Inferred as far as possible: behind a Loop or an If there may be values without a shape."""
    ALL = 2
    """Every value has a shape; dimensions may be symbols."""
    FIXED = 3
    """Every value has a shape, and all dimensions are numbers."""


@dataclass(frozen=True)
class Request:
    """What the caller of ``canonicalise`` asks for; parameters as there."""

    size: tuple[int, int] | None = None
    channels: int | None = None
    input_name: str | None = None
    output_name: str | None = None
    class_axis: int | None = None
    fixed: Mapping[str, ArrayLike] = field(default_factory=dict)
    split: bool = True


@dataclass
class Findings:
    """What the passes found of one model; each field is set by the pass that is named with it."""

    request: Request = field(default_factory=Request)
    known: Known = Known.NOTHING
    """What is known of types and shapes; kept by ``infer_shapes``, ``invalidate_shapes`` and ``run``."""
    notes: list[str] = field(default_factory=list)
    """What was changed or assumed, in sentences for the user."""
    value_names: frozenset[str] = frozenset()
    """Names of the values inside the graph that can be explained (ChoosePorts)."""
    constants: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """The inputs that are not the image, by name (ChoosePorts)."""
    output_name: str = ""
    """Name of the output in the model's file (ChoosePorts)."""
    source_input: SourceInput | None = None
    """How to feed the model as it was given (EnterImage)."""
    precision: ir.DataType = ir.DataType.FLOAT
    """The least exact floating-point type that the model computes in (ToFloat32)."""
    straight_through: int = 0
    """Number of quantisers that the gradient passes straight through (RequireQuantiserPairs)."""
    activation: str | None = None
    """Operator of the activation that was taken off the end (SplitTail)."""
    class_axis: int | None = None
    """Axis of the output that the activation runs over, where it has one (SplitTail)."""
    behind: Steps = ()
    """Arithmetic between that activation and the output (SplitTail)."""
    plain: str | None = None
    """Why the output is no probability though an activation lies in front of it (SplitTail)."""
    source_output: SourceOutput | None = None
    """How to read the output of the model as it was given (LeaveScores)."""


def start(model: ir.Model, request: Request) -> None:
    """Begin the canonicalisation of ``model``: what its passes find goes into new findings."""
    model.meta[_KEY] = Findings(request)


def findings_of(model: ir.Model) -> Findings:
    """Return the findings on ``model``; empty ones where no pass has run on it yet."""
    if _KEY not in model.meta:
        start(model, Request())
    found: Findings = model.meta[_KEY]
    return found
