"""Explains the test parts with the product's own interface, and keeps one line for each part.

``python -m benchmarks.where.measuring [NETWORK or SETTING …]``. A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import gagrad_runtime
from benchmarks.where.bundles import bundle, reference
from benchmarks.where.data import TEST, Part, near, parts
from benchmarks.where.defects import CLASSES
from benchmarks.where.designs import DESIGNS
from benchmarks.where.gathering import SHUFFLED
from benchmarks.where.networks import MAKERS
from benchmarks.where.training import STORE
from gagrad_runtime.explanation.comparing import raw_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.where.designs import Design
    from gagrad_runtime.explanation.explanation import Explanation

COUNTS = {"present": 5, "missing": 5, "scuff": 3, "ok": 5}
"""Test parts of each design and network: each network is shown parts of its own."""
CALIBRATED = DESIGNS[::2]
"""Designs whose good parts are known: two of each family."""
EVERY = 14
"""One in so many is shown to the shuffled networks."""


@dataclass(frozen=True)
class Setting:
    """One way of explaining: what ``explain`` is given, and which parts are explained."""

    name: str
    settings: dict[str, Any]
    kinds: tuple[str, ...] = ("present", "absent", "shortcut", "ok")
    good: bool = False
    """With the good reference of the part's design."""
    shuffled: bool = False
    """With the network's weights shuffled."""


REASONS = ("present", "absent", "shortcut")
SETTINGS = (
    # The paper's program: noise 0.15, 20 samples, RCAP; the default until there was a preset for the floor.
    Setting("today", {"preset": "paper"}, REASONS),
    Setting("operator", {"preset": "operator"}),
    Setting("good", {"preset": "operator"}, good=True),
    Setting("shuffled", {"preset": "operator"}, shuffled=True),
)


class Opened:
    """A network's explainer: one for all designs, or one with the good parts of a design."""

    def __init__(self, name: str, *, good: bool = False) -> None:
        self._name, self._good = name, good
        self._design: Design | None = None
        self._explainer: gagrad_runtime.Explainer | None = None

    def of(self, design: Design) -> gagrad_runtime.Explainer:
        """Return the explainer for parts of ``design``."""
        if self._explainer is None or (self._good and design != self._design):
            self.close()
            good = reference(self._name, design) if self._good else False
            self._explainer = gagrad_runtime.load(bundle(self._name), device="cpu", threads=1, good=good)
            self._design = design
        return self._explainer

    def close(self) -> None:
        """Free what is open."""
        if self._explainer is not None:
            self._explainer.close()


def measured(name: str, setting: Setting, *, kept: bool = False) -> list[dict[str, Any]]:
    """Return the records of a network in a setting; with ``kept``, only those of earlier runs."""
    chosen = name + SHUFFLED if setting.shuffled else name
    if kept:
        return records(chosen, setting)
    opened = Opened(chosen, good=setting.good)
    try:
        return lines(chosen, setting, opened)
    finally:
        opened.close()


def _path(name: str, setting: Setting) -> Path:
    return STORE / f"test-{name}-{setting.name}.jsonl"


def records(name: str, setting: Setting) -> list[dict[str, Any]]:
    """Return what earlier runs kept."""
    path = _path(name, setting)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def lines(name: str, setting: Setting, opened: Opened) -> list[dict[str, Any]]:
    """Return one record for each test part; ``opened`` gives the explainer of a part's design."""
    kept = records(name, setting)
    done = {(one["design"], one["class"], one["number"]) for one in kept}
    with _path(name, setting).open("a") as file:
        for number, one in enumerate(test_parts(name)):
            key = (one.design.name, CLASSES[one.label], number)
            if (
                one.kind not in setting.kinds
                or key in done
                or (setting.good and one.design not in CALIBRATED)
            ):
                continue
            explainer = opened.of(one.design)
            start = time.perf_counter()
            explanation = explainer.explain(one.image, **setting.settings)
            seconds = time.perf_counter() - start
            record = {"number": number, "seconds": seconds, **_record(one, explanation)}
            file.write(json.dumps(record) + "\n")
            file.flush()
            kept.append(record)
    return kept


def test_parts(name: str) -> Iterator[Part]:
    """Yield the test parts; a shuffled network gets one in ``EVERY``."""
    series = TEST + list(MAKERS).index(name.removesuffix(SHUFFLED))
    for number, one in enumerate(parts(series, COUNTS)):
        if not name.endswith(SHUFFLED) or number % EVERY == 0:
            yield one


def _record(one: Part, explanation: Explanation) -> dict[str, Any]:
    """Return what the tables need of an explanation."""
    reach = near(one.mask)
    places = []
    for place in explanation.places:
        x, y = (min(max(int(value), 0), len(reach) - 1) for value in place.middle)
        places.append(
            {"x": x, "y": y, "share": place.share, "evidence": place.evidence, "hit": bool(reach[y, x])}
        )
    row, column = np.unravel_index(int(explanation.saliency.argmax()), explanation.saliency.shape)
    covering = explanation.covering
    return {
        "design": one.design.name,
        "family": one.design.family,
        "class": CLASSES[one.label],
        "kind": one.kind,
        "answer": CLASSES[explanation.target.index[0]],
        "probability": explanation.probability,
        "places": places,
        "highest": bool(reach[row, column]),
        "mass": float(explanation.saliency[reach].sum() / max(float(explanation.saliency.sum()), 1e-12)),
        "cautions": [caution.code for caution in explanation.cautions],
        "covering": None
        if covering is None
        else {
            "before": covering.before,
            "places": covering.places,
            "changed": covering.changed,
            "controls": covering.controls,
            "controls_changed": covering.controls_changed,
        },
        "reach": None
        if explanation.scale is None
        else float(raw_map(explanation)[0].max() / explanation.scale.value),
        "place_stability": explanation.place_stability,
        "rcap": None if explanation.rcap is None else explanation.rcap.score,
        "stability": explanation.stability,
    }


if __name__ == "__main__":
    wanted = {one.name for one in SETTINGS if one.name in sys.argv[1:]} or {one.name for one in SETTINGS}
    for chosen in [name for name in MAKERS if name in sys.argv[1:]] or MAKERS:
        for one in SETTINGS:
            if one.name in wanted:
                print(chosen, one.name, len(measured(chosen, one)), "parts", flush=True)
