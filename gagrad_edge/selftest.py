"""The self-test's questions: inputs for every graph, the same at the exporter and on a device.

The exporter stores a fingerprint of each answer in the bundle, and a device compares its own. So a bundle
whose graphs were mixed up, and an engine that computes something else, are found graph by graph. All inputs
follow from the self-test's frame: no graph needs what another one gave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gagrad_edge import abi
from gagrad_edge.errors import BundleError
from gagrad_edge.manifest import GraphRole  # noqa: TC001 - msgspec resolves the fields' types
from gagrad_edge.method.noise import noise_chunks
from gagrad_edge.method.perturbation import COLUMNS
from gagrad_edge.schema import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

FRAMES = 3
"""The frame as it is, mirrored, and in negative."""
LENGTH = 64
"""Most numbers of a fingerprint."""
_NOISE_STD = 0.15
_PERTURBATION = {"gain": 1.1, "offset": 0.02, "shift_y": 1.5, "shift_x": -1.0, "angle": 0.05, "flip": 1.0}
"""One of each kind of which the size is known without the image; no sensor noise."""
_LARGEST = 1e6
"""Values beyond it count as it: a detector may give sizes that are infinite."""


class Answer(Strict, frozen=True):
    """What one graph gave for one question: the fingerprint of one output."""

    role: GraphRole
    variant: str
    frame: int
    """Which of ``FRAMES``, from 0."""
    output: str
    """Name of the graph's output."""
    values: list[float]
    """At most ``LENGTH`` numbers: see ``fingerprint``."""


@dataclass(frozen=True)
class Question:
    """The inputs of one run of one graph, for a batch of one."""

    frame: int
    inputs: Mapping[str, Array]


def questions(
    role: GraphRole,
    variant: str,
    image: Array,
    scores: Sequence[int],
    target: Sequence[int],
    features: Sequence[abi.Shape] = (),
    *,
    noise_std: float = _NOISE_STD,
) -> Iterator[Question]:
    """Yield the questions to the graph of ``role`` and ``variant``, whose scores have the shape ``scores``.

    ``image`` is the self-test's frame, ``[1, C, H, W]`` in 0..1; ``target`` the index of the score that is
    explained; ``features`` are ``abi.Sizes.features``. With ``noise_std`` 0 the scores of ``accumulate`` are
    those of ``predict``. Raises BundleError for a target that the scores do not have.
    """
    if len(target) != len(scores) or not all(0 <= at < size for at, size in zip(target, scores, strict=True)):
        raise BundleError(f"the self-test's target {list(target)} is none of the scores {list(scores)}")
    frames = (image, np.ascontiguousarray(image[..., ::-1]), np.float32(1) - image)
    shape = (image.shape[1], image.shape[2], image.shape[3])
    if role in ("combine", "finalize", "maps", "recover"):
        yield Question(0, _of_statistics(role, image, shape))
        return
    cotangent = np.zeros((1, *scores), np.float32)
    chosen = (0, *target)
    cotangent[chosen] = 1
    if (role, variant) == ("cam", abi.FEATURES):
        yield Question(0, {**_of_features(features), abi.COTANGENT: cotangent})
        return
    (noise,) = noise_chunks(1, 1, 1, shape)
    for number, frame in enumerate(frames):
        if role == "predict":
            yield Question(number, {abi.IMAGE: frame})
        elif role == "cam":
            yield Question(number, {abi.IMAGE: frame, abi.COTANGENT: cotangent})
        else:
            inputs = {
                abi.IMAGE: frame,
                abi.NOISE: noise,
                abi.NOISE_STD: np.array(noise_std, np.float32),
                abi.COTANGENT: cotangent,
                **_state(np.zeros((2, *shape), np.float32), count=0),
            }
            if variant == abi.PERTURBED:
                row = [_PERTURBATION.get(name, 0.0) for name in COLUMNS]
                inputs[abi.PERTURBATION] = np.array([row], np.float32)
            yield Question(number, inputs)


def _of_features(shapes: Sequence[abi.Shape]) -> dict[str, Array]:
    """Return activations in place of those of an image: the magnitudes of noise."""
    found = {}
    for number, shape in enumerate(shapes):
        size = tuple(map(int, shape))
        (drawn,) = noise_chunks(2 + number, 1, 1, (1, 1, math.prod(size)))
        found[abi.feature_name(number)] = np.abs(drawn).reshape(1, *size)
    return found


def _of_statistics(role: GraphRole, image: Array, shape: tuple[int, int, int]) -> dict[str, Array]:
    """Return the inputs of a graph that works on statistics: those of noise."""
    (drawn,) = noise_chunks(2, 2, 2, shape)
    state = _state(drawn, count=4)
    if role == "combine":
        other = _state(drawn[::-1], count=3)
        return {
            names[name]: side[name]
            for names, side in ((abi.FIRST, state), (abi.SECOND, other))
            for name in side
        }
    if role == "finalize":
        return {**state, abi.PERCENTILE: np.array(0.85, np.float32)}
    if role == "maps":
        return {**state, abi.MULTIPLIER: image[0]}
    saliency = np.abs(drawn[0]).sum(axis=0)
    return {abi.IMAGE: image, abi.SALIENCY: saliency / saliency.max()}


def _state(drawn: Array, *, count: int) -> dict[str, Array]:
    """Return a state of ``count`` samples whose mean is ``drawn[0]``."""
    mean, spread = np.ascontiguousarray(drawn[0]), np.abs(drawn[1])
    values = (np.array(count, np.float32), count * (np.abs(mean) + spread), mean, spread * spread)
    return dict(zip(abi.STATE, values, strict=True))


def fingerprint(values: Array) -> list[float] | None:
    """Return at most ``LENGTH`` numbers that stand for ``values``; None where these are not numbers.

    Each number is a sum over every ``LENGTH``-th value, half of them with the sign changed: such sums keep
    the ratio of a difference to the whole, and no value is left out.
    """
    flat = np.clip(np.asarray(values, np.float64).ravel(), -_LARGEST, _LARGEST)
    if not np.isfinite(flat).all():
        return None
    if len(flat) > LENGTH:
        # Knuth's multiplicative hash: signs without a pattern, the same on every machine.
        index = np.arange(len(flat), dtype=np.uint32) * np.uint32(2654435761)
        flat = np.where(index >> np.uint32(16) & np.uint32(1), flat, -flat)
        flat = np.pad(flat, (0, -len(flat) % LENGTH)).reshape(-1, LENGTH).sum(axis=0)
    return [float(f"{value:.6g}") for value in flat]


def difference(found: Sequence[float], expected: Sequence[float], *, least: float = 1e-30) -> float:
    """Return ‖found − expected‖₂ / ‖expected‖₂, infinite for other lengths.

    ``least`` is the smallest divisor.
    """
    if len(found) != len(expected):
        return float("inf")
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), least))


def encode_answers(answers: Sequence[Answer]) -> bytes:
    """Return the member of a bundle that holds ``answers``."""
    return msgspec.json.encode(answers, order="sorted") + b"\n"


def decode_answers(data: bytes, *, where: str) -> list[Answer]:
    """Return the answers in a member of a bundle. Raises BundleError."""
    try:
        return msgspec.json.decode(data, type=list[Answer])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"the self-test's answers are not readable ({error})", where=where) from error
