"""The passphrase of a private key, from the environment or from a prompt."""

from __future__ import annotations

import os

import click

VARIABLE = "GAGRAD_EDGE_PASSPHRASE"
"""Environment variable with the passphrase, for scripts."""


def passphrase(*, confirm: bool = False) -> str:
    """Return the passphrase of a private key, from the environment or else from a prompt."""
    given = os.environ.get(VARIABLE)
    return given or str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
