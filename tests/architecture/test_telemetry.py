"""No engine reports to its makers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("first", ["gagrad_runtime", "gagrad_export", "gagrad_edge.cli"])
def test_explaining_leaves_nothing_but_our_own_cache(first: str, tiny_bundle: Path, tmp_path: Path) -> None:
    """With an empty HOME and without ``CI``, which hides it, only our own folder appears."""
    code = (
        f"import {first}, gagrad_runtime, numpy\n"
        f"with gagrad_runtime.load({str(tiny_bundle)!r}) as explainer:\n"
        "    explainer.explain(numpy.zeros((30, 40, 3), 'uint8'), samples=4)\n"
    )
    ours = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=ours | home)
    left = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {(".cache", "gagrad-edge")}
