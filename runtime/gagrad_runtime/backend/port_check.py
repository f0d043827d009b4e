"""A graph that was just opened against the ABI: a bundle with other inputs or outputs is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gagrad_edge.abi import DTYPE, Sizes, graph_abi
from gagrad_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gagrad_edge.abi import Shape
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphKey
    from gagrad_runtime.backend.base import Port, Runner


def check_ports(runner: Runner, key: GraphKey, bundle: Bundle) -> None:
    """Raise BundleError unless the graph has the inputs and outputs that the ABI and the manifest give it.

    Names, types and shapes must be the same. An output may leave free what the ABI fixes, as engines do not
    infer every shape.
    """
    abi = Sizes.of(bundle.manifest).fill(graph_abi(key.role, key.variant))
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
