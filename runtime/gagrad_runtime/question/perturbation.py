"""Perturbations of samples beside noise: the user's ranges, and values drawn from them by a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import SettingError
from gagrad_edge.method.perturbation import COLUMNS, IDENTITY, MAX_ANGLE, MAX_BLUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_LIMITS = {
    "gain": 0.9,
    "offset": 1.0,
    "shift": 256.0,
    "angle": math.degrees(MAX_ANGLE),
    "flip": 1.0,
    "blur": float(MAX_BLUR),
    "read_noise": 1.0,
    "shot_noise": 1.0,
}
"""Largest value of each range."""

_WHERE = "perturb"


@dataclass(frozen=True)
class Perturbations:
    """Range of each perturbation; every sample draws its value uniformly from the range.

    The defaults are the variation of a well-kept inspection line. Raises SettingError for a value out of
    range.
    """

    gain: float = 0.1
    """Exposure between 1 − gain and 1 + gain."""
    offset: float = 0.0
    """Added to the pixel values (0..1), between − offset and + offset."""
    shift: float = 2.0
    """Translation along each axis in pixels of the model's image, between − shift and + shift."""
    angle: float = 2.0
    """Rotation in degrees, between − angle and + angle; at most 10."""
    flip: bool = False
    """Whether a sample is flipped left-right, with probability 1/2."""
    blur: float = 1.0
    """Radius of defocus between 0 and this, in pixels; at most 3."""
    read_noise: float = 0.0
    """Standard deviation of the sensor's read noise in pixel values (0..1); the same for all samples."""
    shot_noise: float = 0.0
    """Variance of the sensor's shot noise divided by the signal: the pixel value (0..1) of one electron;
    the same for all samples."""

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise SettingError(f"{name}={value:g} is not between 0 and {limit:g}", where=_WHERE)

    def rows(self, samples: int, seed: int) -> Array:
        """Return ``perturbation [T, P]`` float32: one row per sample.

        The columns are those of ``gagrad_edge.method.perturbation``.

        The first k rows are the same for every T ≥ k. The random numbers come from another part of the
        sequence of ``Philox(seed)`` than the noise bank's, so both can use the same seed.
        """
        generator = np.random.Generator(np.random.Philox(seed).jumped())
        uniform = dict(zip(COLUMNS, generator.random((samples, len(COLUMNS))).T, strict=True))
        either = {name: 2 * values - 1 for name, values in uniform.items()}
        identity = {name: np.full(samples, value) for name, value in zip(COLUMNS, IDENTITY, strict=True)}
        columns = identity | {
            "gain": 1 + self.gain * either["gain"],
            "offset": self.offset * either["offset"],
            "shift_y": self.shift * either["shift_y"],
            "shift_x": self.shift * either["shift_x"],
            "angle": math.radians(self.angle) * either["angle"],
            "flip": (uniform["flip"] < 0.5) * float(self.flip),
            "blur": self.blur * uniform["blur"],
            "read_noise": np.full(samples, self.read_noise),
            "shot_noise": np.full(samples, self.shot_noise),
        }
        return np.stack([columns[name] for name in COLUMNS], axis=1).astype(np.float32)


NONE = Perturbations(gain=0, shift=0, angle=0, blur=0)
"""Every sample is the image as it is."""


def parse_perturbations(text: str) -> Perturbations:
    """Return the ranges in ``text``, such as ``gain=0.1,shift=2,angle=2,blur=1,flip``.

    What is not named is off; ``default`` gives the defaults. Raises SettingError.
    """
    if text.strip() == "default":
        return Perturbations()
    names = [field.name for field in fields(Perturbations)]
    values: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = (part.strip() for part in item.partition("="))
        if name not in names:
            raise SettingError(
                f"there is no perturbation {name!r}" if name else f"a name is missing in {text!r}",
                where=_WHERE,
                hint="give NAME=RANGE with commas between, such as gain=0.1,shift=2,blur=1; or default",
                choices=names,
            )
        if name in values:
            raise SettingError(f"{name} is given twice", where=_WHERE)
        values[name] = 1.0 if name == "flip" and not equals else _number(name, number)
    ranges = {"gain": 0.0, "shift": 0.0, "angle": 0.0, "blur": 0.0} | values
    flip = ranges.pop("flip", 0.0)
    if flip not in (0, 1):
        raise SettingError(f"flip={flip:g} is neither on (1) nor off (0)", where=_WHERE)
    return Perturbations(flip=bool(flip), **ranges)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingError(
            f"{name}={text} has no number behind it", where=_WHERE, hint=f"give a range such as {name}=0.5"
        ) from None
