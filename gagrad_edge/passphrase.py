"""The passphrase of a private key: from the environment, or asked for."""

from __future__ import annotations

import os

import click

VARIABLE = "GAGRAD_EDGE_PASSPHRASE"
"""Environment variable that a script gives a key's passphrase in."""


def passphrase(*, confirm: bool = False) -> str:
    """Return the passphrase of a private key, from the environment or else asked for."""
    given = os.environ.get(VARIABLE)
    return given or str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
