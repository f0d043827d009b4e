"""Which bytes become which pixels, and what is refused with which words."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import textwrap
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from gagrad_edge.errors import FrameError
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.decoding import MAX_PIXELS
from tests.channels import lights, tiff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

STORED = {
    1: lambda up: up,
    2: lambda up: up[:, ::-1],
    3: lambda up: up[::-1, ::-1],
    4: lambda up: up[::-1],
    5: lambda up: up.swapaxes(0, 1),
    6: np.rot90,
    7: lambda up: up[::-1, ::-1].swapaxes(0, 1),
    8: lambda up: np.rot90(up, -1),
}
"""How an upright picture is stored for each EXIF orientation."""


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff"])
def test_lossless_colour_and_mono_files_give_their_pixels(
    tmp_path: Path, part: NDArray[np.uint8], ending: str
) -> None:
    """A lossless file comes back exactly, in RGB order, colour as colour and mono as mono."""
    colour = load_frame(saved(Image.fromarray(part), tmp_path / f"colour.{ending}"))
    mono = load_frame(str(saved(Image.fromarray(part[..., 0]), tmp_path / f"mono.{ending}")))
    np.testing.assert_array_equal(colour.pixels, part)
    np.testing.assert_array_equal(mono.pixels, part[..., 0])
    assert (colour.mono, mono.mono, colour.notes) == (False, True, ())
    assert (colour.height, colour.width) == part.shape[:2]


def test_a_jpeg_is_close_to_what_was_saved(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """JPEG is decoded in RGB order."""
    frame = load_frame(saved(Image.fromarray(part), tmp_path / "part.jpg", quality=98, subsampling=0))
    assert np.abs(frame.pixels.astype(int) - part).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tiff"])
def test_exif_orientation_is_applied_exactly_once(
    tmp_path: Path, part: NDArray[np.uint8], ending: str, orientation: int
) -> None:
    """Whatever way round the camera stored it, the frame is upright, and a note says that it was turned."""
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](part)))
    path = saved(
        stored, tmp_path / f"turned.{ending}", exif=exif, **({"quality": 98} if ending == "jpg" else {})
    )
    frame = load_frame(path)
    assert frame.pixels.shape == part.shape
    assert np.abs(frame.pixels.astype(int) - part).mean() < 4
    assert frame.notes == ((f"EXIF orientation {orientation} applied",) if orientation > 1 else ())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dark", [False, True], ids=["bright", "high-byte-zero"])
def test_sixteen_bit_colour_is_upright_too(
    tmp_path: Path, tiff_bytes: Callable[..., bytes], orientation: int, dark: bool
) -> None:
    """16-bit colour takes another decoder, whose own idea of orientation must not be added.

    The dark case has nothing in the upper 8 bits, which is all that the two decoders are compared by.
    """
    pixels = np.arange(6 * 4 * 3, dtype=np.uint16).reshape(6, 4, 3) * (3 if dark else 900)
    stored = np.ascontiguousarray(STORED[orientation](pixels))
    (tmp_path / "frame.tiff").write_bytes(tiff_bytes(stored, **{"274": orientation}))
    exif = Image.Exif()
    exif[274] = orientation
    _, data = cv2.imencode(".png", stored[..., ::-1])
    (tmp_path / "frame.png").write_bytes(with_exif(data.tobytes(), exif.tobytes()))
    for name in ("frame.tiff", "frame.png"):
        frame = load_frame(tmp_path / name)
        np.testing.assert_array_equal(frame.pixels, pixels, err_msg=name)


def with_exif(png: bytes, exif: bytes) -> bytes:
    """Return ``png`` with an eXIf chunk behind the header."""
    body = b"eXIf" + exif.removeprefix(b"Exif\0\0")
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_kept(tmp_path: Path, rng: np.random.Generator, ending: str, channels: int) -> None:
    """All 16 bits of mono and colour files arrive; an alpha channel is dropped."""
    pixels = rng.integers(0, 65536, (9, 7, channels), dtype=np.uint16)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    _, data = cv2.imencode(ending, np.ascontiguousarray(pixels[..., order]))
    (tmp_path / f"frame{ending}").write_bytes(data.tobytes())
    frame = load_frame(tmp_path / f"frame{ending}")
    assert frame.pixels.dtype == np.uint16
    np.testing.assert_array_equal(frame.pixels, pixels[..., 0] if channels == 1 else pixels[..., :3])
    assert frame.notes == (("transparency dropped",) if channels == 4 else ())


def test_sixteen_bit_grey_with_alpha_stays_mono(
    tmp_path: Path, rng: np.random.Generator, png_bytes: Callable[..., bytes]
) -> None:
    """PNG's 16-bit grey with alpha is a mono frame of 16 bits."""
    pixels = rng.integers(0, 65536, (4, 5, 2), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    (tmp_path / "grey.png").write_bytes(png_bytes(5, 4, 16, 4, rows))
    np.testing.assert_array_equal(load_frame(tmp_path / "grey.png").pixels, pixels[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_big_endian_tiff_is_native_in_memory(
    tmp_path: Path, tiff_bytes: Callable[..., bytes], channels: int
) -> None:
    """The byte order of the file does not reach the pixels."""
    pixels = np.arange(0, 64800, 180, dtype=np.uint16).reshape(10, 12, 3)
    pixels = pixels[..., 0] if channels == 1 else pixels
    (tmp_path / "big.tif").write_bytes(tiff_bytes(pixels, big_endian=True))
    frame = load_frame(tmp_path / "big.tif")
    assert frame.pixels.dtype.isnative
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_white_as_zero_is_refused_beyond_eight_bits(tmp_path: Path, tiff_bytes: Callable[..., bytes]) -> None:
    """Pillow does not invert such a file; guessing would explain a negative."""
    (tmp_path / "negative.tif").write_bytes(tiff_bytes(np.ones((4, 5), np.uint16), **{"262": 0}))
    with pytest.raises(FrameError, match="white as 0"):
        load_frame(tmp_path / "negative.tif")


def test_odd_modes_become_grey_or_rgb(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """1-bit is black and white, a palette is its colours, CMYK is converted and says so."""
    image = Image.fromarray(part)
    one_bit = load_frame(saved(image.convert("1"), tmp_path / "bits.png"))
    palette = load_frame(saved(image.quantize(200), tmp_path / "palette.png"))
    cmyk = load_frame(saved(image.convert("CMYK"), tmp_path / "cmyk.jpg", quality=98))
    assert one_bit.mono
    assert set(np.unique(one_bit.pixels)) == {0, 255}
    assert np.abs(palette.pixels.astype(int) - part).mean() < 8
    assert np.abs(cmyk.pixels.astype(int) - part).mean() < 8
    assert cmyk.notes == ("CMYK converted to RGB",)


def test_transparency_is_dropped_not_blended(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """The colours under transparent pixels are kept, as training pipelines keep them, and a note says so."""
    alpha = np.zeros((*part.shape[:2], 1), np.uint8)
    path = saved(Image.fromarray(np.concatenate([part, alpha], axis=2)), tmp_path / "clear.png")
    opaque = saved(Image.fromarray(np.concatenate([part, alpha + 255], axis=2)), tmp_path / "opaque.png")
    np.testing.assert_array_equal(load_frame(path).pixels, part)
    assert load_frame(path).notes == ("transparency dropped",)
    assert load_frame(opaque).notes == ()


def test_the_first_of_several_pages_is_taken(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """A multi-page TIFF is its first page, with a note."""
    first, second = Image.fromarray(part), Image.fromarray(255 - part)
    path = saved(first, tmp_path / "pages.tif", save_all=True, append_images=[second, second])
    frame = load_frame(path)
    np.testing.assert_array_equal(frame.pixels, part)
    assert frame.notes == ("first of 3 pages",)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_file_cut_short_is_refused(
    tmp_path: Path, rng: np.random.Generator, ending: str, kept: float
) -> None:
    """Half a frame is no frame: OpenCV alone would return it half grey."""
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), tmp_path / f"whole.{ending}").read_bytes()
    path = tmp_path / f"cut.{ending}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(FrameError, match=r"damaged or cut short|no image") as caught:
        load_frame(path)
    assert caught.value.where == str(path)
    assert caught.value.exit_code == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_a_sixteen_bit_colour_file_cut_short_is_refused(
    tmp_path: Path, rng: np.random.Generator, ending: str
) -> None:
    """The second decoder does not weaken the check."""
    _, data = cv2.imencode(ending, rng.integers(0, 65536, (60, 80, 3), dtype=np.uint16))
    for kept in (len(data) // 2, len(data) - 20):
        path = tmp_path / f"cut{ending}"
        path.write_bytes(data.tobytes()[:kept])
        with pytest.raises(FrameError, match="damaged or cut short"):
            load_frame(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"this is a text\n", "no image"),
        (b"GIF89a....", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff", "damaged"),
    ],
)
def test_content_that_is_no_image_is_refused_whatever_its_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """The bytes decide; the message names the file and the formats."""
    path = tmp_path / "part.png"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=words) as caught:
        load_frame(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_without_a_known_white_are_refused(tmp_path: Path, dtype: type) -> None:
    """Floating-point and 32-bit TIFF files have no agreed black and white."""
    path = saved(Image.fromarray(np.ones((4, 5), dtype)), tmp_path / "odd.tif")
    with pytest.raises(FrameError, match="nobody states"):
        load_frame(path)


def test_a_huge_frame_is_refused_without_taking_memory_or_warning(
    tmp_path: Path, png_bytes: Callable[..., bytes]
) -> None:
    """A header that promises 30000×30000 pixels is refused before anything of that size exists."""
    (tmp_path / "huge.png").write_bytes(png_bytes(30000, 30000, 8, 2, b"\0" * 1000))
    script = """
        import resource, sys, warnings
        warnings.simplefilter("error")
        from gagrad_edge.errors import FrameError
        from gagrad_runtime.frame import load_frame
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_frame(sys.argv[1])
        except FrameError as error:
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print(grown // 1024, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path / "huge.png"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    grown, _, message = done.stdout.partition(" ")
    assert int(grown) < 20, "MiB"
    assert "30000 high, 30000 wide is 900 million pixels, the limit is 100 million" in message
    assert done.stderr == ""


@pytest.mark.filterwarnings("error")
def test_pillows_own_size_limit_does_not_show(
    tmp_path: Path, part: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our limit takes the place of Pillow's warning, which starts lower."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", part.shape[0] * part.shape[1] - 1)
    for ending in ("png", "jpg", "tif", "bmp"):
        assert (
            load_frame(saved(Image.fromarray(part), tmp_path / f"part.{ending}")).pixels.shape == part.shape
        )
    assert MAX_PIXELS == 100_000_000


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_file_never_raises_anything_else(tmp_path: Path, rng: np.random.Generator) -> None:
    """Random damage gives pixels or a FrameError, whatever the parser stumbles over."""
    image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    wide = cv2.imencode(".tiff", rng.integers(0, 65536, (16, 16, 3), dtype=np.uint16))[1].tobytes()
    files = [wide]
    for kind in ("PNG", "JPEG", "TIFF", "BMP"):
        stream = io.BytesIO()
        image.save(stream, kind)
        files.append(stream.getvalue())
    path = tmp_path / "damaged"
    for data in files:
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(0, min(len(data), 400), 4):
                damaged[position] = rng.integers(256)
            path.write_bytes(damaged)
            with contextlib.suppress(FrameError):
                assert load_frame(path).pixels.size > 0


def test_what_the_camera_wrote_is_kept(tmp_path: Path, part: NDArray[np.uint8]) -> None:
    """As text that can be printed; a file without it, or with nonsense, is as good a frame."""
    exif = Image.Exif()
    exif[271], exif[272] = "maker", "model\x1b[31m"
    exif.get_ifd(0x8769).update({36867: "2026:05:04 12:00:00", 33434: 0.004, 34855: 200})
    for ending in ("jpg", "png", "tiff"):
        frame = load_frame(saved(Image.fromarray(part), tmp_path / f"part.{ending}", exif=exif))
        assert frame.exif["Make"] == "maker"
        assert frame.exif["Model"] == "model\\x1b[31m"
        if ending == "tiff":  # Pillow does not write the others there
            continue
        assert frame.exif["DateTimeOriginal"] == "2026:05:04 12:00:00"
        assert float(frame.exif["ExposureTime"]) == 0.004
        assert frame.exif["ISOSpeedRatings"] == "200"
    assert load_frame(saved(Image.fromarray(part), tmp_path / "bare.png")).exif == {}


def test_opencv_has_a_limit_too() -> None:
    """Set before it is loaded, whichever of our modules loads it; a user's own setting stays."""
    code = (
        "import os, sys; os.environ.pop('OPENCV_IO_MAX_IMAGE_PIXELS', None)\n"
        "import gagrad_runtime\n"
        "assert 'cv2' not in sys.modules\n"
        "from gagrad_runtime.frame.decoding import MAX_PIXELS\n"
        "assert os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'] == str(MAX_PIXELS)\n"
        "import cv2, numpy\n"
        "header = b'BM' + bytes(8) + (54).to_bytes(4, 'little') + (40).to_bytes(4, 'little')\n"
        "header += (20000).to_bytes(4, 'little') * 2 + b'\\1\\0\\x18\\0' + bytes(24)\n"
        "try:\n"
        "    assert cv2.imdecode(numpy.frombuffer(header, 'u1'), -1) is None\n"
        "except cv2.error as error:\n"
        "    assert 'PIXELS' in str(error), error\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=300)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("ending", ["tif", "tiff"])
def test_a_tiff_that_ends_early_is_refused_whatever_is_missing(
    tmp_path: Path, part: NDArray[np.uint8], ending: str
) -> None:
    """Its directory with the orientation, a value of it, or the end of a strip in JPEG coding."""
    exif = Image.Exif()
    exif[274] = 6
    coding = {"tif": "jpeg", "tiff": "tiff_adobe_deflate"}[ending]
    path = saved(Image.fromarray(part), tmp_path / f"part.{ending}", compression=coding, exif=exif)
    data = path.read_bytes()
    whole = load_frame(path).pixels
    for cut in range(1, 60):
        path.write_bytes(data[:-cut])
        with contextlib.suppress(FrameError):
            np.testing.assert_array_equal(load_frame(path).pixels, whole)


@pytest.mark.parametrize("plain", [0, 255])
def test_no_whole_file_is_too_small_for_its_pixels(tmp_path: Path, plain: int) -> None:
    """The most compressible pictures there are, in every coding of PNG and JPEG that is written."""
    image = Image.fromarray(np.full((900, 1200, 3), plain, np.uint8))
    for number, (ending, options) in enumerate(
        [
            ("png", {"compress_level": 9}),
            ("jpg", {"quality": 1, "optimize": True}),
            ("jpg", {"quality": 1, "optimize": True, "progressive": True}),
        ]
    ):
        for kind in (image, image.convert("L"), image.convert("1" if ending == "png" else "CMYK")):
            assert load_frame(saved(kind, tmp_path / f"{number}.{ending}", **options)).width == 1200


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_header_that_claims_more_than_the_file_can_hold_is_refused(
    tmp_path: Path, part: NDArray[np.uint8], ending: str
) -> None:
    """Before it is decoded: libjpeg would make 90 million grey pixels of it."""
    path = saved(Image.fromarray(part), tmp_path / f"part.{ending}")
    data = bytearray(path.read_bytes())
    if ending == "png":
        data[16:24] = struct.pack(">II", 9_000, 10_000)
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    else:
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 9_000, 10_000)
    path.write_bytes(data)
    with pytest.raises(FrameError, match="cannot hold"):
        load_frame(path)


def test_a_palette_of_8_bit_values_in_a_tiff_is_refused() -> None:
    """TIFF's palettes have 16 bits: with values below 256 one decoder shows colours and another black."""

    def palette(scale: int) -> bytes:
        stream = io.BytesIO()
        picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8), "P")
        picture.putpalette([value for level in range(256) for value in (level, 255 - level, 7)])
        picture.save(stream, "TIFF")
        data = stream.getvalue()
        stored = TiffImagePlugin.TiffImageFile(io.BytesIO(data)).tag_v2[320]
        old, new = (np.array(values, "<u2").tobytes() for values in (stored, [v // scale for v in stored]))
        assert data.count(old) == 1
        return data.replace(old, new)

    assert load_frame(palette(1)).pixels.max() > 200
    with pytest.raises(FrameError, match="palette holds values of 8 bits"):
        load_frame(palette(256))


@pytest.mark.parametrize("choice", [{}, {"deflate": True}, {"deflate": True, "differences": True}])
def test_16_bit_colours_in_planes_are_read_whole(choice: dict[str, bool]) -> None:
    """Band after band as pixel by pixel: all 16 bits, in the same order."""
    pixels = lights(kind=np.uint16, channels=3)
    np.testing.assert_array_equal(
        load_frame(tiff(pixels, planar=True, **choice, **{"262": 2})).pixels, pixels
    )
