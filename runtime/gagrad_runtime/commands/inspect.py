"""``gagrad-edge inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import json_option

if TYPE_CHECKING:
    from gagrad_edge.manifest import GraphEntry
    from gagrad_edge.trust.envelope import Envelope


@click.command(cls=Command, section="bundle", short_help="Show what is in a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def inspect(bundle: Path, as_json: bool) -> None:
    """Show what is in BUNDLE, after checking every hash. Nothing in it is run.

    Example: gagrad-edge inspect part.gagrad
    """
    from gagrad_edge.bundle.bundle import read_bundle  # noqa: PLC0415 - --help stays fast
    from gagrad_edge.manifest import encode_manifest  # noqa: PLC0415

    checked = read_bundle(bundle)
    manifest = checked.manifest
    if as_json:
        click.echo(encode_manifest(manifest).decode(), nl=False)
        return
    spec, output, method, evidence = manifest.input, manifest.output, manifest.method, manifest.verification
    shape = "×".join(map(str, output.shape))
    lines = [
        f"{manifest.name}: made {manifest.created} by {manifest.exporter.name} {manifest.exporter.version}",
        f"  content      sha256 {checked.sha256}",
        (
            f"  model        {manifest.model.name} ({manifest.model.source}, opset {manifest.model.opset}, "
            f"{sum(manifest.model.operators.values())} operators), sha256 {manifest.model.sha256}"
        ),
        (
            f"  input        {spec.width}×{spec.height} {spec.colour}, {spec.resize}, "
            f"mean {_list(spec.mean)}, std {_list(spec.std)}, 16-bit frames use {spec.bit_depth} bits"
            + (f", mono frames are {spec.bayer}" if spec.bayer else "")
        ),
        f"  output       {output.name}: {shape}, {output.activation}",
        (
            f"  method       {method.samples} samples, noise {method.noise_std:g}, percentile "
            f"{method.percentile:g}, chunk {method.chunk}"
        ),
        (
            f"  verified     gradient {evidence.gradient_error:.1e} from {evidence.reference} (worst "
            f"{evidence.gradient_error_worst:.1e}), scores {evidence.forward_error:.1e}, batch rows "
            f"{evidence.batch_error:.1e}"
        ),
    ]
    lines += [
        f"  {check.precision:<12s} against float32: gradient cosine {check.gradient_cosine:.4f}, "
        f"rank correlation of the maps {check.map_correlation:.4f}, scores {check.scores_error:.1e}"
        for check in evidence.precisions
    ]
    if checked.envelope is not None:
        lines.append(f"  signed       {_signed(checked.envelope, str(bundle))}")
    if manifest.model.straight_through:
        lines.append(f"  quantised    {manifest.model.straight_through} quantisers passed straight through")
    if evidence.float_twin is not None:
        twin = evidence.float_twin
        lines.append(
            f"               against no rounding: gradient cosine {twin.gradient_cosine:.4f}, "
            f"rank correlation of the maps {twin.map_correlation:.4f}, scores {twin.scores_error:.1e}"
        )
    layer = manifest.model.feature_layer
    if layer is not None:
        lines.append(
            f"  grad-cam     at {layer.name} ({layer.operator}): {layer.features} features on "
            f"{layer.height}×{layer.width}"
        )
    lines += [
        f"  graph        {_named(graph)}: {manifest.files[graph.file].size / 1e6:.1f} MB, {graph.precision}, "
        f"{graph.target}"
        for graph in manifest.graphs
    ]
    lines += [f"  class {index:<6d} {name}" for index, name in enumerate(output.classes)]
    click.echo("\n".join(lines))


def _signed(envelope: Envelope, where: str) -> str:
    from gagrad_edge.trust.release import decode_release  # noqa: PLC0415 - --help stays fast

    release = decode_release(envelope.payload, where=where)
    until = "never expires" if release.expires is None else f"until {release.expires:%Y-%m-%d}"
    ids = ", ".join(signature.keyid[:16] for signature in envelope.signatures)
    return (
        f"{release.product} {release.version} on {release.signed:%Y-%m-%d}, {until}, by {ids}; not checked, "
        "`gagrad-edge verify --key` does that"
    )


def _named(graph: GraphEntry) -> str:
    return f"{graph.role} ({graph.variant})" if graph.variant else graph.role


def _list(values: list[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
