"""``--lang`` and GAGRAD_EDGE_LANG: the language of what people read, and what happens for a wrong one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.cli import run
from gagrad_runtime.language import VARIABLE, choice

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    """No other test speaks the language that one of these chose."""
    before = list(choice._process)
    yield
    choice._process[:] = before


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "part.png")
    return tmp_path / "part.png"


@pytest.mark.parametrize(
    "command", ["explain", "predict", "watch", "calibrate", "check", "audit", "clusters", "queue"]
)
def test_an_unknown_language_is_wrong_usage(command: str, capsys: Capture) -> None:
    """The error names the option and the languages that there are."""
    assert run([command, "part.gagrad", "part.png", "--lang", "fr"]) == 2
    said = capsys.readouterr().err
    assert "'--lang'" in said
    assert "'fr' is not one of 'en', 'ja'" in said


def test_an_unknown_language_in_the_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, too."""
    monkeypatch.setenv(VARIABLE, "fr")
    assert run(["predict", "part.gagrad", "part.png"]) == 2
    said = capsys.readouterr().err
    assert VARIABLE in said
    assert "'fr' is not one of 'en', 'ja'" in said


@pytest.mark.slow
def test_the_option_wins_over_the_environment(
    tiny_bundle: Path, image: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the two the one on the command line counts, and the next command speaks English again."""
    monkeypatch.setenv(VARIABLE, "ja")
    assert run(["predict", str(tiny_bundle), str(image)]) == 0
    assert "次いで" in capsys.readouterr().out
    assert run(["predict", str(tiny_bundle), str(image), "--lang", "en"]) == 0
    assert "then" in capsys.readouterr().out


@pytest.mark.slow
def test_explain_in_japanese(tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture) -> None:
    """The line in the terminal and the page are Japanese, the record is English."""
    output = tmp_path / "out"
    arguments = ["explain", str(tiny_bundle), str(image), "-o", str(output), "--html", "--lang", "ja"]
    assert run(arguments) == 0
    said = capsys.readouterr().err
    assert "サンプル" in said
    assert "一覧ページ" in said
    assert '<html lang="ja">' in (output / "index.html").read_text(encoding="utf-8")
    record = json.loads((output / "part.json").read_text(encoding="utf-8"))
    assert record["cautions"]
    assert all(one["text"].isascii() for one in record["cautions"])
    assert run([*arguments[:-1], "en"]) == 0
    assert "explained before" not in capsys.readouterr().err, "the page's words are of one language"


@pytest.mark.slow
def test_a_station_speaks_the_language_of_its_settings(
    tiny_bundle: Path, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    """`language` in the file counts where the command line names none; events stay English."""
    file = tmp_path / "station.toml"
    (tmp_path / "in").mkdir()
    image.rename(tmp_path / "in" / "part.png")
    file.write_text(f'bundle = "{tiny_bundle}"\nsource = "in"\noutput = "out"\nlanguage = "ja"\n')
    assert run(["watch", "--config", str(file), "--once", "--json"]) == 0
    said = capsys.readouterr()
    assert "説明済み 1 枚" in said.err
    assert said.out.isascii()
    assert run(["watch", "--config", str(file), "--once", "--lang", "en"]) == 0
    assert "1 explained" in capsys.readouterr().err
    file.write_text(file.read_text().replace('"ja"', '"fr"'))
    assert run(["watch", "--config", str(file), "--once"]) == 2
    assert f"{file}:4" in capsys.readouterr().err
