"""The table [explain]: what it takes, what is refused before the first frame, and what it says then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import gagrad_runtime
from gagrad_edge.cli import run
from gagrad_edge.errors import GagradError, SettingError, TargetError
from gagrad_runtime.question.settings import NAMES, Settings
from gagrad_runtime.session.covering import IMAGES
from gagrad_runtime.station.config import ExplainTable, StationConfig, read_config
from gagrad_runtime.station.explaining import explaining_of, files_of, good_of
from gagrad_runtime.station.origin import Origin
from tests.runtime.station.images import put
from tests.runtime.station.test_condition import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gagrad_runtime.session.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    with gagrad_runtime.load(tiny_bundle, device="cpu") as opened:
        yield opened


def written(folder: Path, lines: str) -> Path:
    path = folder / "station.toml"
    path.write_text(f'bundle = "part.gagrad"\nsource = "in"\noutput = "out"\n\n[explain]\n{lines}\n')
    return path


def test_it_takes_every_setting_of_explain() -> None:
    """A setting that is added to ``explain`` is added to the station too."""
    assert set(NAMES) <= {field.name for field in msgspec.structs.fields(ExplainTable)}


def test_the_docs_say_what_the_covering_test_costs() -> None:
    """docs/watch.md has the number of predictions of the program."""
    text = (Path(__file__).parents[3] / "docs" / "watch.md").read_text(encoding="utf-8")
    assert f"| the covering test | at most {IMAGES} more for each explanation, as one batch |" in text


def test_what_a_station_does_by_itself(explainer: Explainer) -> None:
    """The operator's map with the covering test and without RCAP; samples of before [explain] still count."""
    found = explaining_of(StationConfig(), explainer)
    assert found.settings == {"rcap": False, "cover": True}
    assert "gradient-x-cam, 3 samples, covering test" in found.words
    assert explaining_of(StationConfig(samples=9), explainer).settings["samples"] == 9
    both = StationConfig(samples=9, explain=ExplainTable(samples=7))
    assert explaining_of(both, explainer).settings["samples"] == 7


@pytest.mark.parametrize(
    ("line", "said", "near"),
    [
        ("samples = 1", "explain.samples: expected `int` >= 2", ""),
        ("seed = -1", "explain.seed", ""),
        ("until_stable = 1.0", "explain.until_stable", ""),
        ("noise_std = 0.0", "explain.noise_std", ""),
        ("roi_limit = 0.0", "explain.roi_limit", ""),
        ('cover = "yes"', "explain.cover: expected `bool`", ""),
        ("target = 1.5", "explain.target: expected `int | str | null`", ""),
        ('presett = "paper"', "no key 'presett' in [explain]", "did you mean preset?"),
        ('metod = "paper"', "no key 'metod' in [explain]", "did you mean method?"),
    ],
)
def test_a_wrong_value_names_its_line(tmp_path: Path, line: str, said: str, near: str) -> None:
    """What is wrong in any bundle is refused when the file is read, with line and nearest key."""
    path = written(tmp_path, line)
    with pytest.raises(SettingError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}:6: ")
    assert said in caught.value.what
    assert near in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "line", "said", "near"),
    [
        ('preset = "operater"', 6, "explain.preset: there is no preset", "did you mean operator?"),
        ('rcap = true\nmethod = "grad-kam"', 7, "explain.method: there is no method", "grad-cam"),
        ('guide = "papr"', 6, "explain.guide: this bundle has no guide", "did you mean paper?"),
        ('preset = "paper"\nmethod = "gradient-x-cam"', 7, "explain.method", "preset = \"operator\""),
        ('target = "scrach"', 6, "explain.target: there is no class 'scrach'", "scratch"),
        ("seed = 3\ntarget = 7", 7, "explain.target: there is no output 7", ""),
        ('against = "okk"', 6, "explain.against: there is no class", "ok"),
        ('target = "ok"\nagainst = "OK"', 7, "explain.against: OK cannot be explained against itself", ""),
        ("target = 0\nagainst = 'ok'", 7, "cannot be explained against itself", ""),
        ('perturb = "shfit=2"', 6, "explain.perturb", "shift"),
        ('perturb = "shift=2"', 6, "explain.perturb", "perturbations"),
        ('method = "gradient"\nuntil_stable = 0.9', 7, "explain.until_stable: gradient is not an", ""),
        ("roi_limit = 0.5", 6, "explain.roi_limit: there is no region", "as roi"),
        ('roi = "nothing.json"', 6, "nothing.json: the file cannot be read", ""),
        ("percentile = 0.5\nmethod = 'gradient-x-cam'", 6, "explain.percentile", ""),
    ],
)  # fmt: skip
def test_what_no_frame_can_have_is_refused_at_the_start(
    explainer: Explainer, tmp_path: Path, lines: str, line: int, said: str, near: str
) -> None:
    """Once and with its line, and not on every frame; the nearest name is told."""
    path = written(tmp_path, lines)
    config = read_config(path)
    with pytest.raises(GagradError) as caught, Origin(path).naming("explain", files_of(config)):
        explaining_of(config, explainer)
    assert caught.value.where == f"{path}:{line}"
    assert said in caught.value.what
    assert near in str(caught.value)


