"""The passes that bring a model to canonical form, in order.

``canonicalise`` runs PASSES, and docs/operators.md is made from them: a pass that is in the tuple is run and
documented, and there is no other list.
"""

from __future__ import annotations

from gagrad_export.canonicalise.contract import Pass, Repeat, single_passes
from gagrad_export.canonicalise.fold.cut import CutAway
from gagrad_export.canonicalise.fold.folding import FoldConstants
from gagrad_export.canonicalise.fold.precision import ToFloat32
from gagrad_export.canonicalise.fold.rounding import PadCeilPooling
from gagrad_export.canonicalise.fold.simplification import LATE_RULES, RULES, Simplify
from gagrad_export.canonicalise.fold.unused import RemoveUnused
from gagrad_export.canonicalise.interface.image import EnterImage
from gagrad_export.canonicalise.interface.ports import ChoosePorts
from gagrad_export.canonicalise.interface.scores import LeaveScores
from gagrad_export.canonicalise.interface.tail import SplitTail
from gagrad_export.canonicalise.rewrite.chunk import MergeChunks
from gagrad_export.canonicalise.rewrite.col2im import ReplaceCol2Im
from gagrad_export.canonicalise.rewrite.deform_conv import ReplaceDeformConv
from gagrad_export.canonicalise.rewrite.dft import ReplaceDFT
from gagrad_export.canonicalise.rewrite.einsum_equation import SpellOutEinsum
from gagrad_export.canonicalise.rewrite.functions import ExpandFunctions
from gagrad_export.canonicalise.rewrite.group_normalisation import ReplaceGroupNormalisation
from gagrad_export.canonicalise.rewrite.inlining import InlineFunctions
from gagrad_export.canonicalise.rewrite.integer_refusal import RefuseIntegers
from gagrad_export.canonicalise.rewrite.max_unpool import ReplaceMaxUnpool
from gagrad_export.canonicalise.rewrite.neutral_element import DropNeutral
from gagrad_export.canonicalise.rewrite.opset import ConvertOpset
from gagrad_export.canonicalise.rewrite.pool_padding import FusePoolPadding
from gagrad_export.canonicalise.rewrite.quantisation import UnfoldQuantisation
from gagrad_export.canonicalise.rewrite.quantiser_pairs import RequireQuantiserPairs
from gagrad_export.canonicalise.rewrite.roi_align import ReplaceRoiAlign
from gagrad_export.canonicalise.rewrite.row_gather import GatherWithinRows
from gagrad_export.canonicalise.rewrite.row_index import DropRowIndex
from gagrad_export.canonicalise.rewrite.row_pick import PickWithinRows
from gagrad_export.canonicalise.rewrite.softmax import FuseSoftmax
from gagrad_export.canonicalise.rewrite.whole_write import DropWholeWrites
from gagrad_export.canonicalise.unroll.control_flow import UnrollControlFlow
from gagrad_export.canonicalise.unroll.recurrent import UnrollRecurrent
from gagrad_export.canonicalise.unroll.sequences import RefuseSequences, ReplaceSequences

ONE_OPSET: tuple[Pass, ...] = (
    InlineFunctions(),
    UnfoldQuantisation(),
    ConvertOpset(),
    ReplaceGroupNormalisation(),
)
"""Standard operators of opset 18 or later."""

SIMPLE_OPERATORS: tuple[Pass, ...] = (
    Repeat(PadCeilPooling()),
    # With a number for every dimension of the image, everything that is computed from shapes folds.
    Repeat(
        ReplaceSequences(),
        UnrollControlFlow(),
        first=(ExpandFunctions(), Repeat(FoldConstants(), most=8), RemoveUnused()),
    ),
    RefuseSequences(),
    ToFloat32(),
    Simplify(RULES),
    RequireQuantiserPairs(),
    DropNeutral(),
    ReplaceCol2Im(),
    ReplaceDeformConv(),
    ReplaceDFT(),
    ReplaceMaxUnpool(),
    ReplaceRoiAlign(),
    UnrollRecurrent(),
    FusePoolPadding(),
    SpellOutEinsum(),
    DropWholeWrites(),
    GatherWithinRows(),
    DropRowIndex(),
    MergeChunks(),
    PickWithinRows(),
    FuseSoftmax(),
    CutAway(),
)
"""Operators that have a derivative, for inputs of fixed shapes."""

PASSES: tuple[Pass, ...] = (
    *ONE_OPSET,
    ChoosePorts(),
    RefuseIntegers(),
    EnterImage(),
    *SIMPLE_OPERATORS,
    SplitTail(),
    RemoveUnused(),
    LeaveScores(),
    Simplify(LATE_RULES),
)
"""The whole way from a model as it was given to its canonical form."""


def rewritten_operators() -> dict[str, Pass]:
    """Return the pass that writes others in the place of an operator, by operator."""
    return {op_type: step for step in single_passes(PASSES) for op_type in step.operators}
