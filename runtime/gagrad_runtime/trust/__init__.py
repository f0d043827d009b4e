"""Which bundles this device may load: the policy, the checks, and what it remembers."""

from __future__ import annotations

from gagrad_runtime.trust.gate import Admission, admit
from gagrad_runtime.trust.policy import Policy, read_policy

__all__ = ["Admission", "Policy", "admit", "read_policy"]
