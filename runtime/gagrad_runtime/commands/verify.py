"""``gagrad-edge verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gagrad_edge.cli import Command, say, say_json
from gagrad_edge.errors import SettingError, VerificationError
from gagrad_edge.kit import KIT
from gagrad_runtime.commands.options import device_options, json_option, trust_option

if TYPE_CHECKING:
    from gagrad_runtime.trust import Policy, TrustDecision

_MARKS = {"passed": "ok", "unsure": "??", "failed": "NO"}


@click.command(
    cls=Command,
    section="device",
    short_help="Check who signed a bundle or a kit, its hashes, and its self-test here.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Public key, NAME.pub, that must have signed; may be given several times.",
)
@click.option(
    "--threshold",
    type=click.IntRange(1),
    help="How many of the keys must have signed.  [default: all of them]",
)
@trust_option
@device_options
@json_option
def verify(
    bundle: Path,
    keys: tuple[Path, ...],
    threshold: int | None,
    trust: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Check that BUNDLE is intact and that this machine computes the map that the exporter computed.

    With --key, and on a device with a trust policy, first who signed it, as what and when, and whether this
    device may load it. What does not pass is not run. Nothing is remembered. BUNDLE may be an offline kit
    (a folder that `pack` wrote): then each of its files and who signed them, and no self-test.

    Example: gagrad-edge verify part.gagrad --key release-2026.pub
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415
    from gagrad_runtime.language.numbers import agreement_text  # noqa: PLC0415
    from gagrad_runtime.session.answers import examine_answers  # noqa: PLC0415
    from gagrad_runtime.session.canary import examine  # noqa: PLC0415
    from gagrad_runtime.session.opening import open_session  # noqa: PLC0415
    from gagrad_runtime.session.selftest import run_selftest  # noqa: PLC0415
    from gagrad_runtime.trust import admit  # noqa: PLC0415
    from gagrad_runtime.trust.policy import device_policy  # noqa: PLC0415

    if (bundle / KIT).is_file():
        _verify_kit(bundle, _policy(keys, threshold) if keys or threshold else device_policy(trust), as_json)
        return
    report: dict[str, Any] = {"passed": False}

    def print_decision(decision: TrustDecision) -> None:
        report["trust"] = as_data(decision)
        for check in decision.checks:
            say(f"{_MARKS[check.outcome]} {check.name}: {check.text}", err=True)
        if decision.failed and as_json:
            say_json(msgspec.json.encode(report))

    sha256 = None
    if keys or threshold:
        sha256 = admit(bundle, _policy(keys, threshold), on_decision=print_decision).bundle.sha256
    with (
        Progress() as progress,
        open_session(
            bundle,
            device,
            threads=threads,
            trust=trust,
            prove="never",
            sha256=sha256,
            progress=progress,
            on_decision=print_decision,
        ) as session,
    ):
        checked, explainer = session.bundle, session.explainer
        checked.weights.check()
        result = run_selftest(checked, explainer)
        answers = examine_answers(checked, explainer, every=True)
        findings = [] if explainer.backend.verified else examine(checked, explainer)
    failed = list(dict.fromkeys(str(finding) for finding in (*findings, *answers) if not finding.passed))
    # Another engine rounds differently, and rounding alone moves pixels over the guide's threshold.
    passed = not failed and (bool(findings) or result.passed)
    if as_json:
        report |= {
            "bundle": checked.manifest.name,
            "sha256": checked.sha256,
            "files": len(checked.manifest.files),
            "backend": result.backend,
            "agreement": result.agreement,
            "required": result.required,
            "worst": result.worst,
            "correlation": result.correlation,
            "findings": [*findings, *(finding for finding in answers if finding not in findings)],
            "passed": passed,
        }
        say_json(msgspec.json.encode(report))
    text = f"{agreement_text(result.agreement)} of the map's pixels agree"
    if findings:
        text += f", rank correlation {result.correlation:.6f}"
    else:
        text += f" ({agreement_text(result.required)} are required)"
    if not passed:
        raise VerificationError(
            f"the self-test failed: {text}, the worst differs by {result.worst:.2g}"
            + "".join(f"; {failure}" for failure in failed),
            where=f"{bundle} on {result.backend}",
            hint="copy the bundle again or export it again; if that does not help, report the output of "
            "`gagrad-edge doctor`"
            if explainer.backend.verified
            else "do not trust explanations on this device; try --device cpu, and report the output of "
            "`gagrad-edge doctor`",
        )
    say(f"{bundle}: intact ({len(checked.manifest.files)} files, sha256 {checked.sha256})", err=True)
    if checked.envelope is not None and "trust" not in report:
        ids = ", ".join(signature.keyid[:16] for signature in checked.envelope.signatures)
        say(f"it carries signatures of {ids}, not checked: give --key or a trust policy", err=True)
    say(f"{result.backend}: self-test passed, {text}", err=True)


def _verify_kit(folder: Path, policy: Policy | None, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.trust.kit import admit_kit  # noqa: PLC0415

    found = admit_kit(folder, policy)
    kit, names = found.kit, ", ".join(map(str, found.signers))
    if as_json:
        report = {
            "kit": found.sha256,
            **{
                name: getattr(kit, name)
                for name in ("product", "version", "platform", "gagrad_edge", "created")
            },
            "files": len(kit.files),
            "signers": [{"name": key.name, "id": key.id} for key in found.signers],
            "passed": True,
        }
        say_json(msgspec.json.encode(report))
    say(f"{folder}: intact ({len(kit.files)} files, fingerprint {found.sha256})", err=True)
    say(f"{kit.product} {kit.version} for {kit.platform}, packed {kit.created}", err=True)
    unchecked = "who signed it was not checked: give --key or a trust policy"
    say(unchecked if policy is None else f"signed by {names}", err=True)


def _policy(keys: tuple[Path, ...], threshold: int | None) -> Policy:
    """Return the policy that ``--key`` and ``--threshold`` state; it stores no versions."""
    from gagrad_edge.trust.keys import read_public_key  # noqa: PLC0415
    from gagrad_runtime.trust.policy import Policy, check_keys  # noqa: PLC0415

    found = tuple(read_public_key(path) for path in keys)
    needed = threshold or len(found)
    try:
        check_keys(found, needed)
    except ValueError as error:
        raise SettingError(str(error), where="--key, --threshold", hint="give each key once") from error
    return Policy(found, needed)


def as_data(decision: TrustDecision) -> dict[str, Any]:
    """Return ``decision`` as ``--json`` prints it: product, version, times, signers, and each check."""
    release = decision.release
    return {
        "product": release and release.product,
        "version": release and release.version,
        "signed": release and release.signed,
        "expires": release and release.expires,
        "signers": [{"name": key.name, "id": key.id} for key in decision.signers],
        "checks": [
            {"name": check.name, "outcome": check.outcome, "text": check.text} for check in decision.checks
        ],
    }
