"""The configuration of a station, one TOML file: source, rule, retention, receivers.

Every error names the file and the line. Secrets are not in the file: it names the file or the environment
variable that holds a secret.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from gagrad_edge.errors import MissingPackageError, SettingError
from gagrad_runtime.station.events import EventKind  # noqa: TC001 - msgspec reads it at run time
from gagrad_runtime.station.parts import check_pattern
from gagrad_runtime.station.toml_lines import line_of, path_of

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Megabytes = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_HINT = "see examples/station.toml"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all tables; an unknown key is an error."""


class RuleTable(Table, frozen=True):
    """Which frames are explained."""

    good: list[str] = []
    ng: list[str] = []
    """Conditions, one of which makes a part NG: see ``station.condition``."""
    below: Share | None = None
    every: Positive = 1
    per_second: Rate | None = None
    per_minute: Rate | None = None


class ExplainTable(Table, frozen=True):
    """What is explained and how, in the words of ``gagrad-edge explain``; None: the bundle's or preset's."""

    preset: str | None = None
    method: str | None = None
    guide: str | None = None
    target: str | int | None = None
    """Class of every explanation; None: what makes the part NG, else what the model says."""
    against: str | int | None = None
    """The other class of a difference; left out of the explanation of a part that is of this class."""
    samples: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    noise_std: Annotated[float, msgspec.Meta(gt=0, lt=100)] | None = None
    percentile: Share | None = None
    perturb: str | None = None
    baseline: Share | None = None
    chunk: Positive | None = None
    budget_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    until_stable: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    rcap: bool = False
    """Whether RCAP is measured, which people at a line do not read."""
    cover: bool = True
    """Whether places are covered, to see what the model then says."""
    good: str | bool | None = None
    """File of good parts; None: the one beside the bundle, if there; true: that one; false: none."""
    reuse: Annotated[float, msgspec.Meta(gt=0, le=600)] | None = None
    """Most seconds for which an explanation is used again while frames show the same; None: never."""
    roi: str | None = None
    """File of the region of interest."""
    roi_limit: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Share of the map that must lie inside."""


class PartTable(Table, frozen=True):
    """The plant's own name of a part, in the name of its frame."""

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Regular expression of a frame's whole name; its group ``part`` is the id. None: there are no ids."""

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                check_pattern(self.pattern)
            except ValueError as error:
                raise ValueError(f"pattern: {error}") from error


class RetentionTable(Table, frozen=True):
    """Limits of what is kept. The oldest row by number goes first, whatever the clock says."""

    keep: Positive | None = None
    """Most explanations."""
    max_mb: Annotated[float, msgspec.Meta(ge=1, le=1e12)] | None = None
    """Most megabytes of explanations."""
    disk_share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Explanations are removed while more than this share of the disk is used, by whatever program."""
    quarantine_mb: Megabytes = 100.0
    """Most megabytes of files that are no images; with ``max_mb`` at most that."""
    keep_rows: Positive | None = None
    """Most rows of the index, explained or not."""


class SinkTable(Table, frozen=True):
    """Keys of every receiver."""

    events: list[EventKind] | None = None
    """Kinds of events that the receiver gets; None: all."""
    picture: bool = False
    """Whether events ``explained`` carry the picture, base64."""


class WebhookTable(SinkTable, frozen=True, kw_only=True):
    """A webhook: an address that gets each event by HTTP POST."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$")]
    ca: str | None = None
    """File of certificates (PEM) to trust instead of the system's."""
    token_file: str | None = None
    token_env: str | None = None
    """File or environment variable of the token, sent as ``Authorization: Bearer``."""
    timeout: Seconds = 10.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            if not parts.hostname or parts.port == 0:
                raise ValueError("it names no host" if not parts.hostname else "there is no port 0")
        except ValueError as error:
            raise ValueError(f"url: it cannot be used ({error})") from error


class MqttTable(SinkTable, frozen=True, kw_only=True):
    """An MQTT broker that gets each event at QoS 1."""

    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """None: 1883, or 8883 with ``tls``."""
    topic: Annotated[str, msgspec.Meta(pattern=r"^[^#+\s]+$")] = "gagrad-edge/{station}/{event}"
    client_id: str | None = None
    username: str | None = None
    password_file: str | None = None
    password_env: str | None = None
    tls: bool = False
    ca: str | None = None
    timeout: Seconds = 10.0


class MetricsTable(Table, frozen=True):
    """Prometheus metrics and health, over HTTP."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 9464
    address: str = "127.0.0.1"


class LogTable(Table, frozen=True):
    """Format and level of the log."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class StationConfig(Table, frozen=True):
    """The configuration of one station."""

    bundle: str | None = None
    source: str | None = None
    output: str | None = None
    name: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]{1,64}$")] | None = None
    """The station's name in messages; by default the machine's."""
    trust: str | None = None
    product: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    """The one product whose bundles the station loads, as their signature states it."""
    language: Literal["en", "ja"] | None = None
    """Of pictures and of the summary; by default what GAGRAD_EDGE_LANG says. Events are English."""
    device: str = "auto"
    threads: Positive | None = None
    samples: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] | None = None
    """As ``explain.samples``, which wins; from before there was that table."""
    queue: Positive = 20
    interval: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 0.5
    outbox: Positive = 100_000
    """Most events that wait for a receiver; beyond it the oldest are deleted and counted."""
    rule: RuleTable = RuleTable()
    explain: ExplainTable = ExplainTable()
    part: PartTable = PartTable()
    retention: RetentionTable = RetentionTable()
    webhook: WebhookTable | None = None
    mqtt: MqttTable | None = None
    metrics: MetricsTable | None = None
    log: LogTable = LogTable()


