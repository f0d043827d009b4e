"""What the runtime's tests build frames, bundles' input specs and explanations with."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pytest

from gagrad_runtime.explanation.cautions import Caution
from gagrad_runtime.explanation.explanation import Explanation, Provenance
from gagrad_runtime.explanation.places import salient_places
from gagrad_runtime.frame import Frame, load_frame
from gagrad_runtime.frame.placement import place
from gagrad_runtime.question.methods import OPERATOR
from gagrad_runtime.question.target import Target
from gagrad_runtime.sampling.rcap import Rcap
from tests.models import build_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec


class SpecBuilder(Protocol):
    """``input_spec(height, width, colour=..., resize=..., bit_depth=...)``."""

    def __call__(self, height: int, width: int, **fields: Any) -> InputSpec:
        """Return the spec; ``fields`` are InputSpec's."""


class ExplanationBuilder(Protocol):
    """``make_explanation(frame=..., saliency=..., classes=..., ...)``; everything has a default."""

    def __call__(self, **fields: Any) -> Explanation:
        """Return the explanation."""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def input_spec() -> SpecBuilder:
    """Builder of an InputSpec with neutral mean and std."""
    return build_spec


@pytest.fixture(scope="session")
def part() -> NDArray[np.uint8]:
    """Return a colour frame [120, 160, 3] without symmetry: a disc, a bar and a gradient."""
    y, x = np.mgrid[:120, :160]
    pixels = np.stack([x + 40, 2 * y, np.full_like(x, 90)], axis=2)
    pixels[(y - 40) ** 2 + (x - 50) ** 2 < 400] = (230, 200, 20)
    pixels[90:96, 20:120] = (10, 10, 200)
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def make_explanation(part: NDArray[np.uint8]) -> ExplanationBuilder:
    """Builder of a complete explanation of ``part`` for three classes.

    ``frame`` is an array or a Frame; ``probabilities`` may be None, and ``target``, ``against`` and
    ``predicted`` are class indices.
    """

    def build(**fields: Any) -> Explanation:
        frame = fields.get("frame", part)
        frame = frame if isinstance(frame, Frame) else load_frame(frame)
        saliency = fields.get("saliency")
        saliency = _two_places(64, 48) if saliency is None else saliency
        spec = build_spec(*saliency.shape, resize=fields.get("resize", "stretch"))
        classes = fields.get("classes", ("OK", "dent", "scratch"))
        probabilities = fields.get("probabilities", np.array([0.02, 0.007, 0.973], np.float32))
        scores = fields.get("scores", np.array([-3.5, -4.5, 0.4], np.float32))

        def name(index: int) -> str:
            return classes[index] if classes else str(index)

        target, against, predicted = (fields.get(key) for key in ("target", "against", "predicted"))
        target = 2 if target is None else target
        predicted = target if predicted is None else predicted
        difference = ((against,), name(against)) if against is not None else (None, None)
        placement = place((frame.height, frame.width), spec)
        return Explanation(
            saliency=saliency,
            places=salient_places(saliency, placement),
            scores=scores,
            probabilities=probabilities,
            activation="none" if probabilities is None else "softmax",
            target=Target((target,), name(target), *difference),
            predicted=Target((predicted,), name(predicted)),
            rcap=fields.get("rcap")
            or Rcap(0.6, (0.9, 0.5), np.array([0.5, 0.9], np.float32), np.array([0.7, 0.95], np.float32)),
            cautions=tuple(Caution("test", text) for text in fields.get("cautions", ())),
            provenance=Provenance(
                "part",
                "0" * 64,
                "onnxruntime 1.32.0 (CPU)",
                20,
                0,
                0.85,
                0.15,
                10,
                preset="operator",
                method=OPERATOR,
            ),
            frame=frame,
            placement=placement,
            classes=classes,
            seconds=fields.get("seconds", {"predict": 0.01}),
        )

    return build


@pytest.fixture(scope="session")
def png_bytes() -> Callable[..., bytes]:
    """Writer of PNG files of any kind: ``png_bytes(width, height, bits, colour_type, rows)``."""

    def write(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
        chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
        body = (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(body)

    return write


@pytest.fixture(scope="session")
def tiff_bytes() -> Callable[..., bytes]:
    """Writer of plain TIFF files: ``tiff_bytes(pixels, big_endian=False, **{"274": 6})``; tags by number."""

    def write(pixels: NDArray[Any], *, big_endian: bool = False, **extra: int) -> bytes:
        height, width, channels = (*pixels.shape, 1)[:3]
        order: Literal["big", "little"] = "big" if big_endian else "little"
        bits, photometric = pixels.dtype.itemsize * 8, 2 if channels == 3 else 1
        tags = {
            256: width,
            257: height,
            258: bits,
            259: 1,
            262: photometric,
            273: 0,
            277: channels,
            278: height,
        }
        tags |= {279: pixels.nbytes} | {int(tag): value for tag, value in extra.items()}
        start = 8 + 2 + 12 * len(tags) + 4
        tags[273] = start + 6
        body = len(tags).to_bytes(2, order)
        for tag, value in sorted(tags.items()):
            count = channels if tag == 258 else 1
            kind = 3 if tag in (258, 274) else 4
            field = value.to_bytes(2, order) + b"\0\0" if kind == 3 else value.to_bytes(4, order)
            if count == 3:
                field = start.to_bytes(4, order)
            body += tag.to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order) + field
        head = (b"MM\0*" if big_endian else b"II*\0") + (8).to_bytes(4, order)
        stored = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
        return head + body + b"\0\0\0\0" + bits.to_bytes(2, order) * 3 + stored

    return write


def _two_places(height: int, width: int) -> NDArray[np.float32]:
    """Return a map [height, width] in 0..1 with a strong and a weak place."""
    y, x = np.mgrid[:height, :width]
    strong = np.exp(-((y - height * 0.3) ** 2 + (x - width * 0.3) ** 2) / (0.01 * height * width))
    weak = 0.4 * np.exp(-((y - height * 0.7) ** 2 + (x - width * 0.8) ** 2) / (0.01 * height * width))
    total = (strong + weak).astype(np.float32)
    return np.asarray((total - total.min()) / (total.max() - total.min()), np.float32)
