"""Checks as they are written: ``PATTERN=LABEL``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gagrad_edge import checking
from gagrad_edge.checking import Labelled, check_share, checker, read_checks
from gagrad_edge.errors import MissingPackageError, SettingError

if TYPE_CHECKING:
    from pathlib import Path


def test_patterns_and_labels(tmp_path: Path) -> None:
    """Files in order, each once; a name may hold the sign that divides."""
    for name in ("b.png", "a.png", "c=d.png"):
        (tmp_path / name).touch()
    found = read_checks([f"{tmp_path}/[ab].png=ok", f"{tmp_path}/a.png=ok", f"{tmp_path}/c=d.png=a scratch "])
    assert found == [
        Labelled(str(tmp_path / "a.png"), "ok"),
        Labelled(str(tmp_path / "b.png"), "ok"),
        Labelled(str(tmp_path / "c=d.png"), "a scratch"),
    ]


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (["a.png"], "not PATTERN=LABEL"),
        (["=ok"], "not PATTERN=LABEL"),
        (["{}/a.png="], "not PATTERN=LABEL"),
        (["{}/z*.png=ok"], "no file matches"),
        (["{}/a.png=ok", "{}/*.png=ng"], "is labelled ok and ng"),
    ],
)
def test_what_is_no_check(tmp_path: Path, checks: list[str], said: str) -> None:
    """Each with what is wrong."""
    (tmp_path / "a.png").touch()
    with pytest.raises(SettingError, match=said) as caught:
        read_checks([check.format(tmp_path) for check in checks])
    assert caught.value.where == "check"


def test_a_share() -> None:
    """0 to 1."""
    check_share(0.5)
    with pytest.raises(SettingError, match="90 is not from 0 to 1"):
        check_share(90)


def test_the_runtime_is_found_and_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its entry point; where it is not installed, that is said."""
    assert checker().__module__ == "gagrad_runtime.jobs.checking"  # type: ignore[attr-defined]
    monkeypatch.setattr(checking, "entry_points", lambda **_: [])
    with pytest.raises(MissingPackageError, match="not installed"):
        checker()
