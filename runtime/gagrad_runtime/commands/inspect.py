"""``gagrad-edge inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import json_option

if TYPE_CHECKING:
    from gagrad_edge.manifest import GraphEntry, Manifest
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
    from gagrad_edge.summary import describe, line  # noqa: PLC0415

    checked = read_bundle(bundle)
    manifest = checked.manifest
    if as_json:
        click.echo(encode_manifest(manifest).decode(), nl=False)
        return
    model = manifest.model
    operators = f"{sum(model.operators.values())} operators"
    signed = [] if checked.envelope is None else [line("signed", _signed(checked.envelope, str(bundle)))]
    lines = [
        f"{manifest.name}: made {manifest.created} by {manifest.exporter.name} {manifest.exporter.version}",
        line("content", f"sha256 {checked.sha256}"),
        line(
            "model", f"{model.name} ({model.source}, opset {model.opset}, {operators}), sha256 {model.sha256}"
        ),
        *describe(manifest),
        *signed,
        *(line("graph", _graph(manifest, entry)) for entry in manifest.graphs),
        *(line(f"class {index}", name) for index, name in enumerate(manifest.output.classes)),
    ]
    click.echo("\n".join(lines))


def _graph(manifest: Manifest, entry: GraphEntry) -> str:
    name = f"{entry.role} ({entry.variant})" if entry.variant else entry.role
    size = manifest.files[entry.file].size / 1e6
    return f"{name}: {size:.1f} MB, {entry.precision}, {entry.target}"


def _signed(envelope: Envelope, where: str) -> str:
    from gagrad_edge.trust.release import decode_release  # noqa: PLC0415 - --help stays fast

    release = decode_release(envelope.payload, where=where)
    until = "never expires" if release.expires is None else f"until {release.expires:%Y-%m-%d}"
    ids = ", ".join(signature.keyid[:16] for signature in envelope.signatures)
    return (
        f"{release.product} {release.version} on {release.signed:%Y-%m-%d}, {until}, by {ids}; not checked, "
        "`gagrad-edge verify --key` does that"
    )
