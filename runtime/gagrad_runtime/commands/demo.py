"""``gagrad-edge demo``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.cli import Command
from gagrad_runtime.commands.options import device_options


@click.command(cls=Command, section="first", short_help="Export and explain the built-in networks.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for the bundles and the results.",
)
@click.option("--viewer", is_flag=True, help="Show a station at work in the viewer, until Ctrl-C.")
@device_options
def demo(output: Path, viewer: bool, device: str, threads: int | None) -> int:
    """Compile the built-in networks, explain parts, and compare with the known defects.

    With --viewer the parts come to a station, one a second, and its pages can be looked at in a browser.

    Example: gagrad-edge demo -o demo-out/
    """
    if viewer:
        from gagrad_runtime.jobs.showing import show_demo  # noqa: PLC0415 - --help stays fast

        return show_demo(output, device=device, threads=threads)

    from gagrad_runtime.jobs.demonstrating import run_demo  # noqa: PLC0415 - --help stays fast

    return run_demo(output, device=device, threads=threads)
