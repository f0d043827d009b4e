"""The soak of slow and broken peers in short."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.peer_kinds import CLIENTS, RECEIVERS
from benchmarks.soak.peers import attempt


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("client", "sink"), list(zip(CLIENTS, RECEIVERS, strict=True))[3::4])
def test_peers_cost_no_verdict_no_event_and_not_the_end(
    client: str, sink: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    """Each image has its verdict, both receivers have all events in order, and SIGTERM is obeyed."""
    found = attempt(tiny_bundle, tmp_path / "station", client, sink, 8)
    assert found["lost"] == 0
    assert found["end"] < 30
    assert found["health"] < 30
