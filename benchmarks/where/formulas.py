"""Maps made of what was gathered, for the comparison of formulas: every one is ``[H, W]``, not scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.where.drawing import SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.where.gathering import Gathered


Array = NDArray[np.float32]

CONTRAST = -1
"""Number of the level whose gradients are of the difference to the class ok."""
POOL = 0.025
"""Standard deviation of the pooling, relative to the side."""


@dataclass(frozen=True)
class Sight:
    """One part as a formula sees it; every term is scaled to at most 1."""

    found: Gathered
    difference: Mapping[str, Array] | None = None
    """To good parts, by representation, see ``aligning.differences``; None where there are none."""
    good: Array | None = None
    """√E[g²] at good parts, at this part's pose."""

    def g(self, level: int = 1, samples: int = 5, pool: float = POOL) -> Array:
        """Return √E[g²], pooled; ``level`` is a number of ``gathering.LEVELS``."""
        return scaled(pooled(strength(self.found.magnitude[level][:samples]), pool))

    @cached_property
    def both(self) -> Array:
        """√E[g²] here and at good parts, added."""
        return (
            self.g()
            if self.good is None
            else np.asarray(self.g() + scaled(pooled(self.good, POOL)), np.float32)
        )

    def cam(self, name: str) -> Array:
        """Return a class activation map, see ``Gathered.cams``."""
        return enlarged(self.found.cams[name])

    @property
    def c(self) -> Array:
        """Grad-CAM of the last layer."""
        return self.cam("last-grad")

    @property
    def l(self) -> Array:  # noqa: E743 - the letter in the formulas
        """LayerCAM of the last layer."""
        return self.cam("last-layer")

    @property
    def m(self) -> Array:
        """Activation times gradient, summed over the features, of an earlier layer."""
        return self.cam("middle-element")

    @cached_property
    def against_ok(self) -> Array:
        """The higher of C and L, of the difference to the class ok."""
        c, l = (self.cam(f"last-{kind}-contrast") for kind in ("grad", "layer"))  # noqa: E741 - as above
        return np.asarray(np.maximum(c, l), np.float32)

    def d(self, seen: str = "colour 0.3") -> Array:
        """Return the difference to good parts."""
        if self.difference is None:
            raise ValueError("there are no good parts")
        return scaled(self.difference[seen])


Formula = Callable[[Sight], NDArray[np.float32]]

