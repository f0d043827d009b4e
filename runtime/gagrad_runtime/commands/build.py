"""``gagrad-edge build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gagrad_edge.cli import Command, say, say_json
from gagrad_edge.errors import VerificationError
from gagrad_runtime.commands.options import device_options, json_option, trust_option


@click.command(
    cls=Command,
    section="device",
    short_help="Compile a bundle's graphs for this device, and check what they compute.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@device_options
@trust_option
@json_option
def build(bundle: Path, device: str, threads: int | None, trust: Path | None, as_json: bool) -> None:
    """Compile every graph of BUNDLE for a device, keep the engines, and check them on the bundle's frame.

    With TensorRT that takes minutes, once: the first `explain` would do it otherwise. Engines stay on this
    device, in the user's cache; copied to another one they are not loaded, but built again there. Ctrl-C
    leaves finished engines and nothing half-written.

    Example: gagrad-edge build part.gagrad --device tensorrt
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415
    from gagrad_runtime.session.canary import examine  # noqa: PLC0415
    from gagrad_runtime.session.opening import Compiled, open_session  # noqa: PLC0415

    rows: list[dict[str, Any]] = []

    def report_graph(one: Compiled) -> None:
        progress.clear()
        rows.append({"graph": one.name, "seconds": round(one.seconds, 3), "bytes": one.size})
        size = "" if one.size is None else f"{one.size / 1e6:9.1f} MB"
        say(f"{one.name:<20} {one.seconds:8.1f} s {size}".rstrip(), err=True)

    with (
        Progress() as progress,
        open_session(
            bundle,
            device,
            threads=threads,
            trust=trust,
            prove="never",
            progress=progress,
            on_compiled=report_graph,
        ) as session,
    ):
        backend = session.explainer.backend
        findings = examine(session.bundle, session.explainer)
    failed = [str(finding) for finding in findings if not finding.passed]
    if as_json:
        report = {"backend": backend.description, "graphs": rows, "findings": findings, "passed": not failed}
        say_json(msgspec.json.encode(report))
    if failed:
        raise VerificationError(
            f"the engines compute something else than the bundle says: {'; '.join(failed)}",
            where=f"{bundle} on {backend.description}",
            hint="`explain` will take one sample at a time, or the CPU, if that mends it; report the output "
            "of `gagrad-edge doctor`",
        )
    say(f"{backend.description}: checked on the bundle's frame", err=True)
