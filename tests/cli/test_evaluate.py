"""``gagrad-edge evaluate`` as its user meets it: figures, page, going on after a kill, bad images."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.cli import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, two with a mask; the names would be markup if they were not escaped."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b<i>", "c"):
        pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    for name in ("a", "b<i>"):
        mask = np.zeros((24, 32), np.uint8)
        mask[4:12, 8:20] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path / "images"


def evaluate(bundle: Path, images: Path, *options: str) -> tuple[int, Path]:
    out = images.parent / "report"
    masks = ("--masks", str(images.parent / "masks"))
    methods = ("--methods", "guided-absolutegrad,gradient")
    return run(["evaluate", str(bundle), str(images), *masks, *methods, "-o", str(out), *options]), out


def rows(out: Path) -> list[dict[str, Any]]:
    found = json.loads((out / "results.json").read_text())["rows"]
    assert isinstance(found, list)
    return found


def test_the_figures_are_those_of_the_explanations(tiny_bundle: Path, images: Path) -> None:
    """Mass, RCAP and stability again from the Python interface; CSV and JSON agree."""
    import gagrad_runtime

    code, out = evaluate(tiny_bundle, images)
    assert code == 0
    found = rows(out)
    assert [(row["image"], row["method"]) for row in found[:2]] == [
        ("a.png", "guided-absolutegrad"),
        ("a.png", "gradient"),
    ]
    assert len(found) == 6
    with gagrad_runtime.load(tiny_bundle) as explainer:
        made = explainer.explain(images / "a.png", preset="paper")
    on_frame = made.saliency_on_frame()
    assert found[0]["mass"] == pytest.approx(on_frame[4:12, 8:20].sum() / on_frame.sum(), rel=1e-4)
    assert found[0]["rcap"] == pytest.approx(made.rcap.score, rel=1e-4)
    assert found[0]["stability"] == pytest.approx(made.stability, rel=1e-4)
    assert found[1]["stability"] is None
    assert found[4]["mass"] is None, "c has no mask"
    assert len(found[0]["deletion_curve"]) == 29
    assert found[0]["deletion_curve"][0] == pytest.approx(made.probability, abs=1e-4)
    assert found[0]["insertion_curve"][-1] == pytest.approx(made.probability, abs=1e-4)
    with (out / "results.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [float(line["rcap"]) for line in table] == [row["rcap"] for row in found]
    assert table[4]["mass"] == ""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.depth += tag not in ("meta", "img")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self.depth -= 1


def test_the_page_needs_nothing_else(tiny_bundle: Path, images: Path) -> None:
    """No address but data, every tag closed, names escaped, each figure explained with its direction."""
    _, out = evaluate(tiny_bundle, images)
    text = (out / "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.depth == 0
    pictures = [attrs["src"] or "" for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 3 * (1 + 2)
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    assert not [tag for tag, attrs in page.tags if tag in ("link", "iframe") or "href" in attrs]
    assert not re.search(r"https?://|url\(|@import", text)
    assert "b<i>" not in text
    assert "b&lt;i&gt;" in text
    words = text.split("What the figures mean")[1].split("</dl>")[0]
    assert words.count("<dt>") == words.count("er is better.")
    assert "same when random" not in text, "nothing was randomised"


def test_the_legend_has_the_colours_of_the_maps(tiny_bundle: Path, images: Path) -> None:
    """The gradient over the maps begins and ends with the colours of the pictures' own scale."""
    from gagrad_runtime.report.colour import colour_bar

    _, out = evaluate(tiny_bundle, images)
    gradient = re.search(r"linear-gradient\(90deg, ([^)]*)\)", (out / "report.html").read_text())
    assert gradient is not None
    found = [tuple(bytes.fromhex(colour.strip()[1:])) for colour in gradient.group(1).split(",")]
    scale = colour_bar(256, 1)[::-1, 0]
    assert found[0] == tuple(scale[0])
    assert found[-1] == tuple(scale[-1])
    middle = np.abs(np.subtract(found[len(found) // 2], scale[128], dtype=float))
    assert middle.max() <= 3


@pytest.mark.slow
def test_a_killed_run_goes_on(
    tiny_bundle: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The second run measures only what is missing, and the report is that of an unbroken run."""
    from gagrad_runtime.evaluate.measuring import Bench

    real, calls = Bench.measure, []

    def counted(self: Bench, frame: Any, name: str, mask: Any, variant: Any) -> Any:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(name)
        return real(self, frame, name, mask, variant)

    monkeypatch.setattr(Bench, "measure", counted)
    code, out = evaluate(tiny_bundle, images)
    assert code == 130
    assert not (out / "report.html").exists()
    calls[:] = [""]  # allows two more, of the three that are missing
    assert evaluate(tiny_bundle, images)[0] == 130
    calls[:] = ["", ""]
    assert evaluate(tiny_bundle, images)[0] == 0
    broken = [{**row, "seconds": 0} for row in rows(out)]
    monkeypatch.undo()
    (out / "results.jsonl").unlink()
    assert evaluate(tiny_bundle, images)[0] == 0
    assert broken == [{**row, "seconds": 0} for row in rows(out)]


@pytest.mark.slow
def test_another_setting_is_measured_anew(tiny_bundle: Path, images: Path) -> None:
    """Old results are taken for the same image, mask, bundle and settings only."""
    _, out = evaluate(tiny_bundle, images)
    journal = out / "results.jsonl"
    first = journal.read_text().count("\n")
    evaluate(tiny_bundle, images)
    assert journal.read_text().count("\n") == first == 6
    evaluate(tiny_bundle, images, "--seed", "1")
    assert journal.read_text().count("\n") == 12
    mask = np.full((24, 32), 255, np.uint8)
    Image.fromarray(mask).save(images.parent / "masks" / "c.png")
    evaluate(tiny_bundle, images)
    assert journal.read_text().count("\n") == 14
    assert rows(out)[4]["mass"] == pytest.approx(1)


def test_bad_images_are_left_out(tiny_bundle: Path, images: Path, capsys: Capture) -> None:
    """Reported with exit code 3: an image that is none, a mask of another size. The others are measured."""
    (images / "bad.png").write_text("no picture")
    Image.fromarray(np.ones((5, 5), np.uint8)).save(images.parent / "masks" / "c.png")
    code, out = evaluate(tiny_bundle, images)
    assert code == 3
    error = capsys.readouterr().err
    assert "bad.png" in error
    assert "5 high and 5 wide" in error
    assert "2 of 4 images" in error
    assert {row["image"] for row in rows(out)} == {"a.png", "b<i>.png"}


@pytest.mark.slow
def test_a_random_model_for_comparison(
    tiny_bundle: Path, random_bundle: Path, images: Path, capsys: Capture
) -> None:
    """The figure is the rank correlation of both maps, for the same class; the same model is refused."""
    import gagrad_runtime
    from gagrad_edge.statistics import rank_correlation

    code, out = evaluate(tiny_bundle, images, "--randomized", str(random_bundle))
    assert code == 0
    with gagrad_runtime.load(tiny_bundle) as ours, gagrad_runtime.load(random_bundle) as theirs:
        made = ours.explain(images / "a.png", preset="paper")
        other = theirs.explain(images / "a.png", made.target.index, preset="paper")
    expected = rank_correlation(made.saliency, other.saliency)
    assert rows(out)[0]["randomisation"] == pytest.approx(expected, abs=1e-6)
    assert "same when random" in (out / "report.html").read_text()
    assert evaluate(tiny_bundle, images, "--randomized", str(tiny_bundle))[0] == 2
    assert "same model" in capsys.readouterr().err


@pytest.fixture(scope="module")
def random_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle of the tiny model with its weights shuffled, as ``export --randomize`` makes it."""
    import onnx

    from gagrad_export import BundleOptions, MethodSpec, export
    from tests.models import CLASSES, SIZE, tiny_model

    folder = tmp_path_factory.mktemp("random")
    onnx.save(tiny_model(), folder / "tiny.onnx")
    path = folder / "random.gagrad"
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    export(
        folder / "tiny.onnx",
        path,
        size=SIZE,
        mean=mean,
        std=std,
        classes=CLASSES,
        bundle=BundleOptions(method=MethodSpec(samples=6, chunk=4), randomize=1),
    )
    return path


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--methods", "magic"), 2),
        (("--methods", ","), 2),
        (("--methods", "smoothgrad/relative"), 2),
        (("--masks", "nowhere"), 2),
        (("--samples", "1"), 2),
        (("--mask-margin", "-1"), 2),
        (("--target", "nonsense"), 3),
    ],
)
def test_wrong_options(tiny_bundle: Path, images: Path, options: tuple[str, ...], code: int) -> None:
    """A wrong option exits with 2, and a class that the model lacks with 3."""
    assert evaluate(tiny_bundle, images, *options)[0] == code


@pytest.mark.slow
def test_two_images_of_one_name_keep_apart(tiny_bundle: Path, images: Path, tmp_path: Path) -> None:
    """The name is then the path; a pattern and a folder may be mixed."""
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(np.zeros((24, 32, 3), np.uint8) + 99).save(other / "a.png")
    out = tmp_path / "report"
    assert run(["evaluate", str(tiny_bundle), str(images), str(other / "*.png"), "-o", str(out)]) == 0
    names = dict.fromkeys(row["image"] for row in rows(out))
    assert list(names) == [str(images / "a.png"), "b<i>.png", "c.png", str(other / "a.png")]
