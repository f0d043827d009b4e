"""Whether a device takes a kit: every file is the one that was packed, and the policy's keys signed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gagrad_edge.errors import TrustError
from gagrad_edge.kit import BUNDLE, check_files, read_kit
from gagrad_edge.kit_signature import kit_signers
from gagrad_runtime.trust.gate import admit

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.kit import Kit
    from gagrad_edge.trust.keys import PublicKey
    from gagrad_runtime.trust.policy import Policy


@dataclass(frozen=True)
class AdmittedKit:
    """A kit that may be installed here."""

    kit: Kit
    sha256: str
    """Of its list, ``kit.json``: the fingerprint that `gagrad-edge pack` prints."""
    signers: tuple[PublicKey, ...]
    """Those of the policy's keys that signed it; empty without a policy."""


def admit_kit(folder: Path, policy: Policy | None) -> AdmittedKit:
    """Check the kit in ``folder``, the bundle in it too. Nothing of it is run.

    Raises BundleError when it is not whole, TrustError when ``policy`` refuses it or its bundle.
    """
    kit, sha256 = read_kit(folder)
    found: list[PublicKey] = []
    if policy is not None:
        found = kit_signers(folder, sha256, policy.keys)
        if len(found) < policy.threshold:
            raise TrustError(
                f"{len(found)} of this device's trusted keys signed the kit, and {policy.threshold} must",
                where=str(folder),
                hint="pack it with --sign and a key that is in the device's trust policy",
            )
    check_files(folder, kit)
    admit(folder / BUNDLE, policy)
    return AdmittedKit(kit, sha256, tuple(found))
