"""Labelled images: how they are answered, and which mistake in feeding them is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image

from gagrad_edge.checking import Labelled
from gagrad_edge.errors import SettingError, VerificationError
from gagrad_edge.input import InputSpec
from gagrad_edge.manifest import Checked, Confusion
from gagrad_edge.output import OutputSpec
from gagrad_edge.summary import agreement
from gagrad_runtime.answer.outputs import Outputs
from gagrad_runtime.answer.readers import reader_of
from gagrad_runtime.frame import load_frame
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.jobs import checking
from gagrad_runtime.jobs.checking import check, require
from gagrad_runtime.jobs.feeding import Feeding
from tests.models import plain_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_runtime.session.explainer import Explainer

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PLAIN: dict[str, Any] = {"height": 24, "width": 32, "colour": "rgb", "mean": [0.0] * 3, "std": [1.0] * 3}


class Trained:
    """A model that knows each frame when it is fed as ``truth`` says, and is wrong otherwise."""

    def __init__(self, truth: InputSpec, asked: InputSpec, images: list[Labelled]) -> None:
        output = OutputSpec(name="y", shape=[3], activation="softmax", classes=["ok", "scratch", "dent"])
        self.manifest = plain_manifest(input=asked, output=output)
        self.reader = reader_of(output)
        self.known = [(self._input(prepare(load_frame(one.path), truth)[0], truth), one) for one in images]

    @staticmethod
    def _input(image: Any, spec: InputSpec) -> Any:
        mean, std = (np.array(each, np.float32).reshape(1, -1, 1, 1) for each in (spec.mean, spec.std))
        return (image - mean) / std

    def outputs(self, image: Any) -> Outputs:
        """Return scores [1, 3] of an image [1, 3, H, W]."""
        x = self._input(image, self.manifest.input)
        near, one = min(
            ((float(np.abs(x - known).mean()), one) for known, one in self.known), key=lambda pair: pair[0]
        )
        classes = self.manifest.output.classes
        right = near < 0.02 * float(np.ptp(self.known[0][0]))
        index = classes.index(one.label) if right else int(one.label == "ok")
        return Outputs(np.eye(3, dtype=np.float32)[None, index])


def parts(folder: Path, *, bits: int = 8, size: tuple[int, int] = (40, 90), count: int = 9) -> list[Labelled]:
    """Write parts of three labels: smooth patterns, so that resampling does not decide."""
    found = []
    for index in range(count):
        coarse = np.random.default_rng(index).random((5, 8, 3)).astype(np.float32) * 0.8 + 0.1
        pixels = np.clip(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
        path = folder / f"{index}.png"
        if bits == 8:
            Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
        else:
            cv2.imwrite(str(path), (pixels * ((1 << bits) - 1)).astype(np.uint16))
        found.append(Labelled(str(path), ("ok", "scratch", "dent")[index % 3]))
    return found


MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"mean": MEAN, "std": STD}, {}, "`mean=[0.485, 0.456, 0.406]` `std=[0.229, 0.224, 0.225]`"),
    ({}, {"mean": MEAN, "std": STD}, "no mean and no std"),
    ({"std": [1 / 255] * 3}, {}, "pixel values 0..255 and not 0..1"),
    ({"mean": [0.5] * 3, "std": [0.5] * 3}, {}, "`mean=0.5` `std=0.5`"),
    ({"colour": "bgr"}, {}, "`colour=bgr`"),
    (
        {"colour": "rgb", "mean": MEAN, "std": STD},
        {"colour": "bgr", "mean": MEAN, "std": STD},
        "`colour=rgb`",
    ),
    ({"resize": "crop"}, {}, "`resize=crop`"),
    ({"resize": "letterbox", "pad_value": 114}, {}, "`resize=letterbox` `pad_value=114`"),
    ({"resize": "crop", "resize_to": 27}, {"resize": "letterbox"}, "`resize=crop` `resize_to=27`"),
    ({}, {"resize": "crop"}, "`resize=stretch`"),
]


@pytest.mark.parametrize(("truth", "asked", "said"), MISTAKES, ids=[said for *_, said in MISTAKES])
def test_the_usual_mistakes_are_named(
    tmp_path: Path, truth: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    """Each by what has to be set, with how many would then agree."""
    images = parts(tmp_path)
    model = Trained(InputSpec(**PLAIN | truth), InputSpec(**PLAIN | asked), images)
    found = check(cast("Explainer", model), images, at_least=0.9)
    assert found.agree < 5
    assert found.suspect == f"{said} (9 of 9 would agree)" or said in found.suspect
    assert "(9 of 9 would agree)" in found.suspect


def test_a_bit_depth_is_named(tmp_path: Path) -> None:
    """12-bit frames in 16-bit files."""
    images = parts(tmp_path, bits=12)
    model = Trained(InputSpec(**PLAIN, bit_depth=12), InputSpec(**PLAIN), images)
    found = check(cast("Explainer", model), images, at_least=0.9)
    assert found.suspect == "`bit_depth=12` (9 of 9 would agree)"


def test_images_that_are_fed_right(tmp_path: Path) -> None:
    """All agree, nothing is suspected, and nothing else is tried."""
    images, spec = parts(tmp_path), InputSpec(**PLAIN)
    found = check(cast("Explainer", Trained(spec, spec, images)), images, at_least=1.0)
    assert (found.images, found.agree, found.suspect, found.passed) == (9, 9, "", True)
    assert agreement(found) == [
        "9 of 9 labelled images are answered as labelled (100 %; 100 % are required)",
        "dent: 3 of 3 as labelled",
        "ok: 3 of 3 as labelled",
        "scratch: 3 of 3 as labelled",
    ]
    require(found, "part.gagrad")


def test_names_in_another_order(tmp_path: Path) -> None:
    """Where each label has another name's answer, the order of the names is at fault."""
    images, spec = parts(tmp_path), InputSpec(**PLAIN)
    model = Trained(spec, spec, images)
    turned = {"ok": "scratch", "scratch": "dent", "dent": "ok"}
    wrong = [Labelled(one.path, turned[one.label]) for one in images]
    found = check(cast("Explainer", model), wrong, at_least=0.9)
    assert found.agree == 0
    assert "another order of the names in `classes`: dent is answered scratch" in found.suspect


