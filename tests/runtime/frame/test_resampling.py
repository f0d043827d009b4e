"""The image of a bundle against the one that Pillow, OpenCV, torch and the training libraries make."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import FrameError
from gagrad_edge.input import RESAMPLING, InputSpec, Interpolation
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.frame import Frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.frame.placement import place

torch: Any = pytest.importorskip("torch")

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = [(64, 48), (224, 224), (37, 300), (120, 160), (240, 320), (1, 1), (7, 160)]
"""Down, up, one of each, the frame's own size, doubled, and one pixel; (height, width)."""
CASES = [
    (semantics, interpolation, antialias)
    for semantics, can in RESAMPLING.items()
    for interpolation, values in can.items()
    for antialias in values
]
_PIL = {"nearest": 0, "lanczos": 1, "linear": 2, "cubic": 3, "area": 4}
_OPENCV = {"nearest": 0, "linear": 1, "cubic": 2, "area": 3, "lanczos": 4}
_TORCH = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic", "area": "area"}


def spec_of(height: int, width: int, **fields: Any) -> InputSpec:
    channels = 1 if fields.setdefault("colour", "rgb") == "mono" else 3
    return InputSpec(height=height, width=width, mean=[0.0] * channels, std=[1.0] * channels, **fields)


def library(
    pixels: NDArray[Any],
    size: tuple[int, int],
    semantics: str,
    interpolation: Interpolation,
    *,
    antialias: bool,
) -> NDArray[np.float64]:
    """Return what the library itself makes of ``pixels``, in pixel values."""
    if semantics == "pil":
        picture = Image.fromarray(pixels)
        return np.asarray(picture.resize(size[::-1], Image.Resampling(_PIL[interpolation]))).astype(float)
    if semantics == "opencv":
        return cv2.resize(pixels, size[::-1], interpolation=_OPENCV[interpolation]).astype(float)
    planes = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)[None]
    smooth = {"antialias": antialias} if interpolation in ("linear", "cubic") else {}
    made = torch.nn.functional.interpolate(
        torch.from_numpy(planes), size=size, mode=_TORCH[interpolation], **smooth
    )[0].numpy()
    return made.transpose(1, 2, 0).squeeze().astype(float) if pixels.ndim == 2 else made.transpose(1, 2, 0)


@pytest.mark.parametrize(("semantics", "interpolation", "antialias"), CASES)
def test_the_image_is_the_librarys(
    part: NDArray[np.uint8], semantics: Any, interpolation: Any, antialias: bool
) -> None:
    """To one grey level of 8 bits, for grain and edges, in colour and mono, 8 and 16 bits, up and down."""
    grain = np.random.default_rng(1).integers(-40, 40, part.shape)
    eight = np.clip(part.astype(int) + grain, 0, 255).astype(np.uint8)
    sixteen = eight.astype(np.uint16) * 257
    for pixels in (eight, eight[..., 1], sixteen, sixteen[..., 1]):
        white = 255 if pixels.dtype == np.uint8 else 65535
        for size in SIZES:
            spec = spec_of(*size, semantics=semantics, interpolation=interpolation, antialias=antialias)
            image, _ = prepare(load_frame(pixels), spec)
            # The library's own colour path, but for 16 bits in Pillow, which has them for one channel only.
            one_by_one = semantics == "pil" and white == 65535 and pixels.ndim == 3
            parts = [pixels[..., index].copy() for index in range(3)] if one_by_one else [pixels]
            made = [library(plane, size, semantics, interpolation, antialias=antialias) for plane in parts]
            expected = np.dstack([each.reshape(*size, -1) for each in made]).transpose(2, 0, 1)
            error = np.abs(image[0] * 255 - np.clip(expected, 0, white) * 255 / white).max()
            assert error <= 1, (size, pixels.dtype, pixels.ndim)


def test_a_colour_frame_becomes_the_librarys_grey(part: NDArray[np.uint8]) -> None:
    """For a mono model, to one level, Pillow's ``convert('L')`` and OpenCV's ``cvtColor``, then resampled."""
    grey = np.asarray(Image.fromarray(part).convert("L").resize((80, 60), Image.Resampling.BILINEAR))
    spec = spec_of(60, 80, colour="mono", semantics="pil", interpolation="linear", antialias=True)
    image, _ = prepare(load_frame(part), spec)
    assert np.abs(image[0, 0] * 255 - grey).max() <= 1.001
    grey = cv2.resize(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), (80, 60))
    spec = spec_of(60, 80, colour="mono", semantics="opencv", interpolation="linear", antialias=False)
    image, _ = prepare(load_frame(part), spec)
    assert np.abs(image[0, 0] * 255 - grey).max() <= 1.001


FRAMES = [(120, 160), (161, 120), (333, 500), (256, 256), (57, 41), (480, 641), (100, 1000)]


