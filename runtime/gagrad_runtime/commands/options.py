"""Options that several commands take, written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