def read_config(path: Path) -> StationConfig:
    """Return the configuration in the file at ``path``.

    Relative paths in the file are relative to its folder. Raises SettingError, with the line, and
    MissingPackageError.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows write a mark
        config = msgspec.toml.decode(text, type=StationConfig)
        try:
            _check_values(config)
        except SettingError as error:
            number = line_of(text, tuple(str(error.where).split(".")))
            where = str(path) if number is None else f"{path}:{number}"
            raise SettingError(f"{error.where}: {error.what}", where=where, hint=_HINT) from error
        return _resolved(config, path.parent)
    except OSError as error:
        raise SettingError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ImportError as error:
        hint = 'pip install "gagrad-edge[station]"'
        raise MissingPackageError(f"a configuration needs the package tomli ({error})", hint=hint) from error
    except msgspec.ValidationError as error:
        raise _invalid(path, text, str(error)) from error
    except RecursionError as error:
        raise SettingError("its brackets are too deep", where=str(path), hint=_HINT) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        line = str(error).rpartition("at line ")[2].split(",")[0].rstrip(")")
        where = f"{path}:{line}" if line.isdigit() else str(path)
        raise SettingError(
            f"this is not TOML: {error}", where=where, hint="see examples/station.toml"
        ) from error


def checked(config: StationConfig) -> StationConfig:
    """Return ``config`` with its values checked, of which some came from elsewhere. Raises SettingError."""
    try:
        found = msgspec.convert(msgspec.to_builtins(config), StationConfig)
    except msgspec.ValidationError as error:
        what, _, _ = str(error).partition(" - at ")
        place = [str(part) for part in path_of(str(error))]
        raise SettingError(f"{what[:1].lower()}{what[1:]}", where=(place or ["watch"])[-1]) from error
    _check_values(found)
    return found


def secret(file: str | None, variable: str | None, *, what: str) -> str | None:
    """Return the secret in ``file`` or in the environment variable ``variable``; None without either.

    ``$CREDENTIALS_DIRECTORY`` in the file's name is expanded: systemd puts credentials there. Raises
    SettingError when the file or the variable does not exist.
    """
    if variable is not None:
        if value := os.environ.get(variable, "").strip():
            return value
        raise SettingError(f"the environment variable {variable} is not set", where=what)
    if file is None:
        return None
    path = Path(os.path.expandvars(file))
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the file with the secret cannot be read ({error})", where=what) from error


def _check_values(table: Table, place: tuple[str, ...] = ()) -> None:
    """Refuse NUL in a text, wherever it stands: no name of a file, host or class has one."""
    for name in table.__struct_fields__:
        value = getattr(table, name)
        if isinstance(value, Table):
            _check_values(value, (*place, name))
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and "\0" in one:
                raise SettingError("the text has a NUL character", where=".".join((*place, name)))


def _resolved(config: StationConfig, folder: Path) -> StationConfig:
    """Return ``config`` with its paths relative to the file's folder; a source with ``://`` is no path."""

    def beside(value: str | None) -> str | None:
        return value if value is None or "://" in value else str(folder / value)

    paths = {name: beside(getattr(config, name)) for name in ("bundle", "source", "output", "trust")}
    explain = config.explain
    good = beside(explain.good) if isinstance(explain.good, str) else explain.good
    explain = msgspec.structs.replace(explain, roi=beside(explain.roi), good=good)
    return msgspec.structs.replace(config, **paths, explain=explain)


def _invalid(path: Path, text: str, message: str) -> SettingError:
    what, _, _ = message.partition(" - at ")
    place = path_of(message)
    key, colon, rest = what.partition(": ")
    if colon and key in _keys(place):  # from a table's own check, which names the key
        place, what = (*place, key), rest
    unknown = what.removeprefix("Object contains unknown field `").rstrip("`") if "unknown" in what else None
    line = line_of(text, (*place, unknown) if unknown else place)
    where = str(path) if line is None else f"{path}:{line}"
    choices = _keys(place) if unknown else ()
    if place and not unknown:
        what = f"{'.'.join(map(str, place))}: {what[:1].lower()}{what[1:]}"
    elif unknown:
        table = ".".join(map(str, place))
        what = f"there is no key {unknown!r}" + (f" in [{table}]" if table else "")
    near = difflib.get_close_matches(unknown or "", choices, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}? {_HINT}" if near else _HINT
    return SettingError(what, where=where, choices=choices, hint=hint)


def _keys(place: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the table at ``place``."""
    kind: Any = StationConfig
    for name in place:
        found = {field.name: field.type for field in msgspec.structs.fields(kind)}.get(str(name))
        options = [found, *getattr(found, "__args__", ())]
        kind = next((one for one in options if isinstance(one, type) and issubclass(one, Table)), None)
        if kind is None:
            return []
    return [field.name for field in msgspec.structs.fields(kind)]
