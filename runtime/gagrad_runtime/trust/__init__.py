"""Which bundles this device may load: the policy, its checks, and the versions that the device stores."""

from __future__ import annotations

from gagrad_runtime.trust.checks import TrustDecision
from gagrad_runtime.trust.gate import Admission, admit
from gagrad_runtime.trust.policy import Policy, device_policy, for_product, read_policy

__all__ = ["Admission", "Policy", "TrustDecision", "admit", "device_policy", "for_product", "read_policy"]
