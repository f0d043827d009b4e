"""Twelve part designs of three families: what is always there, and the features of which one may be missing.

Coordinates are relative to the part's centre in units of the image's side: (−0.5, −0.5) is the upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FAMILIES = ("machined", "textured", "assembled")

Kind = Literal["hole", "rivet", "chip", "capacitor", "resistor", "letter", "dot"]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Feature:
    """Something that every good part has: ``x, y`` is its centre, ``size`` its radius or half its height."""

    kind: Kind
    x: float
    y: float
    size: float
    text: str = ""
    turned: bool = False


@dataclass(frozen=True)
class Design:
    """One kind of part that a line makes."""

    family: str
    name: str
    outline: Literal["disc", "plate", "full"]
    surface: str
    """A material of ``examples.defects.surface``, a picture of scikit-image, ``board`` or ``paper``."""
    colour: Colour
    features: tuple[Feature, ...]
    """Any one of these can be missing."""
    others: tuple[Feature, ...] = ()
    """These never are."""


def _grid(kind: Kind, xs: tuple[float, ...], ys: tuple[float, ...], size: float) -> tuple[Feature, ...]:
    return tuple(Feature(kind, x, y, size) for y in ys for x in xs)


def _word(text: str, left: float, y: float, size: float, pitch: float) -> tuple[Feature, ...]:
    return tuple(
        Feature("letter", left + pitch * i, y, size, one) for i, one in enumerate(text) if one != " "
    )


DESIGNS = (
    Design(
        "machined",
        "flange",
        "disc",
        "steel",
        (0.52, 0.54, 0.56),
        tuple(
            Feature("hole", x, y, 0.045)
            for x, y in ((0.21, 0.21), (-0.21, 0.21), (-0.21, -0.21), (0.21, -0.21))
        ),
        (Feature("hole", 0.0, 0.0, 0.10),),
    ),
    Design(
        "machined",
        "plate",
        "plate",
        "brass",
        (0.60, 0.47, 0.22),
        _grid("hole", (-0.31, 0.0, 0.31), (-0.2, 0.2), 0.04),
    ),
    Design(
        "machined",
        "cover",
        "plate",
        "cast-iron",
        (0.26, 0.26, 0.27),
        (*_grid("rivet", (-0.3, 0.3), (-0.24, 0.24), 0.04), Feature("rivet", 0.0, -0.24, 0.04)),
        (Feature("hole", 0.0, 0.08, 0.12),),
    ),
    Design(
        "machined",
        "ring",
        "disc",
        "plastic",
        (0.16, 0.22, 0.30),
        tuple(Feature("hole", x, y, 0.05) for x, y in ((0.0, -0.28), (0.24, 0.14), (-0.24, 0.14))),
        (Feature("hole", 0.0, 0.0, 0.13),),
    ),
    Design(
        "textured",
        "brick",
        "full",
        "brick.png",
        (0.62, 0.42, 0.34),
        _grid("hole", (-0.25, 0.25), (-0.25, 0.25), 0.05),
    ),
    Design(
        "textured",
        "gravel",
        "full",
        "gravel.png",
        (0.52, 0.52, 0.50),
        _grid("rivet", (-0.28, 0.28), (-0.2, 0.2), 0.05),
    ),
    Design(
        "textured",
        "grass",
        "full",
        "grass.png",
        (0.36, 0.50, 0.28),
        (
            Feature("rivet", -0.25, 0.0, 0.05),
            Feature("rivet", 0.25, 0.0, 0.05),
            Feature("rivet", 0.0, -0.28, 0.05),
        ),
    ),
    Design(
        "textured",
        "print",
        "full",
        "coffee.png",
        (1.0, 1.0, 1.0),
        _grid("dot", (-0.3, -0.1, 0.1, 0.3), (0.36,), 0.04),
    ),
    Design(
        "assembled",
        "board",
        "full",
        "board",
        (0.05, 0.20, 0.10),
        (
            Feature("chip", -0.22, -0.18, 0.09),
            Feature("chip", 0.20, 0.20, 0.07, turned=True),
            Feature("capacitor", 0.24, -0.26, 0.06),
            Feature("capacitor", -0.30, 0.28, 0.05),
            *_grid("resistor", (0.05, 0.22, 0.36), (-0.04,), 0.025),
        ),
        _word("R17", -0.12, 0.40, 0.025, 0.05),
    ),
    Design(
        "assembled",
        "module",
        "full",
        "board",
        (0.04, 0.10, 0.28),
        (
            *_grid("resistor", (-0.32, -0.16, 0.0, 0.16, 0.32), (-0.30,), 0.028),
            *_grid("capacitor", (-0.24, 0.24), (0.27,), 0.055),
        ),
        (Feature("chip", 0.0, 0.0, 0.13),),
    ),
    Design(
        "assembled",
        "label",
        "full",
        "paper",
        (0.80, 0.79, 0.74),
        (*_word("LOT 47", -0.34, -0.24, 0.06, 0.135), *_word("EXP 09", -0.34, 0.06, 0.06, 0.135)),
        (Feature("dot", 0.0, 0.34, 0.05),),
    ),
    Design(
        "assembled",
        "keypad",
        "plate",
        "paper",
        (0.30, 0.31, 0.34),
        tuple(
            Feature("letter", x, y, 0.06, one)
            for one, (x, y) in zip(
                "123456789", ((x, y) for y in (-0.22, 0.0, 0.22) for x in (-0.26, 0.0, 0.26)), strict=True
            )
        ),
    ),
)
"""Four designs of each family."""
