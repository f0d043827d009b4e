"""The settings of one explanation: their names, types, defaults and ranges."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NoReturn

from gagrad_edge.errors import SettingError
from gagrad_runtime.question.methods import Method, method_of
from gagrad_runtime.question.presets import preset_of

if TYPE_CHECKING:
    from gagrad_edge.manifest import MethodSpec


@dataclass(frozen=True)
class Settings:
    """The settings of one explanation, checked.

    The fields are the one list of settings: the keywords of ``Settings.of``, ``Explainer.explain`` and
    ``Explainer.refine`` have these names, and a test compares them.
    """

    preset: str
    """Name of the preset, which says what the other settings are where they are not given."""
    method: Method
    guide: str
    """Name of the weight that the gradients' variance gives: ``paper``, or another of the bundle's guides."""
    samples: int
    """Number of samples, perturbed copies of the model input; 2 or more."""
    seed: int
    """Seed of the noise, 0 or more."""
    percentile: float
    """Percentile of the guide, 0..1."""
    noise_std: float
    """Standard deviation of the noise relative to the model input's range."""
    chunk: int | None
    """Samples per run of the graph; None: chosen on the device."""
    budget_ms: float | None
    """Milliseconds within which the explanation is to be done; None for no limit."""
    until_stable: float | None
    """Stability, 0..1, at which sampling stops; None: all samples are made."""
    perturb: str
    """What the samples are changed by beside noise, such as ``shift=2,angle=2``; empty for nothing."""
    baseline: float
    """Pixel value, 0..1, of the image where the path of integrated gradients begins."""
    rcap: bool
    """Whether RCAP is measured."""
    cover: bool
    """Whether the places are covered, to see what the model then says."""

    @staticmethod
    def of(
        defaults: MethodSpec,
        *,
        preset: str | None = None,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int | None = None,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
        rcap: bool | None = None,
        cover: bool | None = None,
        **unknown: NoReturn,
    ) -> Settings:
        """Return the given settings over the preset's and the bundle's ``defaults``; None keeps a default.

        Raises SettingError for a name that is no setting, and for a value of the wrong type or out of range.
        """
        refuse_unknown(unknown)
        if method is not None:
            method_of(method)
        base = preset_of(preset, method=method, guide=guide, percentile=percentile)
        chosen = method_of(_or(method, base.method))
        if guide is not None and chosen.map != "guided":
            raise SettingError(f"{chosen.name} has no guide", where="guide", hint="leave guide out")
        if percentile is not None and chosen.map == "product":
            raise SettingError(
                f"{chosen.name} has no guide, whose percentile this is",
                where="percentile",
                hint="leave percentile out",
            )
        settings = Settings(
            preset=base.name,
            method=chosen,
            guide="paper" if guide is None else guide,
            samples=_or(samples, base.samples(defaults)),
            seed=_or(seed, 0),
            percentile=_or(percentile, defaults.percentile),
            noise_std=_or(noise_std, base.noise_std(defaults)),
            chunk=chunk,
            budget_ms=budget_ms,
            until_stable=until_stable,
            perturb=_or(perturb, ""),
            baseline=_or(baseline, 0.0),
            rcap=_or(rcap, base.rcap),
            cover=_or(cover, base.cover),
        )
        settings._check_types()
        settings._check_ranges()
        # numpy's numbers become Python's, which the JSON record can hold.
        plain: dict[str, Any] = {
            name: int(value) if isinstance(value, Integral) else float(value)
            for name, value in vars(settings).items()
            if isinstance(value, Real) and not isinstance(value, bool)
        }
        return replace(settings, **plain)

    def _check_types(self) -> None:
        kinds: tuple[tuple[tuple[str, ...], type, str], ...] = (
            (("samples", "seed", "chunk"), Integral, "a whole number"),
            (("percentile", "noise_std", "budget_ms", "until_stable", "baseline"), Real, "a number"),
            (("guide", "perturb"), str, "a text"),
        )
        for names, kind, words in kinds:
            for name in names:
                value = getattr(self, name)
                if value is None and name in ("chunk", "budget_ms", "until_stable"):
                    continue
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise SettingError(f"{value!r} is not {words}", where=name, hint=f"give {words}")
        for name in ("rcap", "cover"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(
                    f"{getattr(self, name)!r} is neither True nor False",
                    where=name,
                    hint="give one of the two",
                )

    def _check_ranges(self) -> None:
        for name, holds, rule in (
            ("samples", 2 <= self.samples <= 1_000_000, "2 or more: one sample has no variance"),
            ("seed", self.seed >= 0, "0 or more"),
            ("percentile", 0 <= self.percentile <= 1, "between 0 and 1"),
            ("noise_std", 0 < self.noise_std < 100, "greater than 0; 0.15 is usual"),
            ("chunk", self.chunk is None or self.chunk >= 1, "1 or more"),
            ("budget_ms", self.budget_ms is None or 0 < self.budget_ms < math.inf, "milliseconds above 0"),
            ("until_stable", self.until_stable is None or 0 < self.until_stable < 1, "between 0 and 1"),
            ("baseline", 0 <= self.baseline <= 1, "a pixel value from 0 (black) to 1 (white)"),
        ):
            if not holds:
                raise SettingError(f"{getattr(self, name)} is out of range", where=name, hint=f"give {rule}")
        if self.perturb and not self.method.splits:
            raise SettingError(
                f"{self.method.name} is not an average over perturbed samples",
                where="perturb",
                hint="leave perturb out, or choose another method",
            )
        if not self.method.splits and (self.budget_ms or self.until_stable):
            name = "budget_ms" if self.budget_ms else "until_stable"
            raise SettingError(
                f"{self.method.name} is not an average over noisy samples that could stop early",
                where=name,
                hint="leave it out, or choose another method",
            )


NAMES = tuple(Settings.__dataclass_fields__)
"""Names of all settings."""
_OTHER_KEYWORDS = ("target", "against", "region", "colour", "progress")
"""Keywords of ``Explainer.explain`` that are no settings; the hint names them for a misspelt ``color``."""


def refuse_unknown(unknown: dict[str, Any]) -> None:
    """Raise SettingError with the nearest names when ``unknown`` holds a keyword that is no setting."""
    for name in unknown:
        near = difflib.get_close_matches(name, (*NAMES, *_OTHER_KEYWORDS), n=1, cutoff=0.6)
        raise SettingError(
            f"there is no setting {name!r}",
            hint=f"did you mean {near[0]}?" if near else None,
            choices=NAMES,
        )


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
