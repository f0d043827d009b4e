"""What decoding may take, bounded by a file's header."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.poison_files import poison
from gagrad_edge.errors import FrameError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.bounds import MOST_PIXELS, stated_pixels

REFUSED = {
    "one-row.png": "1048576 rows or columns",
    "chunks.png": "5000 chunks that are no pixels",
    "texts.png": "5000 chunks that are no pixels",
    "pixels-byte-by-byte.png": "200000 chunks of pixels",
    "exif-bomb.png": "more values than its",
    "exif-entries.png": "60000 entries",
    "5000-scans.jpg": "more than 100 scans",
    "5000-scans-colour.jpg": "more than 100 scans",
    "comments.jpg": "5000 segments",
    "fill-bytes.jpg": "5000 segments",
    "exif-bomb.jpg": "more values than its",
    "tile-of-1-gb.tif": "tiles are 16384 high and 65536 wide",
    "tile-of-nothing.tif": "tiles are 0 high",
    "tile-that-overflows.tif": "tiles are 4294967295 high",
    "strips.tif": "400000 strips or tiles",
    "circle.tif": "round in a circle",
    "entries.tif": "65535 entries",
    "overlapping-values.tif": "more values than its",
    "bigtiff-entries.tif": "entries",
    "runs.bmp": "4194304 bytes of run-length",
    "jumps.bmp": "16777216 run-length coded pixels",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_dear_to_decode_is_refused_by_its_header(kind: str, tmp_path: Path) -> None:
    """And the message says by which number."""
    poison()[kind](tmp_path / kind)
    with pytest.raises(FrameError, match=REFUSED[kind]):
        load_frame(tmp_path / kind)


@pytest.mark.parametrize("kind", ["2000-pages.tif", "200000-pages.tif"])
def test_pages_behind_the_first_are_not_walked(kind: str, tmp_path: Path) -> None:
    """A frame is the first page, and the note counts to 64."""
    poison()[kind](tmp_path / kind)
    assert load_frame(tmp_path / kind).notes == ("first of more than 64 pages",)


@pytest.mark.parametrize(
    ("kind", "pixels"),
    [
        ("50-scans.jpg", 4096 * 4096),
        ("beyond-any-size.png", MOST_PIXELS),
        ("end-at-once.bmp", 100_000_000),
        ("packbits-100-mp.tif", 100_000_000),
        ("signature-only.png", 0),
        ("fill-bytes.jpg", 0),
    ],
)
def test_the_pixels_that_a_header_states(kind: str, pixels: int, tmp_path: Path) -> None:
    """Of every format, at most a number that limits can be made of, and 0 where there is no header."""
    poison()[kind](tmp_path / kind)
    assert stated_pixels((tmp_path / kind).read_bytes(), channels=False) == pixels


@pytest.mark.parametrize("error", [MemoryError(), None])
def test_too_little_memory_is_an_error_of_the_frame(
    error: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python and as OpenCV say it."""
    import cv2

    from gagrad_runtime.frame import decoding

    if error is None:
        error = cv2.error("Failed to allocate 1 bytes")
        error.code = cv2.Error.StsNoMem

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(decoding, "_decoded", fail)
    with pytest.raises(FrameError, match="not enough memory"):
        decoding.decode(b"BM" + bytes(60), where="part.bmp")
