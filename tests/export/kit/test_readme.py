"""The README of a kit, in both languages."""

from __future__ import annotations

import pytest

from gagrad_edge.kit import Kit
from gagrad_edge.trust.keys import generate
from gagrad_export.kit.readme import LANGUAGES, readme
from gagrad_export.kit.texts import station_config
from gagrad_runtime import language

KIT = Kit(
    gagrad_edge="9.9.9",
    platform="jetson-jp6",
    machine="aarch64",
    python="3.10",
    glibc="2.35",
    system_packages=True,
    product="surface-check",
    version=7,
    created="2026-11-27",
    files={},
)


def test_the_languages_are_those_of_the_device() -> None:
    """What the device can speak, the README can too."""
    assert set(LANGUAGES) == set(language.LANGUAGES)


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_the_readme_has_every_command_and_fact(spoken: str) -> None:
    """In each language it says how to install, to go back, where things are and what is needed."""
    text = readme(KIT, [], spoken)
    for said in (
        "surface-check 7",
        "jetson-jp6",
        "9.9.9",
        "2026-11-27",
        "sudo sh install.sh\n",
        "sh install.sh --help",
        "sudo sh install.sh --rollback",
        "/etc/gagrad-edge/station.toml",
        "/etc/gagrad-edge/trust.toml",
        "/var/lib/gagrad-edge/results",
        "journalctl -u gagrad-edge-watch",
        "aarch64",
        "Python 3.10",
        "glibc 2.35",
        "sbom.cdx.json",
    ):
        assert said in text, said
    assert "{" not in text


def test_who_signed_it_is_said_in_its_language() -> None:
    """The signature's line is of the same language as the rest."""
    key = generate().public
    assert f"The kit is signed by {key.id[:16]}." in readme(KIT, [key])
    assert f"このキットには {key.id[:16]} の署名があります。" in readme(KIT, [key], "ja")
    assert "署名がありません" in readme(KIT, [], "ja")


def test_a_japanese_kit_makes_japanese_pictures() -> None:
    """Settings that are made with the kit carry its language; English ones are as they were."""
    assert 'language = "ja"\n\n[retention]' in station_config("ja")
    assert station_config("ja").replace('language = "ja"\n', "") == station_config() == station_config("en")
