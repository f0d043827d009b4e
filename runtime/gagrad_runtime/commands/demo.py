"""``gagrad-edge demo``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import device_options, lang_option


@click.command(cls=Command, section="first", short_help="Export and explain the built-in networks.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the bundles and the results.",
)
@lang_option
@device_options
def demo(output: Path, device: str, threads: int | None) -> int:
    """Compile the built-in networks, explain parts, and compare with the known defects.

    Example: gagrad-edge demo -o demo-out/
    """
    from gagrad_runtime.jobs.demonstrating import run_demo  # noqa: PLC0415 - --help stays fast

    return run_demo(output, device=device, threads=threads)
