"""A bundle's graphs on a device: what the usual preset needs is opened at once, others when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.abi import DTYPE, FEATURES, Sizes
from gagrad_edge.bundle.mapping import release
from gagrad_edge.errors import BundleError, SettingError
from gagrad_edge.manifest import GraphKey
from gagrad_edge.method.reference import rcap_levels
from gagrad_runtime.backend.rows import RowByRow
from gagrad_runtime.machine.memory import return_freed_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gagrad_edge.abi import Shape
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphPrecision, GraphRole, Manifest
    from gagrad_runtime.backend import Backend, Runner
    from gagrad_runtime.backend.base import Port

PRECISIONS: dict[GraphPrecision, str] = {"float32": "fp32", "float16": "fp16"}
"""Names of the precisions on the command line."""

_AT_ONCE: tuple[GraphRole, ...] = ("predict", "accumulate", "combine", "maps")
"""What every explanation by the usual preset runs. With them a device that lacks memory says so at once."""


class Graphs:
    """The runners of one bundle on one device. ``close`` frees their memory there.

    ``opened`` are the roles whose plain graphs are opened now. Raises BundleError for a graph whose inputs or
    outputs are not those of the ABI, ModelError and DeviceError for one that the engine does not take, and
    SettingError where the bundle has no graphs of the precision that the backend wants.
    """

    def __init__(self, bundle: Bundle, backend: Backend, opened: Sequence[GraphRole] = _AT_ONCE) -> None:
        self._bundle, self._backend = bundle, backend
        accumulate = GraphKey("accumulate", precision=backend.precision)
        if bundle.manifest.graph(accumulate).precision != backend.precision:
            raise SettingError(
                f"this bundle has no {backend.precision} graphs, which this device was asked for",
                where=str(bundle.path),
                hint=f"export the model again with {backend.precision} graphs, or use a device in float32",
            )
        if backend.computes_in == "bfloat16":
            check_measured(bundle)
        self._open: dict[GraphKey, Runner] | None = {}
        self.shared_pass = FEATURES if self._can_share() else ""
        """Variant of ``predict`` and ``cam`` in use: ``FEATURES`` where one forward pass serves both."""

        # The largest first: an engine needs several times a graph's size for a moment while it opens it, best
        # while nothing else is open. The graph with the most nodes has the most tensors, too.
        def size(role: GraphRole) -> int:
            return len(bundle.graph_file(self._key(role, self.usual(role))).data)

        for role in sorted(opened, key=size, reverse=True):
            self.runner(role)

    def usual(self, role: GraphRole) -> str:
        """Return the variant of ``role`` that is used where none is asked for."""
        return self.shared_pass if role in ("predict", "cam") else ""

    def _can_share(self) -> bool:
        """Return whether the bundle has the pair of graphs, in the numbers that this backend wants."""
        manifest = self._bundle.manifest
        if not all(FEATURES in manifest.variants(role) for role in ("predict", "cam")):
            return False
        plain, shared = (manifest.graph(self._key("predict", variant)) for variant in ("", FEATURES))
        return plain.precision == shared.precision

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the saliency maps, in model pixels."""
        return self._bundle.manifest.input.shape[1:]

    @property
    def compiled_size(self) -> int | None:
        """Bytes of the compiled graphs that are open; None where the engine stores none."""
        sizes = [runner.size for runner in (self._open or {}).values() if runner.size is not None]
        return sum(sizes) if sizes else None

    def has(self, role: GraphRole) -> bool:
        """Tell whether the bundle has a plain graph of ``role``."""
        return "" in self._bundle.manifest.variants(role)

    def check(self, role: GraphRole, variant: str, *, where: str) -> None:
        """Raise SettingError about the setting ``where`` unless the bundle has the graph."""
        if variant not in self._bundle.manifest.variants(role):
            error = _absent(self._bundle, role, variant)
            raise SettingError(error.what, where=where, hint=error.hint, choices=error.choices)

    def close(self) -> None:
        """Free the runners. ``runner`` raises SettingError afterwards."""
        self._open = None

    def one_row_at_a_time(self) -> None:
        """Run ``predict`` for one image at a time from here on."""
        if self._open is not None:
            key = self._key("predict", self.usual("predict"))
            self._open[key] = RowByRow(self._backend, self.runner("predict"))

    def runner(self, role: GraphRole, variant: str | None = None) -> Runner:
        """Return the runner of a graph, opened if it is not yet; ``variant`` None is ``usual``.

        Raises SettingError for a graph that the bundle does not have, and what opening raises.
        """
        if self._open is None:
            raise SettingError("this explainer has been closed", hint="load the bundle again")
        variant = self.usual(role) if variant is None else variant
        key = self._key(role, variant)
        if key not in self._open:
            if variant not in self._bundle.manifest.variants(role):
                raise _absent(self._bundle, role, variant)
            rows = largest_batch(self._bundle.manifest, role)
            runner = self._backend.open(role, self._bundle.graph_file(key), rows)
            check_ports(runner, key, self._bundle)
            self._open[key] = runner
            release(self._bundle.members.values())
            return_freed_memory()
        return self._open[key]

    def _key(self, role: GraphRole, variant: str) -> GraphKey:
        """Return the key of a graph in the form that this backend wants."""
        return GraphKey(role, variant, self._backend.target, self._backend.precision)


