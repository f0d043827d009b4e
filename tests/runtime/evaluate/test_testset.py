"""The generated test parts: the same every time, masks where there are defects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.defects.testset import write_testset


@pytest.mark.slow
def test_the_same_files_every_time(tmp_path: Path) -> None:
    """Five classes take turns; good parts have no mask; masks have their images' size and are 0 or 255."""
    for folder in ("one", "two"):
        write_testset(tmp_path / folder, 5)
    images = sorted((tmp_path / "one" / "images").iterdir())
    assert [path.name.split("-")[1] for path in images] == ["ok", "scratch", "dent", "stain", "missing"]
    masks = sorted((tmp_path / "one" / "masks").iterdir())
    assert [path.name for path in masks] == [path.name for path in images[1:]]
    for path in masks:
        mask = np.asarray(Image.open(path))
        assert set(np.unique(mask)) == {0, 255}
        assert mask.shape == np.asarray(Image.open(tmp_path / "one" / "images" / path.name)).shape[:2]
    for path in (*images, *masks):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()
