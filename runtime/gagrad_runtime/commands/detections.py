"""How a detection is named on the command line: by its number, or by a box."""

from __future__ import annotations

import click

ALL = "all"
"""Stands for every detection."""


def number_or_all(context: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    """Return the number that ``value`` names, or ``ALL``."""
    if value is None or value.casefold() == ALL:
        return value and ALL
    if not value.strip().isdigit() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number from 1 nor {ALL!r}.", context, parameter)
    return int(value)


def four_numbers(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Return the four numbers between the commas of ``value``."""
    if value is None:
        return None
    try:
        found = tuple(float(part) for part in value.split(","))
    except ValueError:
        found = ()
    if len(found) != 4:
        raise click.BadParameter(f"{value!r} is not four numbers, e.g. 12,40,90,66.", context, parameter)
    return found
