"""A station from its configuration: its parts are opened, run, and closed in order."""

from __future__ import annotations

import contextlib
import logging
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gagrad_edge.errors import SettingError
from gagrad_runtime.answer.prediction import MAY_BE_NONE, NOTHING
from gagrad_runtime.frame.decoder import ChildDecoder
from gagrad_runtime.session.opening import open_session
from gagrad_runtime.station.condition import read_condition
from gagrad_runtime.station.ending import ended_by_signals
from gagrad_runtime.station.endpoint import Endpoint
from gagrad_runtime.station.explaining import explaining_of, files_of, good_of
from gagrad_runtime.station.health import Health
from gagrad_runtime.station.metrics import Metrics
from gagrad_runtime.station.notify import Notifier
from gagrad_runtime.station.origin import Origin
from gagrad_runtime.station.parts import Parts
from gagrad_runtime.station.rule import Rule
from gagrad_runtime.station.sinks.delivery import Delivery
from gagrad_runtime.station.sinks.mqtt import Mqtt
from gagrad_runtime.station.sinks.webhook import Webhook
from gagrad_runtime.station.sources.address import VIDEOS, check_source, is_address
from gagrad_runtime.station.sources.camera import Camera
from gagrad_runtime.station.sources.folder import Folder
from gagrad_runtime.station.sources.video import Video
from gagrad_runtime.station.store import Store
from gagrad_runtime.station.watch import Watch
from gagrad_runtime.trust import device_policy, for_product

if TYPE_CHECKING:
    from collections.abc import Callable

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.backend.base import BuildProgress
    from gagrad_runtime.session.explainer import Explainer
    from gagrad_runtime.station.config import StationConfig
    from gagrad_runtime.station.events import Event
    from gagrad_runtime.station.sinks.sink import Sink
    from gagrad_runtime.station.sources.source import Source
    from gagrad_runtime.trust import Policy

_log = logging.getLogger(__name__)


def run_station(
    config: StationConfig,
    *,
    origin: Origin | None = None,
    once: bool = False,
    polling: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
    progress: BuildProgress | None = None,
) -> dict[str, int]:
    """Run the station until SIGTERM, SIGINT or, with ``once``, until nothing new comes.

    ``origin`` says where ``config`` comes from. ``on_event`` is called with each event, after it is stored;
    ``progress`` while engines are built. Returns the number of rows by state. Raises SettingError,
    TargetError, RoiError, OutputError, BundleError, TrustError, ModelError, DeviceError, FrameError and
    MissingPackageError.
    """
    check_source(str(config.source))
    bundle, output = Path(config.bundle or ""), Path(config.output or "")
    name = station_name(config)
    sinks = sinks_of(config, name)
    notifier = Notifier()
    with contextlib.ExitStack() as stack:
        store = Store(output, sinks=[sink.name for sink in sinks], limit=config.outbox)
        stack.callback(store.close)
        # Before the bundle: both start at the same time.
        decoder = stack.enter_context(ChildDecoder())
        with (origin or Origin()).naming("explain", files_of(config)):
            session = open_session(
                bundle,
                config.device,
                threads=config.threads,
                trust=trust_of(config),
                good=good_of(config),
                remember=True,
                progress=progress,
            )
            explainer = stack.enter_context(session).explainer
            explaining = explaining_of(config, explainer)
        _log.info("explanations: %s", explaining.words)
        with (origin or Origin()).naming("rule"):
            rule = rule_of(config, explainer)
        source = source_of(
            str(config.source), store, polling=polling, spec=explainer.manifest.input, decoder=decoder
        )
        stack.callback(source.close)
        station = Watch(
            explainer,
            source,
            store,
            rule,
            explaining=explaining,
            parts=Parts(config.part.pattern),
            queue=config.queue,
            retention=config.retention,
            interval=config.interval,
            decoder=decoder,
            pictured=any(sink.table.picture for sink in sinks),
        )
        delivery = Delivery(store, sinks, name) if sinks else None
        if delivery is not None:
            stack.callback(delivery.close)
        metrics = None
        if config.metrics is not None:
            metrics = Metrics()
            metrics.observe(station, delivery)
            stack.callback(Endpoint(config.metrics, metrics, station, delivery).close)

        def publish(event: Event) -> None:
            event = replace(event, epoch=store.epoch)
            on_event(event)
            if metrics is not None:
                metrics.count(event)
            if delivery is not None:
                delivery.wake()

        health = Health(station, delivery)

        def step() -> None:
            health.step()
            notifier.progress(f"{store.kept} explanations kept, {station.waiting} waiting")
            if metrics is not None:
                metrics.progress()

        station.on_event, station.on_progress = publish, step
        stack.enter_context(ended_by_signals(station.stop))
        notifier.ready()
        try:
            station.run(once=once)
        except KeyboardInterrupt:  # a run of a graph that did not end by itself; its frame comes again
            if not station.stopping:
                raise
        notifier.stopping()
        return store.counts()


def trust_of(config: StationConfig) -> Policy | str | None:
    """Return the trust policy for the station's bundle. Raises SettingError and MissingPackageError."""
    return for_product(device_policy(config.trust), config.product) if config.product else config.trust


def station_name(config: StationConfig) -> str:
    """Return the station's name in messages: as configured, or the machine's."""
    return config.name or re.sub(r"[^\w.-]", "-", platform.node())[:64] or "station"


def sinks_of(config: StationConfig, name: str) -> list[Sink]:
    """Return a sink for each receiver in ``config``. Raises SettingError and MissingPackageError."""
    sinks: list[Sink] = []
    if config.webhook is not None:
        sinks.append(Webhook(config.webhook, name))
    if config.mqtt is not None:
        sinks.append(Mqtt(config.mqtt, name))
    return sinks


def rule_of(config: StationConfig, explainer: Explainer) -> Rule:
    """Return the rule in ``config``. Raises SettingError for what the model cannot say."""
    table, output = config.rule, explainer.manifest.output
    known = output.classes or [str(index) for index in range(output.shape[0] if output.shape else 0)]
    if output.task in MAY_BE_NONE:
        known = [*known, NOTHING]
    unknown = [name for name in table.good if name not in known]
    if table.good and output.task not in ("classification", *MAY_BE_NONE):
        raise SettingError(
            f"the model's task is {output.task}, and its answers are no classes",
            where="good",
            hint="say with `ng` what makes a part NG",
        )
    if unknown:
        raise SettingError(f"there is no class {unknown[0]!r}", where="good", choices=known)
    return Rule(
        good=tuple(table.good),
        ng=tuple(read_condition(text, output, where="ng") for text in table.ng),
        below=table.below,
        every=table.every,
        per_second=table.per_second,
        per_minute=table.per_minute,
    )


def source_of(
    source: str,
    store: Store,
    *,
    polling: bool = False,
    spec: InputSpec | None = None,
    decoder: ChildDecoder | None = None,
) -> Source:
    """Return the source that ``source`` names: an address, a video file or a folder. Raises FrameError.

    ``spec`` is the model's input, by which a folder knows what a frame is; ``decoder`` decodes its files.
    """
    if is_address(source):
        return Camera(source, first=store.last + 1)
    path = Path(source)
    if path.suffix.lower() in VIDEOS and not path.is_dir():
        newest = store.newest(f"{path.name}#")
        return Video(path, 0 if newest is None else int(newest.rpartition("#")[2]) + 1)
    return Folder(path, polling=polling, spec=spec, without=store.folder, decoder=decoder)
