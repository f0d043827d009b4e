"""``gagrad-edge sign``."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.errors import SettingError
from gagrad_edge.passphrase import passphrase

if TYPE_CHECKING:
    from gagrad_edge.trust.keys import PrivateKey

_DAY = "%Y-%m-%d"


@click.command(cls=Command, section="release", short_help="Sign a bundle, or a file of good parts.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Private key, NAME.key; may be given several times.",
)
@click.option("--product", metavar="NAME", help="What the bundle is for; a device keeps a version for each.")
@click.option("--version", type=click.IntRange(1), help="Number that grows with each release of the product.")
@click.option(
    "--expires",
    type=click.DateTime([_DAY]),
    help="Last day, in UTC, on which a device may load it.  [default: never]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Signed file to write.  [default: BUNDLE itself]",
)
def sign(
    bundle: Path,
    keys: tuple[Path, ...],
    product: str | None,
    version: int | None,
    expires: datetime | None,
    output: Path | None,
) -> None:
    """Sign BUNDLE as a version of a product. The signature covers every byte, and is stored in the bundle.

    BUNDLE may be a file of good parts, NAME.good: it belongs to one bundle and has no version of its own.

    Without --product and --version, a signature is added to the earlier ones: for a second person with
    another key. With them, earlier signatures are removed.

    Example: gagrad-edge sign part.gagrad --key keys/release-2026.key --product surface-check --version 12
    """
    from gagrad_edge.bundle.signing import cosign_bundle, sign_bundle  # noqa: PLC0415
    from gagrad_edge.trust.keys import read_private_key  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.reference.file import is_good_file, sign_reference  # noqa: PLC0415 - as above

    if (product is None) != (version is None) or (expires is not None and product is None):
        raise SettingError(
            "--product and --version belong together, and --expires to them",
            hint="give both, or none of the three to add a signature to those that are there",
        )
    if is_good_file(bundle):
        if product is not None:
            raise SettingError(
                "a file of good parts has no product and no version of its own",
                where=str(bundle),
                hint="leave --product, --version and --expires out",
            )
        opened = [read_private_key(path, passphrase) for path in keys]
        sign_reference(bundle, output or bundle, opened)
        say(f"{output or bundle}: signed", err=True)
        _say_keys(opened)
        return
    opened = [read_private_key(path, passphrase) for path in keys]
    target = output or bundle
    if product is None or version is None:
        release = cosign_bundle(bundle, target, opened)
    else:
        last = None
        if expires is not None:
            last = expires.replace(tzinfo=timezone.utc) + timedelta(days=1, seconds=-1)
        release = sign_bundle(bundle, target, opened, product=product, version=version, expires=last)
    until = "never expires" if release.expires is None else f"expires {release.expires:%Y-%m-%d}"
    what = f"{release.product} {release.version}, signed {release.signed:%Y-%m-%d}, {until}"
    say(f"{target}: {what}", err=True)
    _say_keys(opened)


def _say_keys(keys: list[PrivateKey]) -> None:
    for key in keys:
        say(f"  key {key.public.id}", err=True)