def test_labels_that_nothing_explains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mistake is made up, and the error names how many agree."""
    images, spec = parts(tmp_path), InputSpec(**PLAIN)
    model = Trained(spec, spec, images)
    one = [Labelled(images[0].path, "dent"), *images[1:]]
    found = check(cast("Explainer", model), one, at_least=0.95)
    assert (found.agree, found.suspect) == (8, "")
    assert agreement(found)[-1].startswith("none of the usual mistakes")
    with pytest.raises(VerificationError, match="8 of 9 labelled images") as caught:
        require(found, "part.gagrad")
    assert caught.value.exit_code == 4
    monkeypatch.setattr(checking, "MOST_TRIED", 3)
    truth = InputSpec(**PLAIN | {"mean": MEAN, "std": STD})
    some = check(cast("Explainer", Trained(truth, spec, images)), images, at_least=0.9)
    assert some.suspect.endswith("(3 of 3 that were tried would agree)")


def test_one_answer_whatever_the_image() -> None:
    """It is said in words: the usual sign of a wrong normalisation."""
    pairs = [Confusion(label="dent", answer="ok", images=2), Confusion(label="ok", answer="ok", images=2)]
    said = agreement(Checked(images=4, agree=2, at_least=0.9, confusion=pairs))
    assert "dent: 0 of 2 as labelled, 2 as ok" in said
    assert "the answer is ok whatever the image" in said


def test_the_graph_sees_what_is_tried() -> None:
    """An image with another mean and std comes to the model input of a graph that had these."""
    frame = load_frame(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    spec = InputSpec(**PLAIN | {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]})
    feeding = Feeding(spec, (("mean", MEAN), ("std", STD)))
    seen = Trained._input(feeding.image(frame)[0], spec)
    expected = Trained._input(prepare(frame, spec)[0], msgspec.structs.replace(spec, mean=MEAN, std=STD))
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_nothing_that_is_so_already_is_tried() -> None:
    """Changes differ from the bundle's input, concern its frames, and one kind is changed once."""
    spec = InputSpec(**PLAIN | {"mean": MEAN, "std": STD})
    variants = list(Feeding(spec).variants(resized=False, deep=False))
    assert all(kind in ("mean", "colours") for variant in variants for kind, _ in variant.changed)
    assert not any("[0.485," in said for variant in variants for _, said in variant.changed)
    again = list(variants[0].variants(resized=True, deep=True))
    assert {kind for variant in again for kind, _ in variant.changed[1:]} == {"colours", "resizing", "bits"}
    mono = InputSpec(height=24, width=32, colour="mono", mean=[0.0], std=[1.0])
    assert all(
        kind == "mean" for one in Feeding(mono).variants(resized=False, deep=False) for kind, _ in one.changed
    )


def test_a_label_that_the_model_cannot_give(tmp_path: Path) -> None:
    """It is refused before anything runs, with what the model can say."""
    images, spec = parts(tmp_path, count=3), InputSpec(**PLAIN)
    model = Trained(spec, spec, images)
    with pytest.raises(SettingError, match="cannot answer 'rust'") as caught:
        check(cast("Explainer", model), [Labelled(images[0].path, "rust")], at_least=0.9)
    assert caught.value.choices == ("ok", "scratch", "dent")
