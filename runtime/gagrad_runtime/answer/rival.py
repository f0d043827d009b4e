"""The rival of an answer: the class for good parts, against which the operator's map explains a defect.

A person at the line asks why a part is NG rather than OK. The gradient of one class's score alone also tells
what speaks for every class alike, such as the part's own edges. In the difference that falls away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gagrad_runtime.answer.good import good_name
from gagrad_runtime.question.target import element_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gagrad_edge.output import OutputSpec
    from gagrad_runtime.question.target import Target


def against_good(target: Target, scores: NDArray[np.float32], spec: OutputSpec) -> Target:
    """Return ``target`` against the class for good parts: of several the one with the largest of ``scores``.

    ``target`` as it is where it is such a class or a difference already, and where no name of a class says
    that it is for good parts.
    """
    if spec.task != "classification" or len(spec.shape) != 1 or target.against_index is not None:
        return target
    good = [number for number, name in enumerate(spec.classes) if good_name(name, ())]
    if not good or target.index[0] in good:
        return target
    rival = (max(good, key=lambda number: float(scores[number])),)
    return replace(target, against_index=rival, against_name=element_name(rival, spec))
