"""``gagrad-edge watch``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gagrad_edge.cli import Command, say, say_json
from gagrad_edge.errors import SettingError
from gagrad_runtime.commands.options import (
    against_option,
    device_options,
    json_option,
    lang_option,
    method_options,
    trust_option,
)
from gagrad_runtime.language import choose, listed, marked, phrase, shown, text

if TYPE_CHECKING:
    from gagrad_runtime.station.config import StationConfig
    from gagrad_runtime.station.events import Event
    from gagrad_runtime.station.origin import Origin

_STATES = {
    "dropped": marked("{count} dropped"),
    "explained": marked("{count} explained"),
    "failed": marked("{count} failed"),
    "quarantined": marked("{count} quarantined"),
    "verdict": marked("{count} not explained"),
    "waiting": marked("{count} waiting"),
}
"""Words for the states of rows with their number."""


@click.command(
    cls=Command,
    section="device",
    short_help="Explain the frames of a folder, video or camera as they come, day and night.",
)
@click.argument("bundle", required=False)
@click.argument("source", required=False)
@click.option("-o", "--output", help="Folder to keep the results in.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The whole station in a TOML file.")
@click.option("--check", is_flag=True, help="Check the configuration, load the bundle, and stop.")
@click.option("--good", multiple=True, help="A class that needs no explanation; give it for each.")
@click.option("--ng", multiple=True, help="What makes a part NG, e.g. 'dent >= 0.6'; give it for each.")
@click.option("--below", type=click.FloatRange(0, 1), help="Explain good frames too below this probability.")
@click.option("--every", type=click.IntRange(1), help="Explain every N-th picked frame.  [default: 1]")
@click.option("--per-second", type=click.FloatRange(min=0.001), help="Most explanations a second.")
@click.option("--per-minute", type=click.FloatRange(min=0.01), help="Most explanations a minute.")
@click.option(
    "--queue",
    type=click.IntRange(1),
    help="Most frames that wait; beyond it the oldest is dropped.  [default: 20]",
)
@click.option("--keep", type=click.IntRange(1), help="Most explanations to keep; the oldest are removed.")
@click.option("--max-mb", type=click.FloatRange(min=1), help="Most megabytes of explanations to keep.")
@click.option(
    "--disk-share",
    type=click.FloatRange(0, 1, min_open=True),
    help="Remove the oldest explanations while more than this share of the disk is used, 0 to 1.",
)
@click.option("--keep-rows", type=click.IntRange(1), help="Most rows of the index to keep.  [default: all]")
@click.option(
    "--target", help="Class to explain, by name or index.  [default: what makes it NG, or its class]"
)
@against_option
@method_options(
    rcap="Measure RCAP, the paper's score of the map.  [default: off]",
    cover="Cover the places and ask the model again.  [default: on]",
)
@click.option(
    "--reuse",
    type=click.FloatRange(0, 600, min_open=True),
    metavar="SECONDS",
    help="Use an explanation again for so long while frames show the same.  [default: off]",
)
@click.option("--roi", type=click.Path(path_type=Path), help="Where maps should lie: see `explain`.")
@click.option("--roi-limit", type=float, metavar="SHARE", help="Share that must lie there: PASS or FAIL.")
@click.option("--interval", type=click.FloatRange(0.01, 60), help="Seconds between polls.  [default: 0.5]")
@click.option("--polling", is_flag=True, help="Poll the folder, though the system reports new files.")
@click.option("--once", is_flag=True, help="Stop when nothing new comes.")
@lang_option
@device_options
@trust_option
@json_option
@click.pass_context
def watch(
    context: click.Context,
    /,
    bundle: str | None,
    source: str | None,
    output: str | None,
    file: Path | None,
    check: bool,
    polling: bool,
    once: bool,
    as_json: bool,
    settings: dict[str, Any],
    **options: Any,
) -> None:
    """Give each new frame of SOURCE its verdict at once, and its explanation when there is time.

    SOURCE is a folder of images, a video file, or a camera's address (rtsp://…, http://…). Results survive
    being killed and are kept in one folder by one process; files that are no images are copied to
    `quarantine/` there with the reason. With --json each event is a line on stdout, printed after it was
    stored. Ctrl-C or SIGTERM ends it cleanly. Options here win over those in --config.

    Example: gagrad-edge watch part.gagrad /mnt/camera -o results/ --good ok --keep 10000
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.station.config import StationConfig, read_config  # noqa: PLC0415
    from gagrad_runtime.station.logs import set_up  # noqa: PLC0415
    from gagrad_runtime.station.origin import Origin  # noqa: PLC0415

    config = StationConfig() if file is None else read_config(file)
    options.update(settings)
    given = {name: value for name, value in options.items() if _is_given(context, name)}
    # On the command line `good` is the rule's; in the table [explain] it is a file.
    origin = Origin(file, {"explain": frozenset(given) - {"good"}, "rule": frozenset(given)})
    config = _complete(_merged(config, bundle=bundle, source=source, output=output, **given))
    if config.language is not None and not _is_given(context, "lang"):
        choose(config.language)
    if file is not None:
        set_up(config.log)
    if check:
        _check(config, origin)
        return

    from gagrad_runtime.jobs.progress import Progress  # noqa: PLC0415
    from gagrad_runtime.station.lines import Lines  # noqa: PLC0415
    from gagrad_runtime.station.run import run_station  # noqa: PLC0415

    with Progress() as progress, Lines(lambda line: say_json(line.encode())) as lines:

        def print_event(event: Event) -> None:
            if as_json:
                lines.put(msgspec.json.encode(event).decode())

        counts = run_station(
            config, origin=origin, once=once, polling=polling, on_event=print_event, progress=progress
        )
    said = [
        phrase(_STATES.get(state, f"{{count}} {state}"), count=count)
        for state, count in sorted(counts.items())
    ]
    say(f"{config.output}: {shown(listed(said)) or text('nothing came')}", err=True)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT)


