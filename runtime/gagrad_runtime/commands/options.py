"""Options that several commands take, written once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PASSPHRASE = "GAGRAD_EDGE_PASSPHRASE"  # noqa: S105 - the name of a variable
"""Environment variable that a script gives a key's passphrase in."""

Command = TypeVar("Command", bound=Callable[..., Any])


def device_options(command: Command) -> Command:
    """Add ``--device`` and ``--threads``."""
    command = click.option(
        "--threads", type=click.IntRange(1), help="Threads on a CPU.  [default: one per core]"
    )(command)
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where to compute; `gagrad-edge doctor` lists them.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there."
    )(command)


def trust_option(command: Command) -> Command:
    """Add ``--trust``."""
    return click.option(
        "--trust",
        type=click.Path(path_type=Path),
        help="Policy that says whose bundles to load.  [default: /etc/gagrad-edge/trust.toml, if there]",
    )(command)


def passphrase(*, confirm: bool = False) -> str:
    """Return the passphrase of a private key, from the environment or else asked for."""
    given = os.environ.get(PASSPHRASE)
    return given or str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
