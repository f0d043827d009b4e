"""Odd settings, manifests and command lines in short, and the cases that once gave tracebacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.soak.fuzz import config_of, try_command, try_config, try_manifest
from gagrad_edge.cli import run
from gagrad_edge.errors import SettingError
from gagrad_runtime import load
from gagrad_runtime.station.config import read_config

_SHORT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@_SHORT
@given(seed=st.integers(0, 2**32))
def test_an_odd_configuration_is_used_or_refused(seed: int, tiny_bundle: Path, tmp_path: Path) -> None:
    """Nothing but an error with a reason comes out."""
    with load(tiny_bundle, device="cpu", threads=1) as explainer:
        assert try_config(seed, tmp_path, explainer) in ("used", "refused")


@pytest.mark.slow
@_SHORT
@given(seed=st.integers(0, 2**32))
def test_an_odd_manifest_is_used_or_refused(seed: int, tiny_bundle: Path, tmp_path: Path) -> None:
    """With numbers at and beyond their limits."""
    assert try_manifest(seed, tmp_path, tiny_bundle) in ("used", "refused")


@pytest.mark.slow
@_SHORT
@given(seed=st.integers(0, 2**32))
def test_an_odd_command_line_is_used_or_refused(seed: int, tiny_bundle: Path, tmp_path: Path) -> None:
    """And never reported as a defect."""
    assert try_command(seed, tmp_path, tiny_bundle) in ("used", "refused")


def test_the_odd_configurations_are_not_all_alike() -> None:
    """Each seed has its own text, and the same one again."""
    assert config_of(3) == config_of(3)
    assert len({config_of(seed) for seed in range(50)}) > 45


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = " + "[" * 20_000 + "]" * 20_000, "", "brackets are too deep"),
        ("[retention]\nmax_mb = inf", ":2", "<= 1000000000000.0"),
        ("[retention]\ndisk_share = nan", ":2", "expected `float` > 0.0"),
        (f"[retention]\nkeep_rows = {10**30}", ":2", "<= 9007199254740992"),
        (f"outbox = {2**63}", ":1", "<= 9007199254740992"),
        ("[rule]\nper_second = inf", ":2", "<= 1000000.0"),
        ("[rule]\nbelow = nan", ":2", "expected `float` >= 0.0"),
        ('source = "a\\u0000b"', ":1", "NUL character"),
        ('[rule]\ngood = ["a", "\\u0000"]', ":2", "NUL character"),
        ('[webhook]\nurl = "http://[::1"', ":2", "cannot be used"),
        ('[webhook]\nurl = "http://[::1]:99999/"', ":2", "cannot be used"),
    ],
)
def test_a_setting_that_means_nothing_names_its_line(
    text: str, line: str, words: str, tmp_path: Path
) -> None:
    """inf, nan, NUL, addresses that are none, brackets beyond any depth."""
    path = tmp_path / "station.toml"
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        read_config(path)
    assert words in caught.value.what
    assert caught.value.where == f"{path}{line}"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--per-second", "inf", "expected `float` <= 1000000.0"),
        ("--max-mb", "inf", "expected `float` <= 1000000000000.0"),
        ("--below", "nan", "expected `float` >= 0.0"),
        ("--disk-share", "nan", "expected `float` > 0.0"),
    ],
)
def test_an_option_that_means_nothing_is_refused_like_the_setting(
    option: str, value: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the option's name, and exit code 2."""
    assert run(["watch", "b.gagrad", str(tmp_path), "-o", str(tmp_path / "out"), option, value]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert option in said


def test_a_source_whose_name_is_too_long_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As what it is."""
    assert run(["watch", "b.gagrad", "x" * 5000, "-o", str(tmp_path / "out")]) == 2
    assert "cannot be a path" in capsys.readouterr().err
