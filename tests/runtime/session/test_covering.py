"""The covering test on models whose truth is known: it finds the spot that decides, or that none does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gagrad_runtime
from gagrad_edge.output import OutputSpec
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.reader import Wanted
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.places import Place
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.frame.placement import Placement
from gagrad_runtime.session.covering import _undecided, covering_of
from tests.models import build_spec

Array = NDArray[np.float32]
Box = tuple[int, int, int, int]
SPOT: Box = (40, 20, 48, 27)
"""Left, top, right, bottom of the spot in frame pixels."""


def part(height: int = 64, width: int = 96, spot: Box | None = SPOT, channels: int | None = 3) -> Any:
    """Return a grained grey part, uint8, with a bright spot."""
    rng = np.random.default_rng(5)
    shape = (height, width) if channels is None else (height, width, channels)
    pixels = 100 + rng.integers(-6, 7, shape)
    if spot is not None:
        pixels[spot[1] : spot[3], spot[0] : spot[2]] = 230
    return pixels.astype(np.uint8)


def place(box: Box, peak: tuple[float, float] | None = None) -> Place:
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return Place(box=box, area=10, share=0.5, peak=peak or middle, middle=middle)


def spots(rows: Array, placement: Placement, box: Box) -> Array:
    """Return scores [N, 2] of "ok" and "spot": how bright the box of the frame is in each image."""
    left, top = map(round, placement.point_to_model(box[0], box[1]))
    right, bottom = map(round, placement.point_to_model(box[2], box[3]))
    window = rows[:, :, top : max(bottom, top + 1), left : max(right, left + 1)]
    score = 20 * (window.mean(axis=(1, 2, 3)) - 0.6)
    return np.stack([np.zeros_like(score), score], axis=1).astype(np.float32)


def run(
    pixels: Any,
    places: tuple[Place, ...],
    model: Callable[[Array, Placement], Array],
    *,
    size: tuple[int, int] = (64, 96),
    good: tuple[Array, NDArray[np.bool_]] | None = None,
    supposed: Place | None = None,
    **spec: Any,
) -> tuple[Covering | None, list[Array]]:
    """Return the covering test of ``model``, and the batches that it was asked."""
    frame = load_frame(pixels, colour="channels" if spec.get("colour") == "channels" else "rgb")
    image, placement = prepare(frame, build_spec(*size, **spec))
    reader = reader_of(
        OutputSpec(name="y", shape=[2], activation="softmax", classes=["ok", "spot"], task="classification")
    )
    batches: list[Array] = []

    def predict(rows: Array) -> Outputs:
        batches.append(rows)
        return Outputs(model(rows, placement))

    original = Outputs(model(image, placement))
    tested, found = covering_of(
        places,
        supposed=supposed,
        image=image[0],
        placement=placement,
        target=reader.target(Wanted(), original, placement),
        original=original,
        reader=reader,
        predict=predict,
        good=good,
    )
    proven = found is not None and len(tested) > len(places)
    assert tested == ((supposed, *places) if proven else places)
    return found, batches


def test_the_place_that_decides_is_found() -> None:
    """Covering the spot changes the answer, covering as much elsewhere does not: one batch of six images."""
    other = place((70, 40, 80, 50))
    found, batches = run(part(), (place(SPOT), other), lambda x, at: spots(x, at, SPOT))
    assert found is not None
    assert found.before > 0.95
    assert found.places[0] < 0.05
    assert found.places[1] > 0.95
    assert found.changed == (True, False)
    assert found.controls == pytest.approx([found.before] * 3)
    assert found.controls_changed == (False, False, False)
    assert (found.decides, found.changed_elsewhere, found.decidable) == (1, False, True)
    assert [len(batch) for batch in batches] == [6]
    assert found.fill == "surroundings"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_another_place_may_decide(number: int) -> None:
    """Where the map's highest place is beside the reason, the number says which of the first three it was."""
    places = [place(box) for box in ((70, 40, 80, 50), (10, 40, 20, 50), (80, 5, 90, 15))]
    places.insert(number - 1, place(SPOT))
    found, batches = run(part(), tuple(places), lambda x, at: spots(x, at, SPOT))
    assert found is not None
    assert found.decides == number
    assert (len(found.places), len(found.controls), len(batches[0])) == (3, 2, 6)


def test_where_nothing_decides_nothing_is_found() -> None:
    """A model that looks at the whole image, or at what is missing, keeps its answer under any cover."""
    found, _ = run(part(), (place(SPOT),), lambda x, at: spots(x + 0.4, at, (0, 0, 96, 64)))
    assert found is not None
    assert found.decides is None
    assert not any((*found.changed, *found.controls_changed))


ELSEWHERE: Box = (70, 40, 80, 50)


