"""What is measured beside the maps: the shortcut by intervention, and the cost."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import gagrad_runtime
from benchmarks.where import breaking, page, study, trust
from benchmarks.where.bundles import bundle
from benchmarks.where.data import TEST, parts, with_sticker
from benchmarks.where.defects import SHORTCUT
from benchmarks.where.designs import DESIGNS
from benchmarks.where.networks import TITLES
from benchmarks.where.shares import Share
from benchmarks.where.training import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PASTED = 3
"""Good parts of each design that get a sticker."""
TIMED = 12
"""Parts whose explanations are timed."""


def figures(names: Sequence[str], *, only_kept: bool = False) -> dict[str, Any]:
    """Return what the page needs beside the records of the maps."""

    def each(what: str, make: Callable[[str], Any]) -> dict[str, Any]:
        found = {name: kept(f"{what}-{name}", None if only_kept else partial(make, name)) for name in names}
        return {name: value for name, value in found.items() if value}

    found = {
        "formulas": study.table(names, only_kept=only_kept),
        "trust": trust.table(names, only_kept=only_kept),
    }
    if stickers := each("stickers", _stickers):
        shares = "; ".join(f"{TITLES[name]} {Share(answers)}" for name, answers in stickers.items())
        found["stickers"] = (
            f"pasted on good parts, the sticker makes the answer *scuff* on this share: {shares}."
        )
    if times := each("times", _times):
        found["cost"], found["faster"] = page.cost(times)
    if broken := each("broken", breaking.noticed):
        found["broken"], found["noticed"] = page.broken(broken)
    return found


def _stickers(name: str) -> list[bool]:
    """Return whether the answer becomes the shortcut's class, for good parts that are called ok."""
    found = []
    with gagrad_runtime.load(bundle(name), device="cpu", threads=1) as explainer:
        for design in DESIGNS:
            for number in range(PASTED):
                plain, pasted, _ = with_sticker(TEST, number, design)
                if explainer.predict(plain).classes[0][0] == "ok":
                    found.append(explainer.predict(pasted).classes[0][0] == SHORTCUT)
    return found


def _times(name: str) -> dict[str, list[float]]:
    """Return the seconds of today's and the operator's explanation of the same parts, in turn."""
    chosen = list(parts(TEST, {"present": 1}))[:TIMED]
    seconds: dict[str, list[float]] = {"today": [], "operator": []}
    with gagrad_runtime.load(bundle(name), device="cpu", threads=1) as explainer:
        for turn, one in enumerate((chosen[0], *chosen)):
            for key, preset in (("today", "paper"), ("operator", "operator")):
                start = time.perf_counter()
                explainer.explain(one.image, preset=preset)
                if turn:  # the first opens the graphs
                    seconds[key].append(time.perf_counter() - start)
    return seconds
