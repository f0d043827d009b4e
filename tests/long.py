"""Cases of a test that only `make zoo` runs: another network, size or number that shows the same again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def all_but(cases: Iterable[Any], *again: Any) -> list[Any]:
    """Return ``cases`` for ``parametrize``, those in ``again`` marked as long."""
    known = list(cases)
    assert set(again) <= set(known)
    return [pytest.param(case, marks=pytest.mark.long) if case in again else case for case in known]
