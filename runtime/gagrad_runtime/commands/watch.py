"""``gagrad-edge watch``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from gagrad_edge.errors import SettingError
from gagrad_runtime.commands.options import device_options, json_option, trust_option


@click.command(short_help="Explain the images of a folder as they come, day and night.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to keep the results in."
)
@click.option("--good", multiple=True, help="A class that needs no explanation; give it for each.")
@click.option("--below", type=click.FloatRange(0, 1), help="Explain good ones too below this probability.")
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="Explain every N-th of them."
)
@click.option("--per-minute", type=click.FloatRange(min=0.01), help="Explain at most so many in a minute.")
@click.option(
    "--queue", type=click.IntRange(1), default=20, show_default=True, help="Frames that may wait; then the "
    "oldest goes without."
)  # fmt: skip
@click.option("--keep", type=click.IntRange(1), help="Explanations to keep; the oldest go.")
@click.option("--max-mb", type=click.FloatRange(min=1), help="Megabytes that they may take; the oldest go.")
@click.option("--samples", type=int, help="Perturbed copies per image.  [default: the bundle's]")
@click.option(
    "--interval",
    type=click.FloatRange(0.01, 60),
    default=0.5,
    show_default=True,
    help="Seconds from look to look.",
)
@click.option("--once", is_flag=True, help="Stop when nothing new comes.")
@device_options
@trust_option
@json_option
def watch(
    bundle: Path,
    source: Path,
    output: Path,
    good: tuple[str, ...],
    below: float | None,
    every: int,
    per_minute: float | None,
    queue: int,
    keep: int | None,
    max_mb: float | None,
    samples: int | None,
    interval: float,
    once: bool,
    device: str,
    threads: int | None,
    trust: Path | None,
    as_json: bool,
) -> None:
    """Give each new image in the folder SOURCE its verdict at once, and its explanation when there is time.

    An image counts when its size and time stay the same over two looks. Results survive being killed and are
    kept in one folder by one process; files that are no images are copied to `quarantine/` there with the
    reason. With --json each verdict and each explanation is a line on stdout, printed after it was stored.
    Ctrl-C or SIGTERM ends it cleanly.

    Example: gagrad-edge watch part.gagrad /mnt/camera -o results/ --good ok --keep 10000
    """
    import msgspec  # noqa: PLC0415 - --help stays fast

    from gagrad_runtime.loading import load  # noqa: PLC0415
    from gagrad_runtime.station.folder import Folder  # noqa: PLC0415
    from gagrad_runtime.station.rule import Rule  # noqa: PLC0415
    from gagrad_runtime.station.store import Store  # noqa: PLC0415
    from gagrad_runtime.station.watch import Watch  # noqa: PLC0415

    if output.resolve() == source.resolve():
        raise SettingError(
            "the results would be taken for new images", where="-o", hint="give another folder"
        )

    def tell(event: dict[str, object]) -> None:
        if as_json:
            click.echo(msgspec.json.encode(event).decode())

    with Store(output) as store, load(bundle, device=device, threads=threads, trust=trust) as explainer:
        known = explainer.manifest.output.classes
        unknown = [name for name in good if name not in known]
        if unknown:
            raise SettingError(f"there is no class {unknown[0]!r}", where="--good", choices=known)
        station = Watch(
            explainer,
            Folder(source),
            store,
            Rule(good=good, below=below, every=every, per_minute=per_minute),
            settings={} if samples is None else {"samples": samples},
            queue=queue,
            keep=keep,
            size=None if max_mb is None else round(max_mb * 1e6),
            interval=interval,
            told=tell,
        )

        def stop(*_: Any) -> None:
            station.stopping = True

        before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            station.run(once=once)
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
        counts = store.counts()
    said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "nothing came"
    click.echo(f"{output}: {said}", err=True)
