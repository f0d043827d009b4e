"""``gagrad-edge verify``."""

from __future__ import annotations

from pathlib import Path

import click

from gagrad_edge.errors import VerificationError
from gagrad_runtime.commands.options import device_options, json_option


@click.command(short_help="Check a bundle's hashes and its self-test on this machine.")
@click.argument("bundle", type=click.Path(path_type=Path))
@device_options
@json_option
def verify(bundle: Path, device: str, threads: int | None, as_json: bool) -> None:
    """Check that BUNDLE is intact and that this machine computes the map that the exporter computed.

    Example: gagrad-edge verify part.gagrad
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_edge.bundle import read_bundle  # noqa: PLC0415
    from gagrad_runtime.backend import open_backend  # noqa: PLC0415
    from gagrad_runtime.canary import examine  # noqa: PLC0415
    from gagrad_runtime.explainer import Explainer  # noqa: PLC0415
    from gagrad_runtime.selftest import run_selftest  # noqa: PLC0415

    checked = read_bundle(bundle)
    with Explainer(checked, open_backend(device, threads=threads)) as explainer:
        result = run_selftest(checked, explainer)
        findings = [] if explainer.backend.verified else examine(checked, explainer)
    failed = [str(finding) for finding in findings if not finding.passed]
    # Another engine rounds otherwise, and that alone moves pixels over the guide's threshold.
    passed = not failed if findings else result.passed
    if as_json:
        report = {
            "bundle": checked.manifest.name,
            "sha256": checked.sha256,
            "files": len(checked.manifest.files),
            "backend": result.backend,
            "agreement": result.agreement,
            "required": result.required,
            "worst": result.worst,
            "correlation": result.correlation,
            "findings": findings,
            "passed": passed,
        }
        click.echo(msgspec.json.encode(report).decode())
    text = f"{result.agreement:.3%} of the map's pixels agree"
    if findings:
        text += f", rank correlation {result.correlation:.6f}"
    else:
        text += f" ({result.required:.1%} are required)"
    if not passed:
        raise VerificationError(
            f"the self-test failed: {text}, the worst differs by {result.worst:.2g}"
            + "".join(f"; {failure}" for failure in failed),
            where=f"{bundle} on {result.backend}",
            hint="do not trust explanations on this device; try --device cpu, and report the output of "
            "`gagrad-edge doctor`",
        )
    click.echo(f"{bundle}: intact ({len(checked.manifest.files)} files, sha256 {checked.sha256})", err=True)
    click.echo(f"{result.backend}: self-test passed, {text}", err=True)
