"""The method's settings for one explanation, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import SettingError

if TYPE_CHECKING:
    from gagrad_edge.manifest import MethodSpec


@dataclass(frozen=True)
class Settings:
    """The method's settings for one explanation, checked."""

    samples: int
    seed: int
    percentile: float
    noise_std: float
    chunk: int | None
    """None: chosen on the device."""

    @staticmethod
    def of(defaults: MethodSpec, seed: int, chunk: int | None = None, **overrides: float | None) -> Settings:
        """Return the bundle's defaults with ``overrides`` (None keeps one). Raises SettingError."""
        values: dict[str, Any] = {key: getattr(defaults, key) for key in overrides}
        values.update({key: value for key, value in overrides.items() if value is not None})
        settings = Settings(seed=seed, chunk=chunk, **values)
        for name, holds, rule in (
            (
                "samples",
                2 <= settings.samples <= 1_000_000,
                "2 or more: one copy has no variance",
            ),
            ("seed", settings.seed >= 0, "0 or more"),
            ("percentile", 0 <= settings.percentile <= 1, "between 0 and 1"),
            ("noise-std", 0 < settings.noise_std < 100, "greater than 0; 0.15 is usual"),
            ("chunk", chunk is None or chunk >= 1, "1 or more"),
        ):
            if not holds:
                value = getattr(settings, name.replace("-", "_"))
                raise SettingError(f"{value} is out of range", where=f"--{name}", hint=f"give {rule}")
        return settings
