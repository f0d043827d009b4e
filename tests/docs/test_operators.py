"""docs/operators.md tells what the exporter's tables say today."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from benchmarks.operators import NEWEST, page


@pytest.mark.skipif(onnx.defs.onnx_opset_version() < NEWEST, reason=f"onnx does not know opset {NEWEST}")
def test_the_page_is_current(root: Path) -> None:
    """docs/operators.md is what ``python -m benchmarks.operators`` would write today."""
    text = (root / "docs" / "operators.md").read_text(encoding="utf-8")
    assert text == page(), "run `python -m benchmarks.operators`, which writes docs/operators.md again"
