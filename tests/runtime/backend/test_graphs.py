"""The graphs of a bundle: which are opened when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_runtime import load
from gagrad_runtime.backend import Runner
from gagrad_runtime.backend.onnxruntime import OnnxRuntimeBackend

FRAME = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_a_graph_is_opened_when_it_is_needed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every explanation runs at once; the paper's map and its score bring the others, once each."""
    roles: list[str] = []
    opening = OnnxRuntimeBackend.open

    def noted(self: OnnxRuntimeBackend, graph: str, file: GraphFile, rows: int = 1) -> Runner:
        roles.append(graph)
        return opening(self, graph, file, rows)

    monkeypatch.setattr(OnnxRuntimeBackend, "open", noted)
    with load(tiny_bundle, device="cpu", trial=False) as explainer:
        assert sorted(roles) == ["accumulate", "combine", "maps", "predict"]
        explainer.explain(FRAME)
        assert not {"finalize", "recover"} & set(roles)
        for _ in range(2):
            explainer.explain(FRAME, preset="paper")
        assert sorted(roles[-2:]) == ["finalize", "recover"]
        assert len(set(roles)) == len(roles)
