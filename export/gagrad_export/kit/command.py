"""``gagrad-edge pack``: options only; heavy modules are imported when the command runs."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.passphrase import passphrase
from gagrad_export.kit.readme import LANGUAGES


@click.command(
    cls=Command, section="release", short_help="Put everything that an offline device needs into one folder."
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--platform", required=True, help="jetson-jp6, jetson-jp7, linux-x86_64 or linux-aarch64.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to write the kit to."
)
@click.option(
    "--key",
    "trusted",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Public key, NAME.pub, that the device will trust; may be given several times.",
)
@click.option(
    "--threshold",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of the keys must have signed.",
)
@click.option(
    "--sign",
    "signing",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Private key, NAME.key, to sign the kit with; devices upgrade to signed kits only.",
)
@click.option("--station", type=click.Path(path_type=Path), help="The station's settings, a TOML file.")
@click.option("--python", help="Version of the device's Python.  [default: the platform's]")
@click.option("--glibc", help="Version of the device's C library.  [default: the platform's]")
@click.option(
    "--extra",
    "extras",
    multiple=True,
    help="Backend instead of cpu: gpu, openvino, tensorrt or tensorrt-rtx; may be given several times.",
)
@click.option(
    "--constraint",
    "constraints",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File with versions to keep, such as an earlier kit's requirements.lock.",
)
@click.option(
    "--wheel", type=click.Path(path_type=Path), help="gagrad-edge's own wheel.  [default: built here]"
)
@click.option("--index-url", "index", help="Package index.  [default: as uv and pip are configured]")
@click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    envvar="GAGRAD_EDGE_LANG",
    show_envvar=True,
    help="Language of the kit's README, and of the station's pictures unless --station says it.",
)
def pack(
    bundle: Path,
    platform: str,
    output: Path,
    trusted: tuple[Path, ...],
    threshold: int,
    signing: tuple[Path, ...],
    station: Path | None,
    python: str | None,
    glibc: str | None,
    extras: tuple[str, ...],
    constraints: tuple[Path, ...],
    wheel: Path | None,
    index: str | None,
    language: str,
) -> None:
    """Write a folder that installs BUNDLE and gagrad-edge on a device without a network.

    It holds the packages for the device's machine and Python with their hashes, a bill of materials, the
    signed bundle, the keys to trust, and install.sh, which needs Python only. Packing needs a network.

    Example: gagrad-edge pack part.gagrad --platform jetson-jp6 --key release.pub --sign release.key -o kit/
    """
    from gagrad_edge.trust.keys import read_private_key, read_public_key  # noqa: PLC0415 - --help stays fast
    from gagrad_export.kit.pack import pack as pack_kit  # noqa: PLC0415
    from gagrad_export.kit.platforms import platform_named  # noqa: PLC0415

    chosen = platform_named(platform, python=python, glibc=glibc, extras=extras)
    kit, digest = pack_kit(
        bundle,
        output,
        chosen,
        trusted=[read_public_key(path) for path in trusted],
        threshold=threshold,
        signing=[read_private_key(path, passphrase) for path in signing],
        station=station,
        constraints=constraints,
        wheel=wheel,
        index=index,
        language=language,
        progress=lambda text: say(text, err=True),
    )
    size = sum(entry.size for entry in kit.files.values()) / 1e6
    what = f"{kit.product} {kit.version} for {kit.platform}"
    lines = [
        f"{output}: {what}, {len(kit.wheels) - 1} packages, {size:.0f} MB",
        f"  needs Python {kit.python} and glibc {kit.glibc} or newer; on the device: sudo sh install.sh",
        f"  fingerprint (SHA-256 of kit.json): {digest}",
    ]
    if not signing:
        lines.append("  not signed: it installs on new devices; to upgrade others pack it with --sign")
    say(*lines, err=True)
