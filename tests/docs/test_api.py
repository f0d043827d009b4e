"""docs/api.md tells of every public name what its docstring says, and its example runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gagrad_export
import gagrad_runtime
from benchmarks.api import page

PUBLIC = {
    *(
        "load",
        "Explainer",
        "Explanation",
        "Prediction",
        "Detection",
        "Target",
        "Rcap",
        "Caution",
        "Provenance",
        "Frame",
    ),
    *("load_frame", "Report", "Roi", "read_roi", "GoodScale", "Reference", "METHODS", "Policy", "errors"),
}


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_public_names_are_these() -> None:
    """A name that comes or goes is a decision; each can be imported, and an editor completes it."""
    assert set(gagrad_runtime.__all__) == PUBLIC
    for package in (gagrad_runtime, gagrad_export):
        assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(dir(gagrad_runtime)) >= PUBLIC


@pytest.mark.parametrize("package", [gagrad_runtime, gagrad_export], ids=lambda package: package.__name__)
def test_every_public_name_has_an_entry(text: str, package: object) -> None:
    """And no other name has one."""
    name = package.__name__  # type: ignore[attr-defined]
    found = re.findall(rf"^### `{name}\.(\w+)`$", text, re.MULTILINE)
    assert sorted(found) == sorted(package.__all__)  # type: ignore[attr-defined]


def test_the_page_is_current(text: str) -> None:
    """The docstrings are the source; the page is made of them."""
    assert text == page(), "run `python -m benchmarks.api`, which writes docs/api.md again"


@pytest.mark.slow
def test_the_example_runs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a module object to a picture, as printed at the top of the page."""
    pytest.importorskip("torch").manual_seed(0)  # the example's network has random weights
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "example.py").write_text(found[1], encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "part.png")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path("example.py")
    assert names["picture"].shape[2] == 3
    assert names["picture"].dtype == np.uint8
    assert {path.name for path in names["files"].values()} == {
        "part.explained.png",
        "part.json",
        "part.saliency.png",
    }
    assert {name for name, _ in names["prediction"].classes} == {"ok", "scratch", "dent"}
