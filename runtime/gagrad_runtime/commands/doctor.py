"""``gagrad-edge doctor``."""

from __future__ import annotations

import click

from gagrad_edge.cli import Command, say, say_json
from gagrad_runtime.commands.options import json_option


@click.command(
    cls=Command,
    section="first",
    short_help="Show what this machine has, what is missing, and the line that installs it.",
)
@json_option
def doctor(as_json: bool) -> None:
    """Show which backends this machine has, their versions and devices, and how to install what is missing.

    Example: gagrad-edge doctor
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.jobs.diagnosing import diagnose  # noqa: PLC0415

    diagnosis = diagnose()
    if as_json:
        say_json(msgspec.json.encode(diagnosis))
        return
    say(f"gagrad-edge {diagnosis.version}, Python {diagnosis.python}, {diagnosis.platform}")
    memory = "unknown" if diagnosis.memory_gib is None else f"{diagnosis.memory_gib:.1f} GiB"
    say(f"{diagnosis.cores} cores, {memory} of memory")
    if diagnosis.cache:
        size = f"{diagnosis.cache_bytes / 1e6:.0f} MB"
        say(f"{size} kept for the next start in {diagnosis.cache}, which may be deleted")
    else:
        say("nothing is kept for the next start: this user has no home, and XDG_CACHE_HOME is not set")
    for part in diagnosis.parts:
        mark, state = ("✓", part.version) if part.usable else ("–", "not usable")
        say(f"  {mark} {part.name:<16} {state}: {part.purpose}")
        if part.problem:
            say(f"      {part.problem}")
        if part.install:
            say(f"      to install: {part.install}")
    for warning in diagnosis.warnings:
        say(f"  ! {warning}")