def test_what_the_command_line_gave_is_no_line_of_the_file(tmp_path: Path) -> None:
    """An error about an option names the option, also where the file has the key, which is not in force."""
    path = written(tmp_path, 'target = "ok"')
    for origin in (Origin(path, {"explain": frozenset({"target"})}), Origin()):
        with pytest.raises(TargetError) as caught, origin.naming("explain"):
            raise TargetError("there is no class", where="target")
        assert caught.value.where == "target"
    with pytest.raises(SettingError) as other, Origin(path).naming("explain"):
        raise SettingError("no such device", where="device")
    assert other.value.where == "device"


@pytest.mark.parametrize(
    ("task", "table", "said"),
    [
        ("sequence", ExplainTable(target="A"), "as a whole"),
        ("anomaly", ExplainTable(against=0), "there is one score"),
        ("regression", ExplainTable(against=0), "there is one score"),
        ("detection", ExplainTable(target="scrach"), "no class 'scrach'"),
        ("segmentation", ExplainTable(target="deep dnt"), "no class 'deep dnt'"),
        ("segmentation", ExplainTable(target="ok", against=0), "against itself"),
    ],
)
def test_tasks_refuse_what_they_have_not(task: str, table: ExplainTable, said: str) -> None:
    """A class that a model of the task cannot be explained for is refused without a frame."""
    model: Any = SimpleNamespace(
        manifest=SimpleNamespace(output=spec_of(task)), check_settings=lambda **_: None, reference=None
    )
    with pytest.raises(TargetError) as caught:
        explaining_of(StationConfig(explain=table), model)
    assert said in caught.value.what


def test_tasks_take_what_they_have() -> None:
    """A detector's and a segmenter's class, by name or number, and the difference of two."""
    settings = SimpleNamespace(method=SimpleNamespace(name="x"), samples=5, rcap=False, cover=True)
    for task in ("classification", "detection", "segmentation", "multilabel"):
        model: Any = SimpleNamespace(
            manifest=SimpleNamespace(output=spec_of(task)),
            check_settings=lambda **_: settings,
            reference=None,
        )
        found = explaining_of(StationConfig(explain=ExplainTable(target="scratch", against=0)), model)
        assert (found.settings["target"], found.settings["against"]) == ("scratch", 0)


def test_the_files_are_relative_to_the_station_s(tmp_path: Path) -> None:
    """Region and good parts lie beside the file; ``good = true`` is the file beside the bundle."""
    config = read_config(written(tmp_path, 'good = "line.good"\nroi = "roi.json"'))
    assert files_of(config) == {str(tmp_path / "line.good"): "good", str(tmp_path / "roi.json"): "roi"}
    beside = read_config(written(tmp_path, "good = true"))
    assert good_of(beside) == str(tmp_path / "part.good")
    assert good_of(read_config(written(tmp_path, "good = false"))) is False
    assert good_of(read_config(written(tmp_path, ""))) is None


