"""Admission of an offline kit: every file is as packed, and the policy's keys signed the list."""

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
    """SHA-256 of the list ``kit.json``: the fingerprint that `gagrad-edge pack` prints."""
    signers: tuple[PublicKey, ...]
    """The policy's keys that signed the kit; empty without a policy."""


def admit_kit(folder: Path, policy: Policy | None) -> AdmittedKit:
    """Check the kit in ``folder`` and the bundle in the kit. Nothing in the kit is run.

    Raises BundleError when the kit is incomplete or changed, TrustError when ``policy`` refuses the kit or
    its bundle.
    """
    kit, sha256 = read_kit(folder)
    found: list[PublicKey] = []
    if policy is not None:
        found = kit_signers(folder, sha256, policy.keys)
        if len(found) < policy.threshold:
            raise TrustError(
                f"{len(found)} of the keys of the trust policy {policy.path or ''} signed the kit, and "
                f"{policy.threshold} must",
                where=str(folder),
                hint="pack it with `gagrad-edge pack --sign KEY`, and a key of the device's trust policy",
            )
    check_files(folder, kit)
    admit(folder / BUNDLE, policy)
    return AdmittedKit(kit, sha256, tuple(found))
