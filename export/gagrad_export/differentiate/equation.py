"""The equation of an Einsum with its implied output and its ellipses written out."""

from __future__ import annotations

from collections import Counter
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def spelled_out(equation: str, ranks: Sequence[int]) -> list[str]:
    """Return the labels of the output, then of each operand; ``ranks`` are the operands' numbers of axes.

    An ellipsis becomes the same labels in every term, as onnx requires. An implied output has the labels that
    occur once, in alphabetical order. Labels are lower-case letters as long as 26 suffice.
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
