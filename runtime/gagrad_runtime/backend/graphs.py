"""A bundle's graphs on a device: the usual ones compiled at once, the others when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import REQUIRED_ROLES
from gagrad_edge.method.reference import rcap_levels
from gagrad_runtime.backend.rows import RowByRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphPrecision, GraphRole, Manifest
    from gagrad_runtime.backend import Backend, Runner

PRECISIONS: dict[GraphPrecision, str] = {"float32": "fp32", "float16": "fp16"}
"""The command line's names."""


class Graphs:
    """Runners by role and variant. Closing frees what they hold on the device."""

    def __init__(
        self, bundle: Bundle, backend: Backend, opened: Sequence[GraphRole] = REQUIRED_ROLES
    ) -> None:
        self._bundle, self._backend = bundle, backend
        if bundle.manifest.graph("accumulate", precision=backend.precision).precision != backend.precision:
            raise SettingError(
                f"this bundle has no {backend.precision} graphs, which this device was asked for",
                where=str(bundle.path),
                hint=f"export the model with --precision {PRECISIONS[backend.precision]}, or use float32",
            )
        self._open: dict[tuple[GraphRole, str], Runner] | None = {}
        for role in opened:
            self.runner(role)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the maps."""
        return self._bundle.manifest.input.shape[1:]

    @property
    def compiled_size(self) -> int | None:
        """Bytes of the compiled graphs that are open; None where the engine keeps none."""
        sizes = [runner.size for runner in (self._open or {}).values() if runner.size is not None]
        return sum(sizes) if sizes else None

    def close(self) -> None:
        """Free the runners; asking for one afterwards is an error."""
        self._open = None

    def one_row_at_a_time(self) -> None:
        """Let ``predict`` take its rows one by one."""
        if self._open is not None:
            self._open["predict", ""] = RowByRow(self._backend, self.runner("predict"))

    def runner(self, role: GraphRole, variant: str = "") -> Runner:
        """Return the runner of a graph. Raises SettingError for one the bundle does not have."""
        if self._open is None:
            raise SettingError("this explainer has been closed", hint="load the bundle again")
        if (role, variant) not in self._open:
            if variant not in self._bundle.manifest.variants(role):
                raise _absent(self._bundle, role, variant)
            backend = self._backend
            data = self._bundle.graph(role, backend.target, variant, backend.precision)
            self._open[role, variant] = backend.open(role, data, largest_batch(self._bundle.manifest, role))
        return self._open[role, variant]


def largest_batch(manifest: Manifest, role: GraphRole) -> int:
    """Return how many rows a graph is run with: copies of a chunk, for ``predict`` also RCAP's images."""
    method = manifest.method
    levels = len(rcap_levels(method.rcap_lower_bound, method.rcap_interval))
    return max(method.chunk, levels, 2) if role == "predict" else max(method.chunk, 2)


def _absent(bundle: Bundle, role: GraphRole, variant: str) -> SettingError:
    where = str(bundle.path)
    if role == "finalize":
        choices = ["paper", *(name for name in bundle.manifest.variants(role) if name)]
        return SettingError(f"this bundle has no guide {variant!r}", where=where, choices=choices)
    if role == "cam":
        return SettingError(
            "this bundle has no graph for the Grad-CAM methods",
            where=where,
            hint="export the model again with --feature-layer auto, or with the name of a layer",
        )
    return SettingError(
        f"this bundle has no graph {role!r} of the kind {variant!r}",
        where=where,
        hint="export the model again with --perturbations",
    )
