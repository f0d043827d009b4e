"""The progress bar of the command line."""

from __future__ import annotations

import sys

import click

from gagrad_edge.printable import printable


class Progress:
    """A bar on stderr where that is a terminal, nothing elsewhere. Its line is empty after the block.

    Callable as (done, total) and (done, total, label): library code takes it as a callback.
    """

    def __init__(self, label: str = "") -> None:
        self._label = label
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Empty the line, for a message."""
        if self._shown:
            click.echo("\r\x1b[2K", nl=False, err=True)

    def __call__(self, done: int, total: int, label: str = "") -> None:
        """Draw the bar for ``done`` of ``total`` steps, with ``label`` or the bar's own."""
        if self._shown:
            filled = round(20 * done / max(total, 1))
            bar = "█" * filled + "░" * (20 - filled)
            click.echo(
                f"\r\x1b[2K{printable(label or self._label)}  {bar} {done}/{total}", nl=False, err=True
            )
