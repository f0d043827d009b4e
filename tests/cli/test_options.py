"""The options of the method: one list, from the settings that the Python interface takes."""

from __future__ import annotations

import inspect

import click
import pytest

from gagrad_edge.cli import group
from gagrad_edge.errors import SettingError
from gagrad_runtime.commands import options
from gagrad_runtime.commands.options import METHOD_HELP, method_options
from gagrad_runtime.question.settings import Settings


def settings_of(command: str) -> dict[str, click.Option]:
    """Return the options of ``command`` that are settings of the method, by name."""
    found = group.get_command(click.Context(group), command)
    assert found is not None
    return {
        one.name or "": one
        for one in found.params
        if isinstance(one, click.Option) and one.name in METHOD_HELP
    }


def test_every_setting_is_an_option() -> None:
    """A setting that Python has and the command line lacks would be one that nobody finds."""
    parameters = inspect.signature(Settings.of).parameters.values()
    names = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert set(METHOD_HELP) == names
    assert set(settings_of("explain")) == names


@pytest.mark.parametrize("command", ["bench", "calibrate", "evaluate"])
def test_an_option_is_the_same_in_each_command(command: str) -> None:
    """Type, default and help of a setting do not depend on the command that takes it."""
    known = settings_of("explain")
    taken = settings_of(command)
    assert taken
    for name, option in taken.items():
        expected = known[name]
        assert (option.type.name, option.default, option.help) == (
            expected.type.name,
            expected.default,
            expected.help,
        )


def test_types_are_those_of_the_settings() -> None:
    """Whole numbers, numbers and text, as ``Settings.of`` declares them."""
    kinds = {name: option.type.name for name, option in settings_of("explain").items()}
    assert kinds["samples"] == kinds["seed"] == "integer"
    assert kinds["budget_ms"] == kinds["noise_std"] == "float"
    assert kinds["method"] == kinds["perturb"] == "text"


def test_a_command_gets_its_settings_as_one_dict() -> None:
    """With the names that ``Explainer.explain`` takes."""

    @click.command()
    @method_options("samples", "noise_std")
    @click.option("--other")
    def command(other: str, settings: dict[str, object]) -> tuple[str, dict[str, object]]:
        return other, settings

    made = command.main(["--noise-std", "0.5", "--other", "x"], standalone_mode=False)
    assert made == ("x", {"samples": None, "noise_std": 0.5})


def test_somebody_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who decides has a name: the one given, else the user's; nobody, or blanks alone, is an error."""
    monkeypatch.setattr(options, "user_name", lambda: "hana")
    assert [options.decider(who) for who in (None, " A. Engineer ")] == ["hana", "A. Engineer"]
    for who in ("", " \t"):
        with pytest.raises(SettingError, match=r"^who: nobody is named\n.*`who`"):
            options.decider(who)
    monkeypatch.setattr(options, "user_name", str)
    with pytest.raises(SettingError, match="the user of this machine has no name"):
        options.decider(None)
