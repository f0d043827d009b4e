"""Part ids: the plant's own name of a part, found in the name of its frame by a pattern.

A frame's name comes from elsewhere, so a pattern must not take long on any: Python's ``re`` tries one way of
matching after the other. A pattern is refused at the start if a name of ``LONGEST`` characters could have it
try more than ``MOST_WAYS``; that is some 50 ms.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from gagrad_edge.printable import printable

if TYPE_CHECKING:
    from msgspec import UnsetType

GROUP = "part"
"""Name of the group that is the part's id."""
LONGEST = 100
"""Characters of the longest name in which an id is looked for."""
MOST_WAYS = 5_000_000
_PARSER: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_SINGLE = ("LITERAL", "NOT_LITERAL", "ANY", "IN")


class Parts:
    """Finds the ids of a station's parts; without a ``pattern`` there are none."""

    def __init__(self, pattern: str | None = None) -> None:
        self._pattern = None if pattern is None else re.compile(pattern)
        self._path = "/" in (pattern or "")

    def of(self, name: str) -> str | UnsetType | None:
        """Return the id of the part on the frame ``name``: None where the pattern finds none, UNSET without.

        The pattern is that of the whole name, without the folders in front of it unless it has a ``/``.
        """
        if self._pattern is None:
            return UNSET
        sought = name if self._path else name.rpartition("/")[2]
        found = self._pattern.fullmatch(sought) if len(sought) <= LONGEST else None
        return printable(found[GROUP] or "") or None if found else None


def check_pattern(pattern: str) -> None:
    """Raise ValueError for a ``pattern`` that is none, has no group ``part``, or may take long."""
    try:
        compiled = re.compile(pattern)
        tree = _PARSER.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"this is no regular expression ({error})") from error
    if GROUP not in compiled.groupindex:
        raise ValueError(f"there is no group (?P<{GROUP}>...)")
    repeats = Counter[str]()
    ways = _ways(tree, repeats)
    ways *= LONGEST ** repeats["open"] / math.factorial(repeats["open"])
    if ways > MOST_WAYS:
        raise ValueError("it may take long on some names: use fewer of * + ? {} |")


def _ways(tree: Any, repeats: Counter[str]) -> float:
    """Return in how many ways ``tree`` may match at one place, and count its repetitions without an end.

    Those share the characters of a name among them, so k of them have n^k / k! ways, and not n^k.
    """
    ways = 1.0
    for kind, value in tree:
        name = str(kind)
        if name in _REPEATS:
            least, most, repeated = value
            ways *= _repeated(int(least), int(most), repeated, repeats)
        elif name == "SUBPATTERN":
            ways *= _ways(value[-1], repeats)
        elif name == "BRANCH":
            ways *= sum(_ways(one, repeats) for one in value[1])
        elif name not in (*_SINGLE, "AT"):
            raise ValueError("looking ahead or back, and repeating what a group found, is not possible")
    return ways


def _repeated(least: int, most: int, tree: Any, repeats: Counter[str]) -> float:
    if least == most == 1 or most == 0:
        return _ways(tree, repeats)
    if len(tree) == 1 and str(tree[0][0]) in _SINGLE:
        if most - least >= LONGEST:
            repeats["open"] += 1
            return 1.0
        return most - least + 1.0
    if most == 1:
        return 1.0 + _ways(tree, repeats)
    raise ValueError("it repeats a group: only single characters and sets can be repeated")