def test_a_supposed_place_comes_first_where_covering_it_decides() -> None:
    """It is asked in a second batch, closely and widely, and only where no place of the map decides."""
    found, batches = run(part(), (place(ELSEWHERE),), lambda x, at: spots(x, at, SPOT), supposed=place(SPOT))
    assert found is not None
    assert [len(batch) for batch in batches] == [5, 2]
    assert (len(found.places), found.changed, found.decides) == (2, (True, False), 1)
    assert found.places[0] < 0.05
    found, batches = run(part(), (place(SPOT),), lambda x, at: spots(x, at, SPOT), supposed=place(ELSEWHERE))
    assert found is not None
    assert (len(batches), len(found.places)) == (1, 1)


def test_a_supposed_place_is_no_place_where_covering_it_changes_nothing() -> None:
    """Nor where the answer was weak, so that it changes by little."""
    for model in (
        lambda x, at: spots(x + 0.4, at, (0, 0, 96, 64)),
        lambda x, at: 0.02 * spots(x, at, SPOT),
    ):
        found, batches = run(part(), (place(ELSEWHERE),), model, supposed=place(SPOT))
        assert found is not None
        assert [len(batch) for batch in batches] == [5, 2]
        assert (len(found.places), found.decides) == (1, None)


def test_a_supposed_place_is_not_asked_where_something_is_known() -> None:
    """A place that takes a fifth of the confidence says enough."""
    both: Box = (70, 40, 78, 47)
    pixels = part()
    pixels[both[1] : both[3], both[0] : both[2]] = 230

    def half(rows: Array, at: Placement) -> Array:
        return 0.5 * (spots(rows, at, SPOT) + spots(rows, at, both)) - np.array([[0, 1.5]], np.float32)

    found, batches = run(pixels, (place(both),), half, supposed=place(SPOT))
    assert found is not None
    assert found.lost > 0.2
    assert len(batches) == 1


def test_what_makes_a_second_try_worth_its_predictions() -> None:
    """Nothing that was covered says anything: no place, no control place, no fifth of the confidence."""
    quiet = Covering("surroundings", 0.9, (0.9, 0.75), (False, False), (0.9, 0.9), (False, False))
    assert _undecided(quiet)
    assert not _undecided(replace(quiet, controls_changed=(False, True)))
    assert not _undecided(replace(quiet, changed=(False, True)))
    assert not _undecided(replace(quiet, places=(0.9, 0.7)))
    assert not _undecided(replace(quiet, decidable=False))


def test_a_model_that_changes_its_answer_anywhere_is_told() -> None:
    """Where control places change the answer too, the covered place proves nothing."""
    before = prepare(load_frame(part()), build_spec(64, 96))[0]

    def fragile(rows: Array, placement: Placement) -> Array:
        touched = np.array([not np.array_equal(row, before[0]) for row in rows])
        return np.stack([0 * touched, np.where(touched, -3.0, 3.0)], axis=1).astype(np.float32)

    found, _ = run(part(), (place(SPOT),), fragile)
    assert found is not None
    assert found.controls_changed == (True, True, True)
    assert found.changed_elsewhere
    assert replace(found, controls_changed=(False, True, True)).changed_elsewhere
    assert not replace(found, controls_changed=(False, False, True)).changed_elsewhere
    assert not replace(found, controls=(), controls_changed=()).changed_elsewhere


@pytest.mark.parametrize(
    ("size", "spec"),
    [
        ((96, 96), {"resize": "letterbox", "pad_value": 114}),
        ((64, 64), {"resize": "crop"}),
        ((32, 48), {}),
        ((128, 192), {}),
        ((64, 96), {"colour": "mono"}),
    ],
)
def test_every_placement_finds_it(size: tuple[int, int], spec: dict[str, Any]) -> None:
    """Whatever the way of the frame into the image, the spot is found, and padding is left as it is."""
    found, batches = run(part(), (place(SPOT),), lambda x, at: spots(x, at, SPOT), size=size, **spec)
    assert found is not None
    assert found.decides == 1
    assert not any(found.controls_changed)
    if spec.get("resize") == "letterbox":
        np.testing.assert_array_equal(batches[0][:, :, :16], np.float32(114 / 255))
        np.testing.assert_array_equal(batches[0][:, :, 80:], np.float32(114 / 255))


def test_a_frame_eight_times_as_wide_as_high() -> None:
    """On a long frame in a square letterbox the controls lie on the frame, too."""
    spot = (300, 40, 330, 60)
    pixels = part(100, 800, spot=spot)
    found, batches = run(
        pixels, (place(spot),), lambda x, at: spots(x, at, spot), size=(224, 224), resize="letterbox"
    )
    assert found is not None
    assert (found.decides, len(found.controls)) == (1, 3)
    rows = np.flatnonzero(np.ptp(batches[0], axis=0).any(axis=(0, 2)))
    assert rows.min() >= 98
    assert rows.max() < 126


