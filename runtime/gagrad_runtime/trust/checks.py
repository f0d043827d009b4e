"""The checks of a trust policy on a bundle: signature, product, version, clock and expiry.

A wrong clock decides nothing. The clock is wrong when it is earlier than a time that is known to have passed:
that of a signature, or one that the clock has shown before. The expiry is then compared with it and with the
newest signing time that was ever accepted, and the check is *unsure* unless one of them is past the expiry.
An unsure check is logged as a warning and not refused: a dead clock battery must not stop a line, and old
versions are refused by their number. A clock that ran ahead once does not switch the check off: what is over
by the clock of today is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gagrad_edge.errors import BundleError, TrustError
from gagrad_edge.trust.envelope import signers
from gagrad_edge.trust.release import Release, decode_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gagrad_edge.bundle.bundle import Head
    from gagrad_edge.trust.keys import PublicKey
    from gagrad_runtime.trust.policy import Policy
    from gagrad_runtime.trust.state import State

Outcome = Literal["passed", "unsure", "failed"]


@dataclass(frozen=True)
class Check:
    """One check of a bundle: its outcome, and a text for people."""

    name: str
    outcome: Outcome
    text: str
    hint: str = ""


@dataclass(frozen=True)
class TrustDecision:
    """The checks of one bundle, in order, up to and including the first that failed."""

    checks: tuple[Check, ...]
    release: Release | None = None
    """What the signers state; None unless enough trusted keys signed."""
    signers: tuple[PublicKey, ...] = ()

    @property
    def failed(self) -> Check | None:
        """The check that failed, or None."""
        return next((check for check in self.checks if check.outcome == "failed"), None)

    def require(self, where: str, policy: Policy) -> None:
        """Raise TrustError when a check failed; it names the file of ``policy``."""
        check = self.failed
        if check is not None:
            by = f" (by the trust policy {policy.path})" if policy.path else ""
            raise TrustError(f"{check.name}: {check.text}{by}", where=where, hint=check.hint)


def decide(head: Head, policy: Policy, known: State, now: datetime) -> TrustDecision:
    """Return what ``policy`` decides about a bundle by its ``head``, at ``now`` by the device's clock."""
    where = str(head.path)
    checks = []
    found, check = _signature(head, policy, where)
    checks.append(check)
    if check.outcome == "failed" or head.envelope is None:
        return TrustDecision(tuple(checks), signers=tuple(found))
    release = decode_release(head.envelope.payload, where=where)
    for check in _statement(release, policy, known, now):
        checks.append(check)
        if check.outcome == "failed":
            break
    return TrustDecision(tuple(checks), release, tuple(found))


def _signature(head: Head, policy: Policy, where: str) -> tuple[list[PublicKey], Check]:
    hint = "ask who made the bundle for one that is signed, or check the trusted keys (docs/trust.md)"
    if head.envelope is None:
        return [], Check("signature", "failed", "the bundle is not signed", hint)
    try:
        found = signers(head.envelope, policy.keys, where=where)
    except BundleError as error:
        return [], Check("signature", "failed", error.what, error.hint or hint)
    needed = f"{len(found)} of the {policy.threshold} that are needed"
    names = ", ".join(map(str, found))
    if len(found) < policy.threshold:
        others = ", ".join(one.keyid[:16] for one in head.envelope.signatures)
        text = f"{needed} are there{f' ({names})' if names else ''}; it carries those of {others}"
        return found, Check("signature", "failed", f"trusted signatures: {text}", hint)
    return found, Check("signature", "passed", f"{names} ({policy.threshold} needed)")


def _statement(release: Release, policy: Policy, known: State, now: datetime) -> Iterator[Check]:
    """Yield the checks of the release statement, whose signatures were checked before."""
    product, version = release.product, release.version
    if policy.products and product not in policy.products:
        yield Check(
            "product",
            "failed",
            f"it is for {product!r}, and this device is for {', '.join(sorted(policy.products))}",
            f"name it under [products] in {policy.path or 'the policy'} if this device may load it",
        )
        return
    yield Check("product", "passed", f"{product}, signed {release.signed:%Y-%m-%d %H:%M} UTC")
    floor = max(policy.products.get(product, 0), known.versions.get(product, 0))
    if version < floor:
        yield Check(
            "version",
            "failed",
            f"{product} {version} is older than {floor}, the least that this device loads",
            "to go back on purpose, sign the old content again with a higher version",
        )
        return
    before = known.contents.get(product) if version == known.versions.get(product) else None
    if before not in (None, release.manifest):
        yield Check(
            "version",
            "failed",
            f"this device has loaded a {product} {version} with other content",
            "sign other content with a higher version",
        )
        return
    yield Check("version", "passed", f"{version}" + (f" (at least {floor})" if floor else ""))
    yield from _time(release, known, now)


def _time(release: Release, known: State, now: datetime) -> Iterator[Check]:
    proven = max(release.signed, known.signed or release.signed)
    passed = max(proven, known.clock or proven)
    bad = now < passed
    if bad:
        said = "has passed: it is wrong" if now < proven else "was shown before: one of the two is wrong"
        text = f"it shows {now:%Y-%m-%d %H:%M} UTC, but {passed:%Y-%m-%d %H:%M} UTC {said}"
        yield Check("clock", "unsure", text)
    else:
        yield Check("clock", "passed", f"{now:%Y-%m-%d %H:%M} UTC")
    if release.expires is None:
        yield Check("expiry", "passed", "never expires")
        return
    last = f"{release.expires:%Y-%m-%d %H:%M} UTC"
    if max(proven, now) > release.expires:
        hint = "load a newer release; if the clock is wrong, set it"
        yield Check("expiry", "failed", f"it expired on {last}", hint)
    elif bad:
        text = f"until {last}, which the clock cannot tell; it was before that on {proven:%Y-%m-%d}"
        yield Check("expiry", "unsure", text)
    else:
        yield Check("expiry", "passed", f"until {last}")
