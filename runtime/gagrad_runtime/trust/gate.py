"""The one way a bundle comes onto a device: read, judged by the policy before its graphs are read.

Whether it is a packed file or a folder makes no difference: both are read into memory, and what the signature
covers is what is used.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import OutputError
from gagrad_edge.trust.release import utc
from gagrad_runtime.trust.checks import Verdict, judge
from gagrad_runtime.trust.policy import Policy, device_policy
from gagrad_runtime.trust.state import State, read_state, remember

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_edge.bundle.bundle import Bundle, Head

_CLOCK_STEP = timedelta(days=1)
"""The clock is remembered once a day, to spare the flash."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Admission:
    """A bundle that may be loaded."""

    bundle: Bundle
    verdict: Verdict | None = None
    """None on a device without a policy."""
    policy: Policy | None = None
    now: datetime | None = None

    @property
    def vouched(self) -> bool:
        """Whether someone whom the device trusts signed it."""
        return self.verdict is not None

    def settle(self) -> None:
        """Remember that the bundle is in use: from now on no older version of its product is loaded.

        To be called when its graphs have been opened, so that a release that does not work leaves the way
        back. Raises OutputError when a newer version cannot be remembered, as it could be rolled back then.
        """
        if self.verdict is None or self.verdict.release is None or self.policy is None:
            return
        path, release = self.policy.state, self.verdict.release
        if path is None or self.now is None:
            return
        known = read_state(path)
        news = State(versions={release.product: release.version}, signed=release.signed)
        if known.merged(news) != known:
            remember(path, news.merged(State(clock=self.now)))
        elif known.clock is None or self.now - known.clock > _CLOCK_STEP:
            try:
                remember(path, State(clock=self.now))
            except OutputError as error:
                _log.warning("the time is not remembered: %s", error.what)


def admit(
    path: str | Path,
    trust: Policy | str | Path | None = None,
    *,
    now: datetime | None = None,
    heard: Callable[[Verdict], None] | None = None,
) -> Admission:
    """Read the bundle at ``path`` if this device's policy allows it.

    ``trust`` is a policy or its file, by default the device's (``policy.device_policy``); ``now`` is what the
    clock shows; ``heard`` is told the verdict, whatever it is. Raises BundleError, TrustError when the policy
    refuses the bundle, SettingError and MissingPackageError.
    """
    policy = device_policy(trust)
    if policy is None:
        return Admission(read_bundle(path))
    moment = utc(now or datetime.now(timezone.utc))
    known = read_state(policy.state)
    verdicts: list[Verdict] = []

    def approve(head: Head) -> None:
        verdict = judge(head, policy, known, moment)
        verdicts.append(verdict)
        (heard or _warn)(verdict)
        verdict.require(str(path))

    bundle = read_bundle(path, approve)
    return Admission(bundle, verdicts[0], policy, moment)


def _warn(verdict: Verdict) -> None:
    for check in verdict.checks:
        if check.outcome == "unsure":
            _log.warning("%s: %s", check.name, check.text)