@pytest.mark.parametrize("channels", [1, 2, 16])
def test_channels_that_are_no_colours(channels: int) -> None:
    """All channels are covered at once, from 1 to 16 of them."""
    spec: dict[str, Any] = {
        "colour": "channels",
        "channel_names": [f"light {n}" for n in range(channels)],
        "shown": [0],
        "mean": [0.0] * channels,
        "std": [1.0] * channels,
    }
    found, batches = run(part(channels=channels), (place(SPOT),), lambda x, at: spots(x, at, SPOT), **spec)
    assert found is not None
    assert found.decides == 1
    assert batches[0].shape[1] == channels


@pytest.mark.parametrize("corner", [(0, 0), (95, 63), (95, 0), (50, 63)])
def test_a_place_of_one_pixel_at_the_border(corner: tuple[int, int]) -> None:
    """It is covered with a little around it, as far as there is a frame."""
    x, y = corner
    spot = (x, y, x + 1, y + 1)
    found, batches = run(part(spot=spot), (place(spot),), lambda x, at: spots(x, at, spot))
    assert found is not None
    assert found.decides == 1
    assert len(found.controls) == 3
    assert np.isfinite(batches[0]).all()


def test_a_place_as_large_as_the_image() -> None:
    """It is covered around its peak: there must be something left to cover it with."""
    whole = (0, 0, 96, 64)
    found, batches = run(part(), (place(whole, peak=(44, 23)),), lambda x, at: spots(x, at, SPOT))
    assert found is not None
    assert found.decides == 1
    image = prepare(load_frame(part()), build_spec(64, 96))[0]
    assert 0.05 < (batches[0][0] != image[0]).any(axis=0).mean() < 0.3


def test_the_same_test_gives_the_same_figures() -> None:
    """No randomness: twice the same images, to the last bit."""
    model = lambda x, at: spots(x, at, SPOT)  # noqa: E731
    (first, rows), (second, again) = (run(part(), (place(SPOT),), model) for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(rows[0], again[0])


def test_a_good_reference_covers_with_good_parts() -> None:
    """What is covered looks like good parts where these are known, else like what surrounds it."""
    spec = build_spec(64, 96)
    reference = prepare(load_frame(part(spot=None)), spec)[0][0]
    reference[:, 22:25, 42:46] = 0.2
    everywhere = np.ones((64, 96), bool)
    model = lambda x, at: spots(x, at, SPOT)  # noqa: E731
    found, rows = run(part(), (place(SPOT),), model, good=(reference, everywhere))
    assert found is not None
    assert (found.fill, found.decides) == ("good reference", 1)
    assert rows[0][0][:, 23, 44].max() < 0.3
    unknown = everywhere.copy()
    unknown[:, 40:45] = False
    found, _ = run(part(), (place(SPOT),), model, good=(reference, unknown))
    assert found is not None
    assert found.fill == "surroundings"


def test_a_flat_map_has_no_test() -> None:
    """Without a place nothing is covered, and the model is not asked."""
    found, batches = run(part(), (), lambda x, at: spots(x, at, SPOT))
    assert found is None
    assert batches == []


@pytest.mark.slow
def test_on_a_bundle_the_spot_is_covered(tmp_path: Path) -> None:
    """Exported and explained on a device, whose engine takes one row at a time or several."""
    import onnx
    from onnx import parser

    from gagrad_export import BundleOptions, MethodSpec, OutputOptions, export

    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        spot (float[N, 3, 64, 96] x) => (float[N, 2] scores)
        <int64[2] first = {20, 40}, int64[2] last = {27, 48}, int64[2] axes = {2, 3},
         int64[3] all = {1, 2, 3}, float[1, 2] weight = {-10.0, 10.0}, float[2] bias = {6.0, -6.0},
         int64[2] flat = {-1, 1}>
        {
            window = Slice (x, first, last, axes)
            mean = ReduceMean <keepdims = 0> (window, all)
            column = Reshape (mean, flat)
            scores = Gemm (column, weight, bias)
        }
    """)
    onnx.save(model, tmp_path / "spot.onnx")
    export(
        tmp_path / "spot.onnx",
        tmp_path / "spot.gagrad",
        size=(64, 96),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        classes=("ok", "spot"),
        outputs=OutputOptions(task="classification", activation="softmax"),
        bundle=BundleOptions(method=MethodSpec(samples=4, chunk=2)),
    )
    with gagrad_runtime.load(tmp_path / "spot.gagrad", device="cpu") as explainer:
        several = explainer.explain(part(), method="gradient", cover=True)
        explainer.one_row_at_a_time()
        single = explainer.explain(part(), method="gradient", cover=True)
    for found in (several, single):
        assert found.covering is not None
        assert found.covering.decides == 1
        assert found.record()["places"][0]["covering"] < 0.1
        assert "covering" in found.seconds
