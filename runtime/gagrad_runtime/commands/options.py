"""Options that several commands take, each written once.

The options of the method are the fields of ``Settings``, with its types; each command takes those that it
needs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gagrad_edge.errors import SettingError
from gagrad_runtime.language import LANGUAGES, VARIABLE, choose
from gagrad_runtime.question.methods import METHODS
from gagrad_runtime.question.presets import PRESETS
from gagrad_runtime.question.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

METHOD_HELP: dict[str, str] = {
    "preset": f"What is chosen where you do not: {', '.join(PRESETS)}.  [default: {next(iter(PRESETS))}; "
    "paper with a method, guide or percentile]",
    "method": f"How the map is made: {', '.join(METHODS)}.  [default: the preset's]",
    "guide": "What weighs the gradients; `inspect` lists the bundle's guides.  [default: paper]",
    "samples": "Samples (perturbed copies) per image.  [default: the preset's]",
    "budget_ms": "Be done in this time, with fewer samples if need be, but 4.",
    "until_stable": "Stop when the map is this stable, 0 to 1.",
    "perturb": "Change the samples by more than noise, e.g. gain=0.1,shift=2,angle=2,blur=1.",
    "baseline": "Pixel value where integrated gradients begin.  [default: 0]",
    "seed": "Seed of the noise.",
    "percentile": "Percentile of the guide, 0 to 1.  [default: the bundle's]",
    "noise_std": "Noise relative to the input's range.  [default: the bundle's for the preset]",
    "chunk": "Samples at a time; fewer need less memory.  [default: chosen here]",
    "rcap": "Measure RCAP, the paper's score of the map.  [default: on with the preset paper]",
    "cover": "Cover the places and ask the model again.  [default: on with the preset operator]",
}
"""What ``--help`` says of each setting."""
_DEFAULTS: dict[str, Any] = {"seed": 0}
_METAVARS = {"perturb": "NAME=RANGE,..."}
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


def method_options(*names: str, **words: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of the settings ``names``, all of them without any.

    The command gets their values as one argument ``settings``, a dict by name. ``words`` are the help of
    settings whose default is another one there.
    """
    chosen = names or tuple(METHOD_HELP)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_settings(**given: Any) -> Any:
            settings = {name: given.pop(name) for name in chosen}
            return command(**given, settings=settings)

        decorated: Any = with_settings
        for name in reversed(chosen):
            decorated = _setting_option(name, words.get(name, METHOD_HELP[name]))(decorated)
        result: Command = decorated
        return result

    return decorate


def _setting_option(name: str, words: str) -> Callable[[Any], Any]:
    option = f"--{name.replace('_', '-')}"
    if setting_type(name) is bool:
        return click.option(f"{option}/--no-{option[2:]}", name, default=None, help=words)
    return click.option(
        option,
        name,
        type=setting_type(name),
        default=_DEFAULTS.get(name),
        show_default=name in _DEFAULTS,
        metavar=_METAVARS.get(name),
        help=words,
    )


def setting_type(name: str) -> type:
    """Return the type of the setting ``name``, as ``Settings.of`` declares it."""
    annotation = str(inspect.signature(Settings.of).parameters[name].annotation)
    return _TYPES[annotation.partition(" |")[0]]


def target_option(command: Command) -> Command:
    """Add ``--target``."""
    return click.option(
        "--target", help="Class to explain, by name or index.  [default: what the model says]"
    )(command)


def against_option(command: Command) -> Command:
    """Add ``--against``."""
    return click.option("--against", help="Explain why the target and not this class.")(command)


def lang_option(command: Command) -> Command:
    """Add ``--lang``, which sets the language of the process."""
    return click.option(
        "--lang",
        type=click.Choice(tuple(LANGUAGES)),
        default="en",
        show_default=True,
        envvar=VARIABLE,
        show_envvar=True,
        expose_value=False,
        callback=_choose,
        help="Language of pictures and of what is said here.",
    )(command)


def _choose(context: click.Context, parameter: click.Parameter, value: str) -> None:  # noqa: ARG001 - click's
    choose(value)


def device_options(command: Command) -> Command:
    """Add ``--device`` and ``--threads``."""
    command = click.option(
        "--threads", type=click.IntRange(1), help="Threads on a CPU.  [default: one per core]"
    )(command)
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where to compute; `gagrad-edge doctor` lists them.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there."
    )(command)


def trust_option(command: Command) -> Command:
    """Add ``--trust``."""
    return click.option(
        "--trust",
        type=click.Path(path_type=Path),
        help="Policy that says whose bundles to load.  [default: /etc/gagrad-edge/trust.toml, if there]",
    )(command)


def good_options(command: Command) -> Command:
    """Add ``--good`` and ``--no-good``; the command gets ``good``: a path, False for none, or None."""

    @functools.wraps(command)
    def with_good(**given: Any) -> Any:
        no_good = given.pop("no_good")
        if no_good and given["good"] is not None:
            raise SettingError(
                "--good and --no-good exclude each other", where="--good", hint="leave one out"
            )
        return command(**{**given, "good": False if no_good else given["good"]})

    decorated: Any = with_good
    decorated = click.option("--no-good", is_flag=True, help="Compare with no good parts.")(decorated)
    decorated = click.option(
        "--good",
        type=click.Path(path_type=Path),
        help="Good parts to compare with: a file that `calibrate` wrote.  [default: the one beside BUNDLE]",
    )(decorated)
    result: Command = decorated
    return result


def decider(who: str | None) -> str:
    """Return the name of who decides or labels: ``who``, else the user of this machine.

    Raises SettingError where that is no name: nobody could be asked about such a decision later.
    """
    name = (user_name() if who is None else who).strip()
    if not name:
        raise SettingError(
            "nobody is named" if who is not None else "the user of this machine has no name",
            where="who",
            hint="name the person with `who`",
        )
    return name


def user_name() -> str:
    """Return the name of the user of this machine; empty where there is none."""
    import getpass  # noqa: PLC0415 - few commands ask

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
