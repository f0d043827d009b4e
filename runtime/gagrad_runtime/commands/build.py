"""``gagrad-edge build``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gagrad_edge.cli import Command
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

    from gagrad_runtime.backend import open_backend  # noqa: PLC0415
    from gagrad_runtime.backend.graphs import Graphs  # noqa: PLC0415
    from gagrad_runtime.session.canary import examine  # noqa: PLC0415
    from gagrad_runtime.session.explainer import Explainer  # noqa: PLC0415
    from gagrad_runtime.session.trial import try_opening  # noqa: PLC0415
    from gagrad_runtime.trust import admit  # noqa: PLC0415

    admission = admit(bundle, trust)
    checked = admission.bundle
    backend = open_backend(device, threads=threads)
    rows = []

    def note(name: str, began: float, compiled: int | None = None) -> None:
        seconds = time.perf_counter() - began
        rows.append({"graph": name, "seconds": round(seconds, 3), "bytes": compiled})
        size = "" if compiled is None else f"{compiled / 1e6:9.1f} MB"
        click.echo(f"{name:<20} {seconds:8.1f} s {size}".rstrip(), err=True)

    if not admission.vouched:
        began = time.perf_counter()
        try_opening(checked, backend, device)
        note("all, in a child", began)
    graphs = Graphs(checked, backend, opened=())
    for entry in {(entry.role, entry.variant): entry for entry in checked.manifest.graphs}.values():
        name = f"{entry.role} {entry.variant}".strip()
        began = time.perf_counter()
        note(name, began, graphs.runner(entry.role, entry.variant).size)
    graphs.close()
    with Explainer(checked, backend) as explainer:
        findings = examine(checked, explainer)
    failed = [str(finding) for finding in findings if not finding.passed]
    if as_json:
        report = {"backend": backend.description, "graphs": rows, "findings": findings, "passed": not failed}
        click.echo(msgspec.json.encode(report).decode())
    if failed:
        raise VerificationError(
            f"the engines compute something else than the bundle says: {'; '.join(failed)}",
            where=f"{bundle} on {backend.description}",
            hint="`explain` will take one copy at a time, or the CPU, if that mends it; report the output of "
            "`gagrad-edge doctor`",
        )
    click.echo(f"{backend.description}: checked on the bundle's frame", err=True)
