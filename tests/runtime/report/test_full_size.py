"""The files at the frame's own size: the same map and colours as the picture, and bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from gagrad_runtime.frame import load_frame
from gagrad_runtime.report.full_size import full_map, full_overlay
from gagrad_runtime.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.explanation.explanation import Explanation

    Builder = Callable[..., Explanation]


def test_the_files_have_the_frames_size_and_are_in_the_record(
    make_explanation: Builder, tmp_path: Path
) -> None:
    """Overlay and 16-bit map are written only when asked for, and the record names them."""
    one = make_explanation(frame=np.full((700, 900, 3), 120, np.uint8))
    plain = one.save(tmp_path / "plain")
    assert set(plain) == {"picture", "png", "record"}
    files = one.save(tmp_path / "full", full=True)
    over = cv2.imread(str(files["full"]), cv2.IMREAD_UNCHANGED)
    bare = cv2.imread(str(files["full_map"]), cv2.IMREAD_UNCHANGED)
    assert over is not None
    assert bare is not None
    assert (over.shape, over.dtype) == ((700, 900, 3), np.uint8)
    assert (bare.shape, bare.dtype) == ((700, 900), np.uint16)
    names = Report(one).record(files)["files"]
    assert names["full"].endswith(".explained-full.png")
    assert names["full_map"].endswith(".saliency-full.png")
    assert all((tmp_path / "full" / name).is_file() for name in names.values())


def test_the_map_is_where_the_explanation_has_it(make_explanation: Builder) -> None:
    """The bare map is ``saliency_on_frame`` in 65535 steps, also over the border of a strip."""
    one = make_explanation(frame=np.zeros((1200, 300), np.uint8))
    expected = np.rint(np.clip(one.saliency_on_frame(), 0, 1) * 65535)
    assert np.abs(full_map(one).astype(float) - expected).max() <= 1
    broken = replace(one, saliency=np.full((64, 48), np.nan, np.float32))
    assert full_map(broken).max() == 0


def test_strips_leave_no_trace(make_explanation: Builder) -> None:
    """The ground has one contrast over the whole frame, though it is worked on in strips."""
    ramp = np.repeat(np.linspace(20, 230, 1100)[:, None], 200, axis=1).astype(np.uint8)
    one = make_explanation(frame=ramp, saliency=np.zeros((64, 48), np.float32))
    grey = full_overlay(one)[:, 100].astype(int).sum(axis=1)
    assert np.abs(np.diff(grey)).max() <= 9


def test_the_places_are_marked_larger_on_a_large_frame(make_explanation: Builder) -> None:
    """Seen on a whole screen the number of a large frame is as large as that of a small one."""

    def ink(size: tuple[int, int]) -> int:
        one = make_explanation(frame=np.zeros(size, np.uint8))
        return int((full_overlay(one) == (190, 215, 230)).all(axis=2).sum())

    assert ink((2880, 2480)) > 8 * ink((720, 620)) > 0
    assert ink((40, 40)) == 0


@pytest.mark.parametrize("kind", ["grey16", "channels"])
def test_any_frame_has_its_full_size(make_explanation: Builder, kind: str) -> None:
    """16-bit frames and frames of many channels are drawn as on the picture."""
    rng, fields = np.random.default_rng(0), {}
    if kind == "grey16":
        frame = load_frame(rng.integers(200, 3600, (150, 200)).astype(np.uint16))
    else:
        frame = load_frame(rng.integers(0, 256, (150, 200, 6), dtype=np.uint8), colour="channels")
        frame = replace(frame, shown={0: "a", 3: "b", 5: "c"})
    assert full_overlay(make_explanation(frame=frame, **fields)).shape == (150, 200, 3)


@pytest.mark.slow
def test_twelve_megapixels_take_bounded_memory(make_explanation: Builder) -> None:
    """Beside the frame itself, the overlay takes less than 30 bytes for each pixel."""
    frame = np.zeros((3000, 4000, 3), np.uint8)
    one = make_explanation(frame=frame)
    tracemalloc.start()
    full_overlay(one)
    assert tracemalloc.get_traced_memory()[1] < 30 * 12e6
    tracemalloc.stop()
