"""``gagrad-edge inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command, say, say_json
from gagrad_edge.errors import SettingError
from gagrad_runtime.commands.options import json_option

if TYPE_CHECKING:
    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_edge.manifest import GraphEntry, Manifest
    from gagrad_edge.trust.envelope import Envelope


@click.command(cls=Command, section="bundle", short_help="Show what is in a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--layer",
    "picture",
    type=click.Path(path_type=Path),
    metavar="PICTURE",
    help="Write a picture (.png) of where the cells of the class activation maps (Grad-CAM) lie.",
)
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="Image to draw the cells of --layer on.  [default: the bundle's own frame]",
)
@json_option
def inspect(bundle: Path, picture: Path | None, image: Path | None, as_json: bool) -> None:
    """Show what is in BUNDLE, after checking every hash. Nothing in it is run.

    Example: gagrad-edge inspect part.gagrad --layer cells.png
    """
    from gagrad_edge.bundle.bundle import read_bundle  # noqa: PLC0415 - --help stays fast
    from gagrad_edge.manifest import encode_manifest  # noqa: PLC0415
    from gagrad_edge.summary import describe, line  # noqa: PLC0415

    checked = read_bundle(bundle)
    manifest = checked.manifest
    if picture is not None:
        _write_layers(checked, picture, image)
    elif image is not None:
        raise SettingError(
            "an image without a picture to write", where="image", hint="give --layer PICTURE, too"
        )
    if as_json:
        say_json(encode_manifest(manifest), nl=False)
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
        line("weights", _weights(manifest)),
        *(line(f"class {index}", name) for index, name in enumerate(manifest.output.classes)),
    ]
    say(*lines)


def _write_layers(bundle: Bundle, picture: Path, image: Path | None) -> None:
    from gagrad_edge.atomic import make_folder, write_atomic  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.frame.frame import load_frame  # noqa: PLC0415
    from gagrad_runtime.report.layer_picture import render_layers  # noqa: PLC0415
    from gagrad_runtime.report.report import encode_png  # noqa: PLC0415
    from gagrad_runtime.session.selftest import reference_frame  # noqa: PLC0415

    if picture.suffix.lower() != ".png":
        raise SettingError("the picture's name ends in .png", where=str(picture))
    frame = reference_frame(bundle) if image is None else load_frame(image)
    data = encode_png(render_layers(bundle.manifest, frame))
    make_folder(picture.parent)
    write_atomic(picture, [data])
    say(f"the cells of the class activation maps: {picture}", err=True)


def _graph(manifest: Manifest, entry: GraphEntry) -> str:
    name = f"{entry.role} ({entry.variant})" if entry.variant else entry.role
    size = manifest.files[entry.file].size / 1e3
    return f"{name}: {size:.0f} kB, {entry.precision}, {entry.target}"


def _weights(manifest: Manifest) -> str:
    from gagrad_edge.manifest import WEIGHTS  # noqa: PLC0415 - --help stays fast
    from gagrad_edge.summary import counted  # noqa: PLC0415

    sizes = [entry.size for file, entry in manifest.files.items() if file.startswith(WEIGHTS)]
    stored = f"{sum(sizes) / 1e6:.1f} MB in {counted(len(sizes), 'tensor')}, shared by all graphs"
    return f"{stored}; {len(manifest.derived)} others follow from them"


def _signed(envelope: Envelope, where: str) -> str:
    from gagrad_edge.trust.release import decode_release  # noqa: PLC0415 - --help stays fast

    release = decode_release(envelope.payload, where=where)
    until = "never expires" if release.expires is None else f"until {release.expires:%Y-%m-%d}"
    ids = ", ".join(signature.keyid[:16] for signature in envelope.signatures)
    return (
        f"{release.product} {release.version} on {release.signed:%Y-%m-%d}, {until}, by {ids}; not checked, "
        "`gagrad-edge verify --key` does that"
    )
