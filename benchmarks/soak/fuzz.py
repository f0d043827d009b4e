"""5,000 odd configurations, 5,000 manifests, 1,000 command lines: each is used, or refused with an error that says why.

python -m benchmarks.soak.fuzz [COUNT]        (minutes; writes its section of docs/soak.md)
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cv2
import msgspec
import numpy as np

from benchmarks.soak.images import make_bundle
from benchmarks.soak.isolation import in_batches
from benchmarks.soak.section import write_section
from benchmarks.table import markdown
from gagrad_edge.bundle.bundle import read_bundle, write_bundle
from gagrad_edge.cli import group, run
from gagrad_edge.errors import DEFECT, GagradError
from gagrad_edge.manifest import Manifest, decode_manifest, encode_manifest
from gagrad_runtime.commands.watch import _complete
from gagrad_runtime.frame import load_frame
from gagrad_runtime.session.opening import open_session
from gagrad_runtime.station import retention
from gagrad_runtime.station.config import StationConfig, Table, read_config
from gagrad_runtime.station.endpoint import Endpoint
from gagrad_runtime.station.run import rule_of, sinks_of, station_name, trust_of
from gagrad_runtime.station.sources.address import check_source, is_address, shown
from gagrad_runtime.station.store import Store

if TYPE_CHECKING:
    from gagrad_runtime.session.explainer import Explainer

COUNT, BATCH = 5_000, 250
KINDS = ("configuration", "manifest", "command line")
COMMANDS = 5
"""A command line is tried for every fifth seed: it loads the bundle."""
_NUMBERS = (0, 1, -1, 2, 255, 65535, 65536, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**30)
_FLOATS = (0.0, -0.0, 0.5, 1.0, 1e-320, 1e-9, 1e308, -1e308, 60.0, 3600.0)
_ODD_FLOATS = (float("inf"), float("-inf"), float("nan"))
_TEXTS = (
    *(
        "",
        " ",
        ".",
        "..",
        "/",
        "~",
        "a",
        "\0",
        "a\0b",
        "\x1b[31m",
        "a\nb",
        "ä",
        "\u202e",
        "\ufeff",
        "x" * 5000,
    ),
    *(
        "http://[::1",
        "http://[::1]:99999/",
        "http://[::1]:80/",
        "http://a:port/",
        "http://a:0/",
        "https://ä.example/",
    ),
    *(
        "http://a/\0",
        "http://%/",
        "rtsp://[",
        "rtsp://a:99999/",
        "rtsp://[::1]:8554/x",
        "usb://0",
        "udp://@:5000",
        "0",
    ),
    *(
        "::1",
        "127.0.0.1",
        "localhost",
        "[::1]",
        "256.1.1.1",
        "*.png",
        "/dev/video0",
        "/etc/shadow/x",
        "$HOME",
        "${",
    ),
    *(
        "dent >= nan",
        "dent >= 1e999",
        "((((",
        "count() > 99999999999999999999",
        "scratch",
        "'",
        '"',
        "\\",
        "2099-01-01",
    ),
)


def _value(rng: np.random.Generator, depth: int = 0) -> Any:
    kind = int(rng.integers(0, 8 if depth < 3 else 6))
    pools = (_NUMBERS, (*_FLOATS, *_ODD_FLOATS), _TEXTS, _TEXTS, _TEXTS, (True, False))
    if kind < len(pools):
        return pools[kind][rng.integers(len(pools[kind]))]
    inner = [_value(rng, depth + 1) for _ in range(rng.integers(0, 4))]
    if rng.random() < 0.5:
        return inner
    if rng.random() < 0.9:
        return {f"{_TEXTS[rng.integers(len(_TEXTS))]}"[:9]: each for each in inner}
    nested: Any = 0
    for _ in range(int(rng.choice([5, 500, 20_000]))):
        nested = [nested]
    return nested


def _fitting(rng: np.random.Generator, kind: str) -> Any:
    """Return an odd value, mostly of a type that ``kind`` names."""
    if rng.random() < 0.15:
        return _value(rng)
    fitting = [
        pool
        for name, pool in (
            ("int", _NUMBERS),
            ("float", (*_FLOATS, *_ODD_FLOATS)),
            ("str", _TEXTS),
            ("bool", (True, False)),
        )
        if name in kind
    ]
    pool = fitting[rng.integers(len(fitting))] if fitting else _TEXTS
    value = pool[rng.integers(len(pool))]
    return [value] if "list" in kind else value


def toml_of(value: Any) -> str:
    """Return ``value`` as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return (
            '"'
            + "".join(
                char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08X}" for char in value
            )
            + '"'
        )
    if isinstance(value, list):
        opened = 0
        while isinstance(value, list) and len(value) == 1:
            value, opened = value[0], opened + 1
        inner = ", ".join(map(toml_of, value)) if isinstance(value, list) else toml_of(value)
        return "[" * opened + (f"[{inner}]" if isinstance(value, list) else inner) + "]" * opened
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_of(key)} = {toml_of(each)}" for key, each in value.items()) + "}"
    return repr(value)


