"""A progress bar for people who wait at a terminal."""

from __future__ import annotations

import sys

import click


class Progress:
    """A bar on a terminal, nothing elsewhere; leaves the line empty."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._shown:
            click.echo("\r\x1b[2K", nl=False, err=True)

    def __call__(self, done: int, total: int) -> None:
        """Draw the bar for ``done`` of ``total``."""
        if self._shown:
            filled = round(20 * done / total)
            bar = "█" * filled + "░" * (20 - filled)
            click.echo(f"\r\x1b[2K{self._label}  {bar} {done}/{total}", nl=False, err=True)
