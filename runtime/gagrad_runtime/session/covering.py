"""The covering test: the model is asked again with places covered, and with control places covered.

Does the model give another answer without the place that the map points at, and the same answer without as
much of the part elsewhere? Then the place decides. All images go through ``predict`` in one batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gagrad_runtime.explanation.covering import Covering
from gagrad_runtime.explanation.places import MOST
from gagrad_runtime.explanation.ranking import LOST
from gagrad_runtime.sampling.control_places import CONTROLS, control_covers
from gagrad_runtime.sampling.covering_images import CLOSE, WIDE, Cover, cover_of, covered, feathered
from gagrad_runtime.sampling.pieces import Surface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gagrad_runtime.answer.outputs import Outputs
    from gagrad_runtime.answer.reader import Reader
    from gagrad_runtime.explanation.places import Place
    from gagrad_runtime.frame.placement import Placement
    from gagrad_runtime.question.target import Target
    from gagrad_runtime.sampling.covering_images import Size

    Array = NDArray[np.float32]

PLACES = 3
"""Places of the map that are covered, the first ones."""
MOST_LEFT = 0.5
"""Share of the confidence that may be left where a place that was only supposed is covered: an answer that
was weak changes by little."""
IMAGES = 1 + PLACES + CONTROLS
"""Images that a test takes, at most."""


def covering_of(
    places: tuple[Place, ...],
    *,
    supposed: Place | None = None,
    image: Array,
    placement: Placement,
    target: Target,
    original: Outputs,
    reader: Reader,
    predict: Callable[[Array], Outputs],
    good: tuple[Array, NDArray[np.bool_]] | None = None,
) -> tuple[tuple[Place, ...], Covering | None]:
    """Return ``places``, and what the model says with the first of them covered; None without places.

    Place 1 is covered closely and widely, and the lower of the two confidences counts; the others are covered
    widely, and control places as widely as place 1. Where nothing of this says what the answer hangs on, the
    ``supposed`` place is covered as place 1 is. If that changes the answer, and takes half of the confidence,
    it comes first.

    ``image [C, H, W]`` is the model's, in 0..1, and ``original`` what the model says of it. ``predict`` gives
    the outputs of images ``[N, C, H, W]``. ``good`` is the image of good parts at this part's place, and
    ``[H, W]`` where they were seen: place 1 is covered with it if it is known there, and then so is each
    other place where it is; else with what surrounds them.
    """
    if not places:
        return places, None
    seen = _seen(placement)
    marked = tuple(_cover(place, placement, seen, CLOSE) for place in places)
    wide = tuple(_cover(place, placement, seen, WIDE) for place in places[:PLACES])
    number = CONTROLS + (len(wide) < PLACES)
    controls = _controls(image, seen, marked, wide, number)
    tested = (marked[0], *wide)
    frame = np.zeros(placement.model_size, bool)
    frame[seen.top : seen.bottom, seen.left : seen.right] = True
    surface = Surface(image, frame)
    known = good is not None and all(_is_known(good, one, frame) for one in tested[:2])

    def asked(covers: Sequence[Cover], marked: tuple[Cover, ...]) -> tuple[Any, NDArray[np.bool_] | None]:
        """Return the confidence with each of ``covers``, and whether the answer changes; None without one."""
        rows = [
            covered(surface, one, marked, good[0] if known and good and _is_known(good, one, frame) else None)
            for one in covers
        ]
        outputs = predict(np.stack(rows))
        kept = reader.keeps(target, outputs, original, placement)
        return reader.confidence(outputs, original, target), None if kept is None else np.logical_not(kept)

    confidence, changed = asked((*tested, *controls), marked)
    decidable = changed is not None
    changed = np.zeros(len(confidence), bool) if changed is None else changed
    first = len(tested)
    covering = Covering(
        fill="good reference" if known else "surroundings",
        before=float(reader.confidence(original, original, target)[0]),
        places=(float(confidence[:2].min()), *map(float, confidence[2:first])),
        changed=(bool(changed[:2].any()), *changed[2:first].tolist()),
        controls=tuple(map(float, confidence[first:])),
        controls_changed=tuple(changed[first:].tolist()),
        decidable=decidable,
    )
    if supposed is None or not _undecided(covering):
        return places, covering
    there = tuple(_cover(supposed, placement, seen, size) for size in (CLOSE, WIDE))
    left, changed = asked(there, (there[0], *marked))
    lowest = float(left.min())
    if changed is None or not changed.any() or lowest > MOST_LEFT * covering.before:
        return places, covering
    found = replace(covering, places=(lowest, *covering.places), changed=(True, *covering.changed))
    return (supposed, *places)[:MOST], found


def _undecided(covering: Covering) -> bool:
    """Return whether no place, and no control place, says anything of what the answer hangs on."""
    least = (1 - LOST) * covering.before
    quiet = covering.decides is None and not any(covering.controls_changed)
    return covering.decidable and quiet and min(covering.places) >= least


def _controls(
    image: Array, seen: Cover, marked: tuple[Cover, ...], wide: tuple[Cover, ...], number: int
) -> tuple[Cover, ...]:
    """Return the control places; where there is no room, closer ones, or beside the tested places only."""
    for taken in ((*marked, *wide), wide):
        for size in (wide[0], marked[0]):
            found = control_covers(image, size, seen, taken, number)
            if found:
                return found
    return ()


def _seen(placement: Placement) -> Cover:
    """Return where the frame is in the model's image."""
    (top, left), (height, width) = placement.offset, placement.resized
    rows, columns = placement.model_size
    return Cover(max(left, 0), max(top, 0), min(left + width, columns), min(top + height, rows))


def _cover(place: Place, placement: Placement, seen: Cover, size: Size) -> Cover:
    left, top = placement.point_to_model(*place.box[:2])
    right, bottom = placement.point_to_model(*place.box[2:])
    peak = placement.point_to_model(*place.peak)
    return cover_of((left, top, right, bottom), peak, seen, placement.model_size, size)


def _is_known(good: tuple[Array, NDArray[np.bool_]], cover: Cover, frame: NDArray[np.bool_]) -> bool:
    """Return whether the image of good parts is known wherever ``cover`` lies on the frame."""
    known = good[1]
    rows, columns, weight = feathered(cover, known.shape)
    return bool(known[rows, columns][(weight > 0) & frame[rows, columns]].all())
