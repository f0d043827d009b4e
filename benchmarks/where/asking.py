"""What is measured beside the maps: the shortcut by intervention, and the cost."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import gagrad_runtime
from benchmarks.where import page, study
from benchmarks.where.bundles import bundle
from benchmarks.where.data import TEST, parts, with_sticker
from benchmarks.where.defects import SHORTCUT
from benchmarks.where.designs import DESIGNS
from benchmarks.where.networks import TITLES
from benchmarks.where.shares import Share
from benchmarks.where.training import kept

if TYPE_CHECKING:
    from collections.abc import Sequence

PASTED = 3
"""Good parts of each design that get a sticker."""
TIMED = 12
"""Parts whose explanations are timed."""


def figures(names: Sequence[str]) -> dict[str, Any]:
    """Return what the page needs beside the records of the maps."""
    stickers = {name: kept(f"stickers-{name}", partial(_stickers, name)) for name in names}
    times = {name: kept(f"times-{name}", partial(_times, name)) for name in names}
    table, faster = page.cost(times)
    flipped = "; ".join(f"{TITLES[name]} {Share(found)}" for name, found in stickers.items())
    return {
        "stickers": f"the sticker is pasted on good parts, and the answer becomes *scuff* on this share of them: {flipped}.",
        "formulas": study.table(names),
        "cost": table,
        "faster": faster,
    }


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
