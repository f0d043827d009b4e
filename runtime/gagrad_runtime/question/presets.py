"""Presets: what is chosen where the caller chooses no method, for the floor and for the paper."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_edge.method.noise_level import USUAL
from gagrad_runtime.question.methods import OPERATOR, PAPER

if TYPE_CHECKING:
    from gagrad_edge.manifest import MethodSpec

SAMPLES = 3
"""Samples of the operator's map: more of them do not make the places better (docs/where.md)."""


@dataclass(frozen=True)
class Preset:
    """One preset: its method, and what its settings are where the caller gives none."""

    name: str
    method: str
    """Name of the method, where the caller chooses none."""
    cover: bool
    """Whether places are covered."""
    rcap: bool
    """Whether RCAP is measured."""

    def samples(self, bundle: MethodSpec) -> int:
        """Return the number of samples; ``bundle`` are the bundle's defaults."""
        return SAMPLES if self.name == OPERATOR_PRESET else bundle.samples

    def noise_std(self, bundle: MethodSpec) -> float:
        """Return the noise level; ``bundle`` are the bundle's defaults.

        A level that was guessed is not used: made-up frames bear less than parts do, and too little noise
        finds fewer absent features (docs/where.md).
        """
        if self.name != OPERATOR_PRESET:
            return bundle.noise_std
        own = bundle.operator
        return USUAL if own is None or own.guessed else own.noise_std


OPERATOR_PRESET, PAPER_PRESET = "operator", "paper"
PRESETS = {
    # A place that a person at the line can walk up to, from few samples.
    OPERATOR_PRESET: Preset(OPERATOR_PRESET, OPERATOR, cover=True, rcap=False),
    # Huang & Liu 2024 (arXiv 2404.15564) as they have it; and every method that is asked for by name.
    PAPER_PRESET: Preset(PAPER_PRESET, PAPER, cover=False, rcap=True),
}
"""All presets by name; the first is the default."""


def preset_of(name: str | None, *, method: str | None, guide: str | None, percentile: float | None) -> Preset:
    """Return the preset called ``name``; without a name the one that the other settings belong to.

    That is ``operator``, unless a method, a guide or a percentile is asked for. Raises SettingError for an
    unknown name, and for a method that belongs to the other preset.
    """
    if name is None:
        own = method in (None, OPERATOR) and guide is None and percentile is None
        return PRESETS[OPERATOR_PRESET if own or method == OPERATOR else PAPER_PRESET]
    if name not in PRESETS:
        near = difflib.get_close_matches(str(name), PRESETS, n=1, cutoff=0.5)
        raise SettingError(
            f"there is no preset {name!r}",
            where="preset",
            hint=f"did you mean {near[0]}?" if near else None,
            choices=list(PRESETS),
        )
    if method is not None and (method == OPERATOR) != (name == OPERATOR_PRESET):
        other = OPERATOR_PRESET if method == OPERATOR else PAPER_PRESET
        raise SettingError(
            f"the preset {name} does not have the method {method}",
            where="method",
            hint=f"leave `preset` out, or give `preset={other}`",
        )
    return PRESETS[name]