@pytest.mark.slow
def test_the_command_says_it_with_the_line(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` and the start refuse the same; an option is named as an option; good files too."""
    (tmp_path / "in").mkdir()

    def said(lines: str, *options: str) -> tuple[int, str]:
        path = written(tmp_path, lines)
        path.write_text(path.read_text().replace('"part.gagrad"', json.dumps(str(tiny_bundle))))
        code = run(["watch", "--config", str(path), "--device", "cpu", *options])
        return code, capsys.readouterr().err

    where = f"{tmp_path / 'station.toml'}:6: "
    for options in (["--check"], ["--once"]):
        code, text = said('target = "scrach"', *options)
        assert code == 3
        assert where + "explain.target: there is no class 'scrach'" in text
    for key, wrong in (("good", "okay"), ("ng", "scrach >= 0.5")):
        code, text = said(f'[rule]\n{key} = ["{wrong}"]', "--check")
        assert code == 2
        assert f"{tmp_path / 'station.toml'}:7: rule.{key}: " in text
    code, text = said('[rule]\ngood = ["ok"]', "--check", "--good", "okay")
    assert (code, "--good: there is no class 'okay'" in text) == (2, True)
    code, text = said('good = "line.good"', "--check")
    assert code == 4
    assert where + "explain.good: " in text
    code, text = said('target = "scratch"', "--check", "--target", "dnet")
    assert code == 3
    assert "--target: there is no class 'dnet'" in text
    code, text = said('target = "scratch"', "--check", "--preset", "paper", "--no-cover", "--samples", "12")
    assert code == 0
    assert "explanations: guided-absolutegrad, 12 samples, of scratch, nothing known of good parts" in text
    assert said("", "--check", "--roi-limit", "0.5")[0] == 2


@pytest.mark.slow
def test_good_parts_beside_the_bundle_are_used(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by default, left out with ``good = false``, missed with ``good = true`` when they are gone."""
    bundle = tmp_path / "part.gagrad"
    shutil.copy(tiny_bundle, bundle)
    for number in range(3):
        put(tmp_path / "in", f"{number}.png", number)
    images = [str(tmp_path / "in" / f"{number}.png") for number in range(3)]
    assert run(["calibrate", str(bundle), *images, "--device", "cpu"]) == 0

    def said(line: str) -> tuple[int, str]:
        path = written(tmp_path, line)
        capsys.readouterr()
        code = run(["watch", "--config", str(path), "--device", "cpu", "--check"])
        return code, capsys.readouterr().err

    assert "compared with 3 good parts" in said("")[1]
    assert "nothing known of good parts" in said("good = false")[1]
    assert said("good = true")[0] == 0
    (tmp_path / "part.good").unlink()
    code, text = said("good = true")
    assert code == 4
    assert f"{tmp_path / 'station.toml'}:6: explain.good: {tmp_path / 'part.good'}: " in text


@pytest.mark.slow
def test_the_settings_reach_the_explanation(station: Any, tmp_path: Path) -> None:
    """Preset, samples, seed and target of the table are those of the record."""
    put(tmp_path / "in", "a.png")
    one = station()
    table = ExplainTable(preset="paper", samples=8, seed=3, target="dent", against="ok", percentile=0.5)
    one.explaining = explaining_of(StationConfig(explain=table), one.explainer)
    one.run(once=True)
    record = json.loads((tmp_path / "out" / station.events[-1].record).read_text())
    method = record["method"]
    assert (method["preset"], method["samples"], method["seed"], method["percentile"]) == ("paper", 8, 3, 0.5)
    assert (record["target"]["name"], record["against"]["name"]) == ("dent", "ok")
    assert record["rcap"] is None


def test_settings_are_checked_as_explain_checks_them(explainer: Explainer) -> None:
    """The keywords of ``explain`` give its settings; a name that is none is refused."""
    found = explainer.check_settings(samples=9)
    assert isinstance(found, Settings)
    assert found.samples == 9
    with pytest.raises(SettingError, match="no setting"):
        explainer.check_settings(smaples=9)