def _merged(config: StationConfig, **given: Any) -> StationConfig:
    """Return ``config`` with the options ``given`` on the command line in place of its own."""
    from msgspec.structs import replace  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.station.config import checked  # noqa: PLC0415

    given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    tables = {
        table: {name: given.pop(name) for name in getattr(config, table).__struct_fields__ if name in given}
        for table in ("rule", "retention", "explain")
    }
    changed = {table: replace(getattr(config, table), **values) for table, values in tables.items()}
    given = {name: value for name, value in given.items() if value is not None}
    return checked(replace(config, **changed, **given))


def _complete(config: StationConfig) -> StationConfig:
    """Return ``config`` if bundle, source and output are set. Raises SettingError."""
    for name in ("bundle", "source", "output"):
        if getattr(config, name) is None:
            raise SettingError(
                f"there is no {name}",
                where="watch",
                hint="gagrad-edge watch BUNDLE SOURCE -o FOLDER, or name all three in the file of --config",
            )
    source, output = str(config.source), Path(str(config.output))
    if "://" not in source and output.resolve() == Path(source).resolve():
        raise SettingError(
            "the results would be taken for new images", where="-o", hint="give another folder"
        )
    return config


def _check(config: StationConfig, origin: Origin) -> None:
    """Check everything that the start needs, the bundle and the secrets too, and start nothing."""
    from gagrad_edge.atomic import check_writable, make_folder  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.session.opening import load  # noqa: PLC0415
    from gagrad_runtime.station.explaining import explaining_of, files_of, good_of  # noqa: PLC0415
    from gagrad_runtime.station.run import rule_of, sinks_of, station_name, trust_of  # noqa: PLC0415
    from gagrad_runtime.station.sources.address import check_source, is_address, shown  # noqa: PLC0415

    name = station_name(config)
    sinks = sinks_of(config, name)
    source = str(config.source)
    check_source(source)
    if not is_address(source) and not Path(source).exists():
        raise SettingError("there is no such folder or file", where=f"source: {source}")
    make_folder(Path(str(config.output)))
    check_writable(Path(str(config.output)))
    with contextlib.ExitStack() as stack:
        with origin.naming("explain", files_of(config)):
            explainer = load(
                str(config.bundle),
                device=config.device,
                threads=config.threads,
                trust=trust_of(config),
                good=good_of(config),
            )
            stack.enter_context(explainer)
            explaining = explaining_of(config, explainer)
        with origin.naming("rule"):
            rule_of(config, explainer)
        backend = explainer.backend.description
    receivers = ", ".join(sink.name for sink in sinks) or "none"
    lines = [
        f"station {name}: all right",
        f"  bundle {config.bundle} on {backend}",
        f"  source {shown(source) if is_address(source) else source}",
        f"  output {config.output}; receivers: {receivers}",
        f"  explanations: {explaining.words}",
    ]
    say(*lines, err=True)