def _tables(kind: Any = StationConfig, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the keys of each table of a configuration with their types, by the table's place."""
    found: dict[tuple[str, ...], dict[str, Any]] = {place: {}}
    for field in msgspec.structs.fields(kind):
        inner = [one for one in (field.type, *getattr(field.type, "__args__", ())) if isinstance(one, type)]
        table = next((one for one in inner if issubclass(one, Table)), None)
        if table is None:
            found[place][field.name] = field.type
        else:
            found |= _tables(table, (*place, field.name))
    return found


_GOOD = {
    "url": "http://127.0.0.1:1/",
    "host": "127.0.0.1",
    "bundle": "b.gagrad",
    "source": "in",
    "output": "out",
    "port": 18830,
}


def config_of(seed: int) -> str:
    """Return the text of an odd configuration."""
    rng = np.random.default_rng(seed)
    lines = []
    for place, kinds in _tables().items():
        if place and rng.random() < 0.6:
            continue
        if place:
            lines.append(f"[{'.'.join(place)}]")
        for key in kinds:
            if key in _GOOD and rng.random() < 0.85:
                lines.append(f"{key} = {toml_of(_GOOD[key])}")
            elif rng.random() < 0.08:
                lines.append(f"{key} = {toml_of(_fitting(rng, str(kinds[key])))}")
    text = "\n".join(lines)
    if rng.random() < 0.1:
        at = int(rng.integers(0, len(text) + 1))
        text = text[:at] + str(rng.choice(["=", "[", "\0", '"', "[[a]]", "\ud7ff", "'''"])) + text[at:]
    return text


def try_config(seed: int, folder: Path, explainer: Explainer) -> str:
    """Use a configuration as ``watch`` does; return ``used`` or ``refused``. Any other error is a defect."""
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "station.toml"
    path.write_text(config_of(seed), encoding="utf-8", errors="replace")
    try:
        config = _complete(read_config(path))
        check_source(str(config.source))
        if is_address(str(config.source)):
            shown(str(config.source))
        sinks_of(config, station_name(config))
        trust_of(config)
        rule = rule_of(config, explainer)
        for now in (0.0, 1.0):
            rule.wants(["ok"], 0.5, now)
        with Store(folder / "out", sinks=["a"], limit=config.outbox) as store:
            retention.apply(store, config.retention)
            retention.apply_to_quarantine(store, config.retention)
        if config.metrics is not None:
            Endpoint(config.metrics, None, None).close()  # type: ignore[arg-type]
    except GagradError as error:
        str(error)
        return "refused"
    return "used"


def manifest_of(seed: int, good: bytes) -> bytes:
    """Return the bytes of a manifest with some values that are at or beyond their limits."""
    rng = np.random.default_rng(seed)
    content = json.loads(good)
    for _ in range(int(rng.integers(1, 4))):
        node: Any = content
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = keys[rng.integers(len(keys))]
            inner = node[key]
            if isinstance(inner, (dict, list)) and inner and rng.random() < 0.9:
                node = inner
                continue
            break
        if node is content and key in ("format", "abi"):
            continue
        kind = type(node[key]).__name__
        node[key] = _fitting(rng, "int float" if kind == "float" else kind)
    with contextlib.suppress(msgspec.ValidationError, RecursionError, OverflowError):
        # In the form that a forger would give it: what else is refused for its form alone.
        return encode_manifest(msgspec.convert(content, Manifest))
    try:
        text = json.dumps(content, ensure_ascii=bool(rng.integers(2)))
    except RecursionError:
        text = '{"format": ' + "[" * 20_000 + "]" * 20_000 + "}"
    return text.encode("utf-8", "surrogatepass")


def try_manifest(seed: int, folder: Path, bundle: Path) -> str:
    """Open a bundle with an odd manifest; return ``used`` or ``refused``. Any other error is a defect."""
    good = read_bundle(bundle)
    members = {name: bytes(data) for name, data in good.members.items() if name != "manifest.json"}
    try:
        manifest = decode_manifest(manifest_of(seed, good.manifest_bytes), where="manifest.json")
        path = folder / "odd.gagrad"
        write_bundle(path, manifest, members)
        frame = load_frame(np.zeros((24, 32, 3), np.uint8))
        with open_session(path, "cpu", threads=1, trial=False) as session:
            session.explainer.explain(frame, samples=2, chunk=2)
    except GagradError as error:
        str(error)
        return "refused"
    return "used"


def command_of(seed: int, bundle: Path, folder: Path) -> list[str]:
    """Return a command line with odd values of right options."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(["explain", "predict", "watch", "inspect", "verify"]))
    words = [name, str(bundle)]
    if name in ("explain", "predict"):
        words.append(str(folder / "frame.png"))
    if name == "watch":
        words += [str(folder / "in"), "--check", "-o", str(folder / "results")]
    if name == "explain":
        words += ["-o", str(folder / "results")]
    command = group.commands.get(name) or group.get_command(click.Context(group), name)
    for option in command.params if command is not None else ():
        if (
            not isinstance(option, click.Option)
            or option.name in _LEFT_OUT
            or option.is_flag
            or rng.random() > 0.15
        ):
            continue
        value = _fitting(rng, option.type.name.replace("text", "str"))
        text = toml_of(value).strip('"').replace("\0", "")
        if option.name == "samples":
            text = str(rng.choice(["2", "3", "0", "-1", "nan", "inf"]))
        words += [option.opts[0], text]
    return words


_LEFT_OUT = ("output", "config", "file", "trust", "key", "device", "threads", "chunk")
"""Options that are no settings, or whose odd values are folders to write to."""


def try_command(seed: int, folder: Path, bundle: Path) -> str:
    """Run a command line; return ``used`` or ``refused``. Exit code 70 is a defect."""
    (folder / "in").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "frame.png"), np.zeros((24, 32, 3), np.uint8))
    said, here = io.StringIO(), Path.cwd()
    os.chdir(folder)  # an odd value may name a file to write
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = run(command_of(seed, bundle, folder))
    finally:
        os.chdir(here)
    if code == DEFECT:
        raise RuntimeError(said.getvalue())
    return "refused" if code else "used"


def attempt(first: int, count: int, bundle: str) -> Counter[str]:
    """Try ``count`` of each kind; return outcomes as ``kind: outcome``."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, open_session(bundle, "cpu", threads=1) as session:
        folder = Path(name)
        for seed in range(first, first + count):
            for kind in KINDS if seed % COMMANDS == 0 else KINDS[:2]:
                try:
                    if kind == "configuration":
                        outcome = try_config(seed, folder, session.explainer)
                    else:
                        one = try_manifest if kind == "manifest" else try_command
                        outcome = one(seed, folder, Path(bundle))
                except Exception as error:  # noqa: BLE001 - any other class is the finding
                    outcome = "traceback"
                    print(f"\n{kind} {seed}: {error!r}", flush=True)
                found[f"{kind}: {outcome}"] += 1
    return found


def main() -> int:
    """Run, write the section, and return 1 if there was a traceback or a process died."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as folder:
        bundle = str(make_bundle(Path(folder)))
        tally = in_batches(attempt, total, BATCH, bundle)
    outcomes = ("used", "refused", "traceback")
    rows = [[kind, *(tally.outcomes[f"{kind}: {outcome}"] for outcome in outcomes)] for kind in KINDS]
    text = f"""Configurations of a station have odd values under right keys: numbers at and beyond their limits, inf and nan, NUL, escape sequences, addresses that are none, brackets 20,000 deep, broken TOML. Each goes through all that `watch`
does before the first image: rule, receivers, retention, metrics. Manifests of a bundle have numbers at and beyond their limits, other types and odd texts; each bundle is opened and explains a frame. Command lines have such values under the options of `explain`, `predict`, `watch --check`, `inspect` and `verify`.

{markdown(["what", *outcomes], rows)}
Processes that died: {len(tally.deaths)} of {-(-total // BATCH)}. Peak memory of a process: {tally.peak / 2**20:.0f} MB.
"""
    write_section(
        "Odd settings and manifests", "python -m benchmarks.soak.fuzz", text, "msgspec", "onnxruntime"
    )
    bad = sum(count for name, count in tally.outcomes.items() if name.endswith("traceback"))
    return int(bool(bad or tally.deaths))


if __name__ == "__main__":
    sys.exit(main())
