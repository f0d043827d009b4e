"""Make the six examples of the viewer's guide: ``python -m examples.guide`` after ``make where``.

Networks and parts are those of docs/where.md, whose truth is known: the defect that was drawn, the feature
that was left out, the sticker that was planted. The explanations are the product's own, as it makes them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import msgspec
import numpy as np

from benchmarks.where import measuring, training
from gagrad_runtime.report.covering_words import strength
from gagrad_runtime.report.overlay import map_values
from gagrad_runtime.report.verdicts import verdict
from gagrad_runtime.viewer.values import Covering, Frame, Place, Row

if TYPE_CHECKING:
    from gagrad_runtime.explanation.explanation import Explanation

ROOM = Path(__file__).parents[2] / "runtime" / "gagrad_runtime" / "viewer"
SIDE = 320
"""Pixels of a picture's side."""


class Chosen(NamedTuple):
    """One example: its name in the guide, the network, and the number of its test part."""

    name: str
    network: str
    number: int


EXAMPLES = (
    Chosen("right", "cnn", 54),
    Chosen("elsewhere", "mobilenet", 152),
    Chosen("missing", "cnn", 41),
    Chosen("shortcut", "cnn", 64),
    Chosen("good", "mobilenet", 34),
    Chosen("unsettled", "cnn", 110),
)


def main() -> None:
    """Write the pictures, and what is told of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=training.STORE, help="folder that `make where` filled")
    training.STORE = measuring.STORE = parser.parse_args().store
    found: dict[str, Frame] = {}
    for number, one in enumerate(EXAMPLES, start=1):
        part = next(p for n, p in enumerate(measuring.test_parts(one.network)) if n == one.number)
        explainer = measuring.gagrad_runtime.load(
            training.STORE / f"{one.network}.gagrad", device="cpu", good=False
        )
        explanation = explainer.explain(part.image, preset="operator")
        explainer.close()
        found[one.name] = told(explanation, number, one.name)
        draw(explanation, part.image, one.name)
        print(one.name, part.kind, part.design.name, found[one.name].row)
    (ROOM / "pages" / "examples.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


def told(explanation: Explanation, number: int, name: str) -> Frame:
    """Return what a station would tell of ``explanation``."""
    said, covering = explanation.prediction, explanation.covering
    places = tuple(
        Place(box=one.box, share=one.share, peak=one.peak, middle=one.middle, evidence=one.evidence)
        for one in explanation.places
    )
    row = Row(
        id=number,
        station="guide",
        number=number,
        name=name,
        part="",
        time=0,
        state="explained",
        verdict=explanation.predicted.name,
        probability=None if said is None else said.probability,
        outcome=verdict(explanation),
        reason="",
        cautions=tuple(one.code for one in explanation.cautions if one.code != "uncalibrated"),
        checked=True,
        strength=strength(explanation),
        stability=explanation.place_stability,
        looked=True,
        label="",
        pictures=("frame", "map"),
    )
    return Frame(
        row=row,
        at=0.0,
        target=explanation.target.name,
        against="",
        places=places,
        covering=None
        if covering is None
        else Covering(
            fill=covering.fill,
            before=covering.before,
            places=covering.places,
            changed=covering.changed,
            controls=covering.controls,
            controls_changed=covering.controls_changed,
            decidable=covering.decidable,
        ),
        rcap=None,
        curve=(),
        samples=explanation.samples,
        model_seconds=None,
        map_seconds=None,
        said=(),
        answer="",
        height=explanation.frame.height,
        width=explanation.frame.width,
        bundle="",
        bundle_sha256="",
        sha256="",
        roi_share=None,
        roi_passed=None,
        labels=(),
        before=None,
        after=None,
        record="",
    )


def draw(explanation: Explanation, image: np.ndarray, name: str) -> None:
    """Write the frame, and the map over it with transparent ground."""
    folder = ROOM / "static" / "guide"
    large = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / f"{name}.frame.webp"), large[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])
    values, _ = map_values(explanation, None)
    on_frame = cv2.resize(explanation.placement.to_frame(values).astype(np.float32), (SIDE, SIDE))
    shown = np.clip(on_frame / max(float(np.quantile(on_frame, 0.995)), 1e-9), 0, 1)
    colours = cv2.applyColorMap((shown * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opaque = (np.clip(shown * 1.6, 0, 0.85) * 255).astype(np.uint8)
    cv2.imwrite(
        str(folder / f"{name}.map.webp"), np.dstack([colours, opaque]), [cv2.IMWRITE_WEBP_QUALITY, 70]
    )


if __name__ == "__main__":
    main()