FORMULAS: dict[str, Formula] = {
    "g": lambda s: s.g(),
    "g, noise 0.02": lambda s: s.g(0),
    "g, noise 0.10": lambda s: s.g(2),
    "g, noise 0.15": lambda s: s.g(3),
    "C": lambda s: s.c,
    "L": lambda s: s.l,
    "M": lambda s: s.m,
    "g·C": lambda s: s.g() * s.c,
    "g·√C": lambda s: s.g() * np.sqrt(s.c),
    "g·L": lambda s: s.g() * s.l,
    "g·M": lambda s: s.g() * s.m,
    "g·(C + L)": lambda s: s.g() * (s.c + s.l),
    "g·max(C, L)": lambda s: s.g() * np.maximum(s.c, s.l),
    "g·max(C, L), noise 0.02": lambda s: s.g(0) * np.maximum(s.c, s.l),
    "g·max(C, L), noise 0.10": lambda s: s.g(2) * np.maximum(s.c, s.l),
    "g·max(C, L), noise 0.15": lambda s: s.g(3) * np.maximum(s.c, s.l),
    "g·max(C, L), T = 1": lambda s: s.g(samples=1) * np.maximum(s.c, s.l),
    "g·max(C, L), T = 2": lambda s: s.g(samples=2) * np.maximum(s.c, s.l),
    "g·max(C, L), T = 4": lambda s: s.g(samples=4) * np.maximum(s.c, s.l),
    "g·max(C, L), not pooled": lambda s: s.g(pool=0) * np.maximum(s.c, s.l),
    "g·max(C, L), pooled 0.015": lambda s: s.g(pool=0.015) * np.maximum(s.c, s.l),
    "g·max(C, L), pooled 0.04": lambda s: s.g(pool=0.04) * np.maximum(s.c, s.l),
    "g·max(C, L), pooled 0.06": lambda s: s.g(pool=0.06) * np.maximum(s.c, s.l),
    "g·max(C, L, M)": lambda s: s.g() * np.maximum(np.maximum(s.c, s.l), s.m),
    "g·C, both against ok": lambda s: s.g(CONTRAST) * s.cam("last-grad-contrast"),
    "M, against ok": lambda s: s.cam("middle-element-contrast"),
    "g·max(C, L), g against ok": lambda s: s.g(CONTRAST) * np.maximum(s.c, s.l),
    "g·max(C, L), both against ok": lambda s: s.g(CONTRAST) * s.against_ok,
    "g·max(C, L), both against ok, T = 3": lambda s: s.g(CONTRAST, samples=3) * s.against_ok,
    "g·(max(C, L) + M), all against ok": lambda s: (
        s.g(CONTRAST) * (s.against_ok + s.cam("middle-element-contrast"))
    ),
}
"""Without good parts. g is √E[g²] of 5 copies at noise 0.05, pooled with 0.025 of the side."""
GOOD: dict[str, Formula] = {
    "d": lambda s: s.d(),
    "d in grey": lambda s: s.d("grey 0.3"),
    "d without shade": lambda s: s.d("detail 0.3"),
    "(g + g′)·d": lambda s: s.both * s.d(),
    "C·d": lambda s: s.c * s.d(),
    "(g + g′)·d·√C": lambda s: s.both * s.d() * np.sqrt(s.c),
    "(g + g′)·d·√C in grey": lambda s: s.both * s.d("grey 0.3") * np.sqrt(s.c),
    "(g + g′)·d·√(C + L + 0.1)": lambda s: s.both * s.d() * np.sqrt(s.c + s.l + 0.1),
    "√(g + g′)·d·√(C + L + 0.1)": lambda s: np.sqrt(s.both) * s.d() * np.sqrt(s.c + s.l + 0.1),
    "√(g + g′)·d·√(C + L + 0.1) in grey": lambda s: (
        np.sqrt(s.both) * s.d("grey 0.3") * np.sqrt(s.c + s.l + 0.1)
    ),
    "√(g + g′)·d·√(C + L + 0.1) without shade": lambda s: (
        np.sqrt(s.both) * s.d("detail 0.3") * np.sqrt(s.c + s.l + 0.1)
    ),
    "√(g + g′)·d²·√(C + L + 0.1)": lambda s: np.sqrt(s.both) * s.d() ** 2 * np.sqrt(s.c + s.l + 0.1),
    "√g·d·√(C + L + 0.1)": lambda s: np.sqrt(s.g()) * s.d() * np.sqrt(s.c + s.l + 0.1),
    "d·√(C + L + 0.1)": lambda s: s.d() * np.sqrt(s.c + s.l + 0.1),
}
"""With good parts, whose gradient is g′."""
SECOND: dict[str, Formula] = {
    "C": lambda s: s.c,
    "L": lambda s: s.l,
    "g·C": lambda s: s.g() * s.c,
    "g·max(C, L)": lambda s: s.g() * np.maximum(s.c, s.l),
    "g, pooled 0.06, ·C": lambda s: s.g(pool=0.06) * s.c,
    "g, pooled 0.06, ·max(C, L)": lambda s: s.g(pool=0.06) * np.maximum(s.c, s.l),
    "M": lambda s: s.m,
    "C, against ok": lambda s: s.cam("last-grad-contrast"),
    "g, pooled 0.06, ·C, both against ok": lambda s: s.g(CONTRAST, pool=0.06) * s.cam("last-grad-contrast"),
    "g, pooled 0.06, ·max(C, L), both against ok": lambda s: s.g(CONTRAST, pool=0.06) * s.against_ok,
    "M, against ok": lambda s: s.cam("middle-element-contrast"),
}
"""Where place 2 is looked for, ``AWAY`` from place 1 of ``CHOSEN``."""
CHOSEN = "g·max(C, L), both against ok"
AWAY = 0.12


def pooled(values: Array, sigma: float) -> Array:
    """Return ``values`` softened by a Gaussian of ``sigma`` relative to the side."""
    if sigma <= 0:
        return values
    return np.asarray(
        cv2.GaussianBlur(values, (0, 0), sigma * SIZE, borderType=cv2.BORDER_REFLECT), np.float32
    )


def scaled(values: Array) -> Array:
    """Return ``values`` with a maximum of 1."""
    return np.asarray(values / max(float(values.max()), 1e-12), np.float32)


def enlarged(cam: Array) -> Array:
    """Return a class activation map ``[h, w]`` at the image's size, scaled to 0..1."""
    return scaled(np.asarray(cv2.resize(cam, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32))


def strength(magnitude: Array) -> Array:
    """Return √E[g²] of copies ``[T, H, W]``."""
    return np.asarray(np.sqrt(np.square(magnitude).mean(0)), np.float32)


def peak(values: Array) -> tuple[int, int]:
    """Return row and column of the highest value."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def second(values: Array, first: tuple[int, int], away: float = AWAY) -> tuple[int, int]:
    """Return the highest place at least ``away`` of the side from ``first``."""
    left = values.copy()
    cv2.circle(left, (first[1], first[0]), int(away * SIZE), float(values.min()), -1)
    return peak(left)


def apart(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return the distance of two places relative to the side."""
    return float(np.hypot(a[0] - b[0], a[1] - b[1]) / SIZE)
