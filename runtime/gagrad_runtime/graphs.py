"""A bundle's graphs on a device: the usual ones compiled at once, the others when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.errors import SettingError
from gagrad_edge.manifest import REQUIRED_ROLES
from gagrad_runtime.backend.rows import RowByRow

if TYPE_CHECKING:
    from gagrad_edge.bundle import Bundle
    from gagrad_edge.manifest import GraphRole
    from gagrad_runtime.backend import Backend, Runner


class Graphs:
    """Runners by role and variant. Closing frees what they hold on the device."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self._bundle, self._backend = bundle, backend
        self._open: dict[tuple[GraphRole, str], Runner] | None = {}
        for role in REQUIRED_ROLES:
            self.runner(role)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the maps."""
        return self._bundle.manifest.input.shape[1:]

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
            self._open[role, variant] = backend.open(role, data)
        return self._open[role, variant]


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
