"""``gagrad-edge bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command, say, say_json
from gagrad_runtime.commands.options import device_options, json_option, method_options, trust_option


@click.command(cls=Command, section="device", short_help="Measure how long this device takes.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--frames",
    "--iterations",
    "frames",
    type=click.IntRange(2),
    default=50,
    show_default=True,
    help="How many to explain.",
)
@method_options("preset", "method", "guide", "samples", "chunk", "budget_ms", "rcap", "cover")
@device_options
@trust_option
@json_option
def bench(
    bundle: Path,
    frames: int,
    settings: dict[str, Any],
    device: str,
    threads: int | None,
    trust: Path | None,
    as_json: bool,
) -> None:
    """Measure the time of BUNDLE on this device: the model's prediction against its explanation, alternating.

    Prints p50, p95 and p99 of the wall time, rates, the stages of an explanation, and peak memory. Frames are
    the bundle's own test frame, shifted, so nothing else is needed.

    Example: gagrad-edge bench part.gagrad --frames 100
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415
    from gagrad_runtime.jobs.timing import as_text  # noqa: PLC0415
    from gagrad_runtime.jobs.timing import bench as measure  # noqa: PLC0415
    from gagrad_runtime.session.opening import open_session  # noqa: PLC0415

    with (
        Progress(f"{frames} frames") as progress,
        open_session(
            bundle, device, threads=threads, trust=trust, prove="never", progress=progress
        ) as session,
    ):
        report = measure(
            session.bundle, session.explainer, frames=frames, settings=settings, progress=progress
        )
    if as_json:
        say_json(msgspec.json.encode(report))
    say(*as_text(report).split("\n"), err=True)
