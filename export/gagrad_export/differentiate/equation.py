"""The equation of an Einsum, with everything that it leaves to be understood written out."""

from __future__ import annotations

from collections import Counter
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def spelled_out(equation: str, ranks: Sequence[int]) -> list[str]:
    """Return the labels of the output and of operands of these ``ranks``, in lower case if that suffices.

    An ellipsis becomes labels, as many in every term: onnx wants it to stand for as many axes everywhere. An
    output that is implied has the labels that occur once, in alphabetic order.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    counts = Counter(left.replace(",", "").replace(".", ""))
    if not arrow:
        right = "..." * ("..." in left) + "".join(sorted(label for label in counts if counts[label] == 1))
    texts = left.split(",")
    spare = [label for label in ascii_lowercase + ascii_uppercase if label not in counts]
    hidden = max(rank - len(text.replace("...", "")) for rank, text in zip(ranks, texts, strict=True))
    ellipsis = "".join(spare[:hidden])
    names = dict(zip(sorted(set(counts) & set(ascii_uppercase)), spare[hidden:], strict=False))
    terms = [text.replace("...", ellipsis) for text in (right, *texts)]
    return ["".join(names.get(label, label) for label in term) for term in terms]
