"""How a detection is named on the command line: by its number, or by a box."""

from __future__ import annotations

from typing import Any

import click

ALL = "all"
"""Stands for every detection."""


class NumberOrAll(click.ParamType):
    """A detection's number, from 1, or ``all``."""

    name = "number or all"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Return what ``--help`` shows."""
        return "NUMBER|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or ``ALL``."""
        if isinstance(value, int) or str(value).casefold() == ALL:
            return value if isinstance(value, int) else ALL
        if not str(value).strip().isdigit() or int(value) < 1:
            self.fail(f"{value!r} is neither a number from 1 nor `{ALL}`.", param, ctx)
        return int(value)


class Box(click.ParamType):
    """A box of the image: left,top,right,bottom."""

    name = "box"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Return what ``--help`` shows."""
        return "L,T,R,B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the four numbers."""
        try:
            found = tuple(float(part) for part in (value.split(",") if isinstance(value, str) else value))
        except ValueError:
            found = ()
        if len(found) != 4:
            self.fail(f"{value!r} is not four numbers, e.g. 12,40,90,66.", param, ctx)
        return found
