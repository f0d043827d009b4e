"""Admission of a bundle to a device: the trust policy decides before the graphs are read.

A packed file and an unpacked folder are treated alike: both are read into memory, and the bytes that the
signature covers are the bytes that are used.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import OutputError
from gagrad_edge.trust.release import utc
from gagrad_runtime.trust.checks import TrustDecision, decide
from gagrad_runtime.trust.policy import Policy, device_policy
from gagrad_runtime.trust.state import State, read_state, remember

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_edge.bundle.bundle import Bundle, Head

_CLOCK_STEP = timedelta(days=1)
"""The clock is stored once a day, to spare the flash memory."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Admission:
    """A bundle that may be loaded."""

    bundle: Bundle
    decision: TrustDecision | None = None
    """None on a device without a policy."""
    policy: Policy | None = None
    now: datetime | None = None

    @property
    def trusted(self) -> bool:
        """Whether keys that the device trusts signed the bundle."""
        return self.decision is not None

    def commit(self) -> None:
        """Store the bundle's version: from now on this device refuses older versions of the product.

        Call it after the graphs were opened, so that a release that does not open can still be replaced by
        the earlier one. Raises OutputError when a newer version cannot be stored, because the device could be
        rolled back then.
        """
        if self.decision is None or self.decision.release is None or self.policy is None:
            return
        path, release = self.policy.state, self.decision.release
        if path is None or self.now is None:
            return
        known = read_state(path)
        new = State(
            versions={release.product: release.version},
            contents={release.product: release.manifest},
            signed=release.signed,
        )
        if known.merged(new) != known:
            remember(path, new.merged(State(clock=self.now)))
        elif known.clock is None or self.now - known.clock > _CLOCK_STEP:
            try:
                remember(path, State(clock=self.now))
            except OutputError as error:
                _log.warning("the clock is not stored: %s", error.what)


def admit(
    path: str | Path,
    trust: Policy | str | Path | None = None,
    *,
    now: datetime | None = None,
    on_decision: Callable[[TrustDecision], None] | None = None,
) -> Admission:
    """Read the bundle at ``path`` if this device's policy allows it.

    ``trust`` is a policy or its file, by default the device's (``policy.device_policy``); ``now`` is what the
    clock shows; ``on_decision`` is called with the policy's decision, also when it refuses the bundle. Raises
    BundleError, TrustError when the policy refuses the bundle, SettingError and MissingPackageError.
    """
    policy = device_policy(trust)
    if policy is None:
        return Admission(read_bundle(path))
    moment = utc(now or datetime.now(timezone.utc))
    known = read_state(policy.state)
    decisions: list[TrustDecision] = []

    def approve(head: Head) -> None:
        decision = decide(head, policy, known, moment)
        decisions.append(decision)
        (on_decision or _warn)(decision)
        decision.require(str(path), policy)

    bundle = read_bundle(path, approve)
    return Admission(bundle, decisions[0], policy, moment)


def _warn(decision: TrustDecision) -> None:
    for check in decision.checks:
        if check.outcome == "unsure":
            _log.warning("%s: %s", check.name, check.text)
