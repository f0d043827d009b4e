"""The settings of one explanation, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import SettingError
from gagrad_runtime.question.methods import DEFAULT, Method, method_of

if TYPE_CHECKING:
    from gagrad_edge.manifest import MethodSpec


@dataclass(frozen=True)
class Settings:
    """The settings of one explanation, checked."""

    method: Method
    guide: str
    """``paper``, or a name among the bundle's graphs of the role ``finalize``."""
    samples: int
    seed: int
    percentile: float
    noise_std: float
    chunk: int | None
    """None: chosen on the device."""
    budget_ms: float | None
    until_stable: float | None
    perturb: str
    """What the copies are changed by beside noise, as it was given; empty for nothing."""
    baseline: float
    """Pixel value, 0..1, of the image where the path of integrated gradients begins."""

    @staticmethod
    def of(
        defaults: MethodSpec,
        *,
        method: str | None = None,
        guide: str | None = None,
        samples: int | None = None,
        seed: int = 0,
        percentile: float | None = None,
        noise_std: float | None = None,
        chunk: int | None = None,
        budget_ms: float | None = None,
        until_stable: float | None = None,
        perturb: str | None = None,
        baseline: float | None = None,
    ) -> Settings:
        """Return the settings over the bundle's ``defaults`` (None keeps one). Raises SettingError."""
        chosen = method_of(method or DEFAULT)
        if guide is not None and chosen.map != "guided":
            raise SettingError(f"{chosen.name} has no guide", where="--guide", hint="leave --guide out")
        settings = Settings(
            method=chosen,
            guide=guide or "paper",
            samples=_or(samples, defaults.samples),
            seed=seed,
            percentile=_or(percentile, defaults.percentile),
            noise_std=_or(noise_std, defaults.noise_std),
            chunk=chunk,
            budget_ms=budget_ms,
            until_stable=until_stable,
            perturb=perturb or "",
            baseline=_or(baseline, 0.0),
        )
        settings._check()
        return settings

    def _check(self) -> None:
        for name, holds, rule in (
            ("samples", 2 <= self.samples <= 1_000_000, "2 or more: one copy has no variance"),
            ("seed", self.seed >= 0, "0 or more"),
            ("percentile", 0 <= self.percentile <= 1, "between 0 and 1"),
            ("noise-std", 0 < self.noise_std < 100, "greater than 0; 0.15 is usual"),
            ("chunk", self.chunk is None or self.chunk >= 1, "1 or more"),
            ("budget-ms", self.budget_ms is None or self.budget_ms > 0, "milliseconds, greater than 0"),
            ("until-stable", self.until_stable is None or 0 < self.until_stable < 1, "between 0 and 1"),
            ("baseline", 0 <= self.baseline <= 1, "a pixel value from 0 (black) to 1 (white)"),
        ):
            if not holds:
                value = getattr(self, name.replace("-", "_"))
                raise SettingError(f"{value} is out of range", where=f"--{name}", hint=f"give {rule}")
        if self.perturb and not self.method.splits:
            raise SettingError(
                f"{self.method.name} is not an average over perturbed copies",
                where="--perturb",
                hint="leave --perturb out, or choose another method",
            )
        if not self.method.splits and (self.budget_ms or self.until_stable):
            option = "--budget-ms" if self.budget_ms else "--until-stable"
            raise SettingError(
                f"{self.method.name} is not an average over noisy copies that could stop early",
                where=option,
                hint=f"leave {option} out, or choose another method",
            )


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