def largest_batch(manifest: Manifest, role: GraphRole) -> int:
    """Return the largest batch of a graph: the samples of a chunk, for ``predict`` also RCAP's images."""
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
            hint="export the model again with a feature layer: auto, or the name of a layer",
        )
    return SettingError(
        "this bundle cannot change its samples by more than noise",
        where=where,
        hint="export the model again with `perturbations`",
    )


def check_measured(bundle: Bundle) -> None:
    """Raise SettingError unless the exporter has found the bundle's map to be the same in bfloat16."""
    if all(one.precision != "bfloat16" for one in bundle.manifest.verification.precisions):
        raise SettingError(
            "this bundle was not measured in bfloat16, which serves some models and not others",
            where=str(bundle.path),
            hint="use `device=openvino`, or export the model again with `targets=openvino` and "
            "`precisions=bfloat16`",
        )


def check_ports(runner: Runner, key: GraphKey, bundle: Bundle) -> None:
    """Raise BundleError unless the graph has the inputs and outputs that the ABI and the manifest give it.

    Names, types and shapes must be the same. An output may leave free what the ABI fixes, as engines do not
    infer every shape.
    """
    abi = Sizes.of(bundle.manifest).graph(key.role, key.variant)
    problem = _problem("input", abi.inputs, runner.inputs) or _problem("output", abi.outputs, runner.outputs)
    if problem:
        graph = f"{key.role} {key.variant}".strip()
        made_by = bundle.manifest.exporter
        raise BundleError(
            f"the graph {graph!r} {problem}",
            where=str(bundle.path),
            hint=f"export the model again with this version of gagrad-edge ({made_by.name} {made_by.version} "
            "made the bundle)",
        )


def _problem(kind: str, expected: Mapping[str, Shape], found: Mapping[str, Port]) -> str:
    """Return how ``found`` differs from ``expected``, in words; empty where it does not."""
    for name, shape in expected.items():
        if name not in found:
            return f"lacks its {kind} {name!r} {_text(shape)}; it has {', '.join(found) or 'none'}"
        port = found[name]
        if not _fits(shape, port.shape, exact=kind == "input"):
            return f"has the {kind} {name!r} with the shape {_text(port.shape)}, expected {_text(shape)}"
        if port.dtype != DTYPE:
            return f"has the {kind} {name!r} of type {port.dtype}, expected {DTYPE}"
    extra = [name for name in found if name not in expected]
    return f"has an {kind} {extra[0]!r} that it should not have" if extra else ""


def _fits(expected: Shape, found: tuple[int | None, ...], *, exact: bool) -> bool:
    """Tell whether ``found`` can be ``expected``; with ``exact`` a fixed axis must be fixed in both."""
    return len(found) == len(expected) and all(
        have is None if isinstance(want, str) else have == want or (have is None and not exact)
        for want, have in zip(expected, found, strict=True)
    )


def _text(shape: tuple[int | str | None, ...]) -> str:
    return f"[{', '.join('any' if axis is None or isinstance(axis, str) else str(axis) for axis in shape)}]"
