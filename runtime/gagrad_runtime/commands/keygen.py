"""``gagrad-edge keygen``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.passphrase import passphrase


@click.command(cls=Command, section="release", short_help="Make a key pair to sign bundles with.")
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--passphrase", "protect", is_flag=True, help="Ask for a passphrase to keep the key under.")
def keygen(name: Path, protect: bool) -> None:
    """Make an Ed25519 key pair: NAME.key signs and stays with you, NAME.pub goes to the devices.

    NAME may be in a new folder. NAME.key can be read by its owner only. Nothing is overwritten. Prints the
    lines that a device's trust.toml needs.

    Example: gagrad-edge keygen keys/release-2026
    """
    from gagrad_edge.trust.keys import generate, write_keys  # noqa: PLC0415 - --help stays fast

    key = generate()
    private, public = (name.with_name(name.name + ending) for ending in (".key", ".pub"))
    write_keys(key, private, public, passphrase(confirm=True) if protect else "")
    say("[[keys]]", f'name = "{name.name}"', f'key = "{key.public.text}"')
    say(f"{private}: signs; keep it off the devices, and a copy in a safe place", err=True)
    say(f"{public}: verifies; key id {key.public.id}", err=True)
