"""``gagrad-edge explain`` as its user meets it: results, messages, exit codes."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from gagrad_edge.cli import run
from gagrad_runtime.explanation import explanation as explanation_module
from gagrad_runtime.language.numbers import percent
from gagrad_runtime.report.report import Report
from gagrad_runtime.session.explainer import Explainer

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "part.png")
    return tmp_path / "part.png"


def explain(bundle: Path, *images: Path | str, out: Path, options: tuple[str, ...] = ()) -> int:
    return run(["explain", str(bundle), *map(str, images), "-o", str(out), *options])


def test_one_image(tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture) -> None:
    """Picture, map and record; the line for people names class and picture, and RCAP with the paper's map."""
    out = tmp_path / "out"
    assert explain(tiny_bundle, image, out=out, options=("--npy",)) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "part.explained.png",
        "part.json",
        "part.saliency.npy",
        "part.saliency.png",
    ]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "RCAP" not in captured.err
    assert "part.explained.png" in captured.err
    assert explain(tiny_bundle, image, out=out, options=("--preset", "paper")) == 0
    assert "RCAP" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "targets", "expected"),
    [(1, [], "close save"), (2, [], "save close save"), (1, ["0", "1", "1"], "save save close save")],
)
def test_the_model_is_closed_before_the_last_picture(
    tiny_bundle: Path,
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: int,
    targets: list[str],
    expected: str,
) -> None:
    """The picture of a large frame may take as much memory as the model, and the last one needs no model."""
    done: list[str] = []
    save, close = Report.save_as, Explainer.close
    monkeypatch.setattr(Report, "save_as", lambda *a, **k: (done.append("save"), save(*a, **k))[1])
    monkeypatch.setattr(Explainer, "close", lambda self: (done.append("close"), close(self))[1])
    paths = [tmp_path / f"{number}.png" for number in range(images)]
    for path in paths:
        path.write_bytes(image.read_bytes())
    options = tuple(word for target in targets for word in ("--target", target))
    assert explain(tiny_bundle, *paths, out=tmp_path / "out", options=options) == 0
    assert " ".join(done) == f"{expected} close"


