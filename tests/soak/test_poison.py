"""The poison soak in short: every kind at once, and one restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.poison import trial
from benchmarks.soak.poison_files import poison


@pytest.mark.slow
def test_no_poison_costs_an_image_its_verdict(tiny_bundle: Path, tmp_path: Path) -> None:
    """More than 40 kinds before ten good images, a kill, a restart: each good image has its verdict in time.

    Files of 100 million pixels that are whole take seconds each and are left to the long form.
    """
    kinds = [kind for kind in poison() if "100-mp" not in kind]
    assert len(kinds) > 40
    seconds, without, ends = trial(tiny_bundle, tmp_path, kinds, 0.5)
    assert without == []
    assert seconds < 30
    assert len(ends) > 40