def frame_of(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize(
    ("resize_to", "crop"), [(256, (224, 224)), (232, (224, 224)), (35, (32, 31)), (64, (32, 96))]
)
def test_resize_then_centre_crop_is_torchvisions(
    size: tuple[int, int], resize_to: int, crop: tuple[int, int]
) -> None:
    """Bit for bit what ``Resize`` and ``CenterCrop`` make of a PIL image, with black where it is short.

    Written after torchvision.transforms.functional: the longer side is truncated, offsets are rounded.
    """
    pixels = frame_of(*size)
    longer = int(resize_to * max(size) / min(size))
    rows, columns = (resize_to, longer) if size[0] <= size[1] else (longer, resize_to)
    picture = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)
    if crop[1] > columns or crop[0] > rows:
        before = [max(crop[1] - columns, 0) // 2, max(crop[0] - rows, 0) // 2]
        canvas = Image.new("RGB", (max(columns, crop[1]), max(rows, crop[0])))
        canvas.paste(picture, (before[0], before[1]))
        picture, (columns, rows) = canvas, canvas.size
    top, left = round((rows - crop[0]) / 2.0), round((columns - crop[1]) / 2.0)
    expected = np.asarray(picture.crop((left, top, left + crop[1], top + crop[0])))
    spec = spec_of(
        *crop, resize="crop", resize_to=resize_to, semantics="pil", interpolation="linear", antialias=True
    )
    image, placement = prepare(load_frame(pixels), spec)
    np.testing.assert_array_equal(image[0], expected.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    assert placement.window == (0, 0, *size)


def test_the_rules_are_those_of_the_installed_torchvision() -> None:
    """``Resize(256)`` and ``CenterCrop(224)`` themselves, on the same frames."""
    importlib.import_module("tests.export.networks")  # registers operators that torchvision looks for
    from torchvision import transforms

    both = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    spec = spec_of(
        224, 224, resize="crop", resize_to=256, semantics="pil", interpolation="linear", antialias=True
    )
    for size in FRAMES:
        image, _ = prepare(load_frame(frame_of(*size)), spec)
        expected = np.asarray(both(Image.fromarray(frame_of(*size)))).transpose(2, 0, 1)
        np.testing.assert_array_equal(image[0], expected.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("size", FRAMES)
@pytest.mark.parametrize("model", [(224, 224), (96, 128)])
def test_a_crop_ratio_is_timms(size: tuple[int, int], model: tuple[int, int]) -> None:
    """Bit for bit ``crop_pct`` 0.875 with bicubic: the box is ⌊side / 0.875⌋, and the frame covers it."""
    box = [math.floor(length / 0.875) for length in model]
    if box[0] == box[1]:
        longer = int(box[0] * max(size) / min(size))
        rows, columns = (box[0], longer) if size[0] <= size[1] else (longer, box[0])
    else:
        ratio = min(size[0] / box[0], size[1] / box[1])
        rows, columns = round(size[0] / ratio), round(size[1] / ratio)
    top, left = round((rows - model[0]) / 2.0), round((columns - model[1]) / 2.0)
    pixels = frame_of(*size)
    resized = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BICUBIC))
    expected = resized[top : top + model[0], left : left + model[1]].transpose(2, 0, 1)
    spec = spec_of(
        *model, resize="crop", crop_ratio=0.875, semantics="pil", interpolation="cubic", antialias=True
    )
    image, _ = prepare(load_frame(pixels), spec)
    np.testing.assert_array_equal(image[0], expected.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("model", [(224, 224), (96, 128)])
def test_the_crop_is_the_installed_timms(model: tuple[int, int]) -> None:
    """Its evaluation transform itself, to a rounding of float32."""
    importlib.import_module("tests.export.networks")  # registers operators that torchvision looks for
    from timm.data import create_transform

    transform = create_transform(
        (3, *model), interpolation="bicubic", crop_pct=0.9, mean=(0,) * 3, std=(1,) * 3
    )
    spec = spec_of(
        *model, resize="crop", crop_ratio=0.9, semantics="pil", interpolation="cubic", antialias=True
    )
    for size in FRAMES:
        image, _ = prepare(load_frame(frame_of(*size)), spec)
        expected = transform(Image.fromarray(frame_of(*size))).numpy()
        np.testing.assert_allclose(image[0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [*FRAMES, (31, 1234), (639, 640)])
@pytest.mark.parametrize("model", [(640, 640), (96, 128)])
@pytest.mark.parametrize("place_", ["centre", "top-left"])
def test_a_letterbox_is_ultralytics(size: tuple[int, int], model: tuple[int, int], place_: Any) -> None:
    """Bit for bit: rounded size, pads of ``round(d ± 0.1)``, grey 114, OpenCV's linear."""
    pixels = frame_of(*size)
    r = min(model[0] / size[0], model[1] / size[1])
    unpadded = round(size[1] * r), round(size[0] * r)
    dw, dh = float(model[1] - unpadded[0]), float(model[0] - unpadded[1])
    if place_ == "centre":
        dw, dh = dw / 2, dh / 2
    img = pixels
    if size[::-1] != unpadded:
        img = cv2.resize(img, unpadded, interpolation=cv2.INTER_LINEAR)
    top, bottom = round(dh - 0.1) if place_ == "centre" else 0, round(dh + 0.1)
    left, right = round(dw - 0.1) if place_ == "centre" else 0, round(dw + 0.1)
    expected = cv2.copyMakeBorder(
        img, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114)
    ).transpose(2, 0, 1)
    spec = spec_of(
        *model,
        resize="letterbox",
        pad_value=114,
        pad_place=place_,
        semantics="opencv",
        interpolation="linear",
        antialias=False,
    )
    image, _ = prepare(load_frame(pixels), spec)
    np.testing.assert_array_equal(image[0], expected.astype(np.float32) / np.float32(255))


def test_padding_has_its_grey_at_any_bit_depth() -> None:
    """114 of 255 beside a 12-bit frame, too, and beside one of today's resampling."""
    pixels = np.full((50, 100), 4095, np.uint16)
    image, _ = prepare(load_frame(pixels), spec_of(80, 80, resize="letterbox", pad_value=114, bit_depth=12))
    np.testing.assert_array_equal(image[..., :20, :], np.float32(114) / np.float32(255))
    np.testing.assert_array_equal(image[..., 60:, :], np.float32(114) / np.float32(255))
    np.testing.assert_array_equal(image[..., 20:60, :], 1)


PLACEMENTS: list[dict[str, Any]] = [
    {"resize": "letterbox", "pad_place": "top-left", "pad_value": 0},
    {"resize": "letterbox"},
    {"resize": "crop", "resize_to": 73},
    {"resize": "crop", "crop_ratio": 0.7},
    {"resize": "stretch"},
]


@pytest.mark.parametrize("fields", PLACEMENTS, ids=str)
@pytest.mark.parametrize(("semantics", "interpolation", "antialias"), [c for c in CASES if c[1] != "nearest"])
def test_a_mark_comes_back_to_where_it_was(
    fields: dict[str, Any], semantics: Any, interpolation: Any, antialias: bool
) -> None:
    """A map that is the image itself has the mark's centre on the frame, to a fraction of a model pixel."""
    pixels = np.zeros((90, 150), np.uint8)
    pixels[30:42, 60:72] = 255
    spec = spec_of(
        64, 60, colour="mono", semantics=semantics, interpolation=interpolation, antialias=antialias, **fields
    )
    image, placement = prepare(load_frame(pixels), spec)
    on_frame = placement.to_frame(image[0, 0])
    assert on_frame.shape == pixels.shape
    rows, columns = np.nonzero(on_frame > 0.5 * on_frame.max())
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((36, 66), abs=0.8)
    corners = (*placement.point_to_model(60, 30), *placement.point_to_model(72, 42))
    assert placement.box_to_frame(corners) == pytest.approx((60, 30, 72, 42))


def test_nothing_is_shown_where_the_model_saw_nothing() -> None:
    """Beside the centre that was cut the map on the frame is 0, and within it whole."""
    placement = place((100, 200), spec_of(40, 40, resize="crop", resize_to=50))
    assert placement.seen == pytest.approx((60, 10, 140, 90))
    on_frame = placement.to_frame(np.ones((40, 40), np.float32))
    np.testing.assert_array_equal(on_frame[10:90, 60:140], 1)
    on_frame[10:90, 60:140] = 0
    assert on_frame.max() == 0
    assert placement.seen_share == pytest.approx(80 * 80 / 20000)


def test_a_frame_too_long_for_a_centre_crop_is_refused() -> None:
    """Its resized form would fill the memory; the message has both sizes and what to do."""
    spec = spec_of(224, 224, resize="crop", resize_to=256, colour="mono")
    with pytest.raises(FrameError, match=r"1 high and 60000 wide.*256 high and 15360000 wide"):
        prepare(Frame(np.zeros((1, 60000), np.uint8), "long"), spec)


def test_a_fitted_frame_is_not_cut() -> None:
    """A bundle's own test frame is the model's image already, whatever becomes of a camera's frames."""
    pixels = frame_of(32, 32)
    spec = spec_of(
        32, 32, resize="crop", resize_to=40, semantics="pil", interpolation="linear", antialias=True
    )
    image, placement = prepare(Frame(pixels, "selftest", fitted=True), spec)
    np.testing.assert_array_equal(image[0], pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    assert placement.seen_share == 1