def test_json_is_one_object_per_image(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """And nothing else on stdout; a bad image has its object too."""
    code = explain(tiny_bundle, image, tmp_path / "gone.png", out=tmp_path / "out", options=("--json",))
    assert code == 3
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert good["target"]["name"] in {"ok", "scratch", "dent"}
    assert bad["file"].endswith("gone.png")
    assert bad["error"]["exit_code"] == 3


def test_same_command_same_bytes(tiny_bundle: Path, image: Path, tmp_path: Path) -> None:
    """Pictures and maps are equal, records too apart from what is under ``run``."""
    for name in ("one", "two"):
        assert explain(tiny_bundle, image, out=tmp_path / name, options=("--npy",)) == 0
    for path in (tmp_path / "one").iterdir():
        other = tmp_path / "two" / path.name
        if path.suffix == ".json":
            records = [json.loads(file.read_text()) for file in (path, other)]
            for record in records:
                assert record.pop("run")
            assert records[0] == records[1]
        else:
            assert path.read_bytes() == other.read_bytes(), path.name


def test_globs_and_equal_names(tiny_bundle: Path, image: Path, tmp_path: Path) -> None:
    """A pattern is expanded by the command itself; two files of one name are told apart by their folders."""
    (tmp_path / "b").mkdir()
    shutil.copy(image, tmp_path / "b" / "part.png")
    assert explain(tiny_bundle, tmp_path / "**" / "*.png", out=tmp_path / "out") == 0
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.explained.png"))
    assert pictures == sorted(["b-part.explained.png", f"{tmp_path.name}-part.explained.png"])


@pytest.mark.slow
def test_targets_in_folders_keep_all_their_files(
    folder_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Classes ``top/scratch`` and ``bottom/scratch`` have six files, and another method three more."""
    options = ("--target", "top/scratch", "--target", "bottom/scratch")
    out = tmp_path / "out"
    assert explain(folder_bundle, image, out=out, options=options) == 0
    stems = {"part.top_scratch", "part.bottom_scratch"}
    assert {path.name for path in out.glob("*.json")} == {f"{stem}.json" for stem in stems}
    assert len(list(out.iterdir())) == 6
    assert explain(folder_bundle, image, out=out, options=(*options, "--method", "gradient")) == 0
    assert {path.name for path in out.glob("*.json")} == {
        f"{stem}{method}.json" for stem in stems for method in ("", ".gradient")
    }
    before = {path: path.read_bytes() for path in out.glob("*.png")}
    assert explain(folder_bundle, image, out=out, options=options) == 0
    assert {path: path.read_bytes() for path in out.glob("*.png")} == before


@pytest.fixture(scope="module")
def folder_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle whose class names have slashes."""
    import onnx

    from gagrad_export import export
    from tests.models import SIZE, tiny_model

    folder = tmp_path_factory.mktemp("folders")
    onnx.save(tiny_model(), folder / "m.onnx")
    export(folder / "m.onnx", folder / "m.gagrad", size=SIZE, classes=["ok", "top/scratch", "bottom/scratch"])
    return folder / "m.gagrad"


def test_stdout_and_file_are_one_record(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every field is the same in both, the time too: it is taken when the explanation is made."""
    clock = iter(range(1, 1000))

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=tz) + timedelta(seconds=next(clock))

    monkeypatch.setattr(explanation_module, "datetime", Later)
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=("--json",)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "part.json").read_text())
    assert printed["run"]["created"] == "2026-01-01T00:00:01Z"


def test_the_line_and_the_picture_write_a_probability_alike(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """``97.3 %`` as on the picture, and never ``100.0%``."""
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=("--json",)) == 0
    captured = capsys.readouterr()
    target = json.loads(captured.out)["target"]
    assert f"{target['name']} {percent(target['probability'])}, " in captured.err


def _jpeg() -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


BAD_FILES = {
    "missing": (None, "gone.png"),
    "empty": (b"", "empty"),
    "truncated": (_jpeg()[:900], "damaged"),
    "text": (b"I am no picture\n", "no image"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_image_is_reported_and_the_rest_goes_on(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture, kind: str
) -> None:
    """A bad image is reported and exits with 3; the other image is explained."""
    data, word = BAD_FILES[kind]
    bad = tmp_path / "gone.png"
    if data is not None:
        bad = tmp_path / "bad.png"
        bad.write_bytes(data)
    out = tmp_path / "out"
    assert explain(tiny_bundle, bad, image, out=out) == 3
    error = capsys.readouterr().err
    assert word in error
    assert "How to mend it" in error
    assert "1 of 2 explained" in error
    assert {path.name for path in out.iterdir()} == {
        "part.explained.png",
        "part.json",
        "part.saliency.png",
    }


def test_a_directory_is_no_image(tiny_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    """A directory in place of an image exits with 3 and says so."""
    assert explain(tiny_bundle, tmp_path, out=tmp_path / "out") == 3
    assert "director" in capsys.readouterr().err


def test_a_huge_image_is_refused_from_its_header(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture, png_header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30000×30000 pixels would be 2.7 GB: nothing is decoded."""

    def decode(*_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    (tmp_path / "huge.png").write_bytes(png_header)
    assert explain(tiny_bundle, tmp_path / "huge.png", out=tmp_path / "out") == 3
    assert "30000 high, 30000 wide" in capsys.readouterr().err


@pytest.fixture
def png_header() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pixels", "name"),
    [
        (np.full((1, 1, 3), 9, np.uint8), "one.png"),
        (np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 27, "mono16.tiff"),
        (np.random.default_rng(1).integers(0, 256, (40, 60, 4), dtype=np.uint8), "alpha.png"),
        (np.random.default_rng(2).integers(0, 256, (40, 60), dtype=np.uint8), "grey.png"),
        (np.full((40, 60, 3), 128, np.uint8), "constant.png"),
    ],
    ids=["1x1", "16-bit", "rgba", "grey", "constant"],
)
def test_strange_but_good_images(
    tiny_bundle: Path, tmp_path: Path, capsys: Capture, pixels: np.ndarray, name: str
) -> None:
    """They are explained, and what is odd about them is said."""
    Image.fromarray(pixels).save(tmp_path / name)
    assert explain(tiny_bundle, tmp_path / name, out=tmp_path / "out", options=("--json",)) == 0
    record = json.loads(capsys.readouterr().out)
    codes = {caution["code"] for caution in record["cautions"]}
    assert ("constant-image" in codes) == (name in {"one.png", "constant.png"})
    assert ("transparency dropped" in record["frame"]["notes"]) == (name == "alpha.png")
    assert record["frame"]["bits"] == (16 if name == "mono16.tiff" else 8)


def test_unknown_target_shows_the_nearest(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """An unknown class exits with 3 and shows the nearest name."""
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=("--target", "scrach")) == 3
    assert "scratch" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--samples", "1"), 2),
        (("--percentile", "2"), 2),
        (("--seed", "-4"), 2),
        (("--samples", "many"), 2),
        (("--no-such-option",), 2),
        (("--device", "npu"), 5),
    ],
)
def test_wrong_options(
    tiny_bundle: Path, image: Path, tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    """A wrong option exits with 2, and an unknown device with 5."""
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=options) == code


def test_output_that_cannot_be_written(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A file in the way is an error of the output, before any work."""
    (tmp_path / "out").write_text("in the way")
    assert explain(tiny_bundle, image, out=tmp_path / "out") == 5
    assert "out" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "in the way"


def test_a_full_disk(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says so, the code is 5, no half file stays."""
    import errno

    out, real = tmp_path / "out", os.fsync

    def full(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert explain(tiny_bundle, image, out=out) == 5
    assert "space" in capsys.readouterr().err
    assert not list(out.glob("*"))


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(tiny_bundle: Path, image: Path, tmp_path: Path) -> None:
    """130, a line that says so, and only whole results in the folder."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from gagrad_edge.cli import main; main()", "explain", str(tiny_bundle)]
    with subprocess.Popen(
        [*command, str(image), "-o", str(out), "--samples", "1000000"], stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not out.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Interrupted" in error
    assert not list(out.iterdir())


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "directory"])
def test_a_damaged_bundle_is_not_used(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture, damage: str
) -> None:
    """A bundle that is changed, cut, missing or an empty folder exits with 4."""
    bundle = tmp_path / "bad.gagrad"
    data = tiny_bundle.read_bytes()
    if damage == "flipped":
        middle = len(data) // 2
        bundle.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif damage == "truncated":
        bundle.write_bytes(data[:-100])
    elif damage == "directory":
        bundle.mkdir()
    assert explain(bundle, image, out=tmp_path / "out") == 4
    assert "How to mend it" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_that_gives_nan_draws_nothing(
    nan_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """On this image the scores are NaN: exit code 4, and no picture."""
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(black)
    out = tmp_path / "out"
    assert explain(nan_bundle, black, out=out) == 4
    assert "NaN" in capsys.readouterr().err
    assert not list(out.iterdir())


@pytest.fixture(scope="module")
def nan_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle of a model that divides by the image's mean: good on most images, NaN on black."""
    import onnx
    from onnx import parser

    from gagrad_export import export

    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        divides (float[N, 3, 24, 32] x) => (float[N, 3] scores) {
            total = ReduceSum <keepdims = 1> (x, axes)
            share = Div (x, total)
            pooled = GlobalAveragePool (share)
            scores = Flatten (pooled)
        }
    """)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, 3]), "axes"))
    folder = tmp_path_factory.mktemp("nan")
    onnx.save(model, folder / "m.onnx")
    export(folder / "m.onnx", folder / "m.gagrad")
    return folder / "m.gagrad"


@pytest.fixture
def roi(tmp_path: Path) -> Path:
    (tmp_path / "roi.json").write_text('{"inside": [[[0, 0], [60, 0], [60, 2], [0, 2]]]}')
    return tmp_path / "roi.json"


@pytest.mark.slow
def test_a_region_of_interest(
    tiny_bundle: Path, image: Path, roi: Path, tmp_path: Path, capsys: Capture
) -> None:
    """FAIL is on the line and in the record; the exit code says so only when it is asked to."""
    options = ("--roi", str(roi), "--roi-limit", "0.9")
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=(*options, "--json")) == 0
    captured = capsys.readouterr()
    assert "FAIL" in captured.err
    assert json.loads(captured.out)["roi"]["passed"] is False
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=(*options, "--roi-fail-exit")) == 1
    roi.write_text('{"inside": [[[0, 0], [60, 0], [60, 40], [0, 40]]]}')
    assert explain(tiny_bundle, image, out=tmp_path / "out", options=(*options, "--roi-fail-exit")) == 0
    assert "PASS" in capsys.readouterr().err


def test_a_region_that_cannot_be_used(
    tiny_bundle: Path, image: Path, roi: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A bad file stops the run; a frame of another size is a bad image; a limit needs a region."""
    out = tmp_path / "out"
    assert explain(tiny_bundle, image, out=out, options=("--roi", str(tmp_path / "gone.json"))) == 3
    assert explain(tiny_bundle, image, out=out, options=("--roi-limit", "0.5")) == 2
    assert explain(tiny_bundle, image, out=out, options=("--roi", str(roi), "--roi-fail-exit")) == 2
    assert explain(tiny_bundle, image, out=out, options=("--roi", str(roi), "--roi-limit", "3")) == 2
    Image.fromarray(np.full((7, 7), 255, np.uint8)).save(tmp_path / "mask.png")
    assert explain(tiny_bundle, image, out=out, options=("--roi", str(tmp_path / "mask.png"))) == 3
    assert "for frames 7 high and 7 wide, and this one is 40 high and 60 wide" in capsys.readouterr().err
