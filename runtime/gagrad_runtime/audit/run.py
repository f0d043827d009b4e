"""An audit from its plan to the last shard; the same call continues one that was stopped."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gagrad_edge.atomic import check_writable, make_folder
from gagrad_edge.errors import OutputError
from gagrad_runtime.audit import forecast
from gagrad_runtime.audit.deaths import NOWHERE, Deaths
from gagrad_runtime.audit.local import WorkerEndedError, call, run_local
from gagrad_runtime.audit.packages import arrow
from gagrad_runtime.audit.plan import (
    PATHS,
    SHARDS,
    Plan,
    check_same,
    items_of_shard,
    missing,
    read_plan,
    write_paths,
    write_plan,
)
from gagrad_runtime.audit.sources import items_of
from gagrad_runtime.audit.trial import IMAGES, measure
from gagrad_runtime.audit.worker import Work, open_bundle
from gagrad_runtime.language import text
from gagrad_runtime.machine.lock import acquire_folder, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.audit.observing import Observer
    from gagrad_runtime.audit.plan import Asked
    from gagrad_runtime.audit.sources import Item
    from gagrad_runtime.audit.trial import Trial
    from gagrad_runtime.audit.worker import Opening

    Engine = Callable[[Work, Sequence[int], int, Callable[[int], None]], None]


@dataclass(frozen=True)
class Done:
    """How a run went."""

    images: int
    shards: int
    made: int
    """Shards that this run made; the others were there."""


def run_audit(
    folder: Path,
    sources: Sequence[str],
    asked: Asked,
    opening: Opening,
    *,
    spec: InputSpec | None = None,
    budget: float | None = None,
    workers: int = 1,
    plan_only: bool = False,
    engine: Engine = run_local,
    observer: Callable[[Asked, Opening], Observer] = open_bundle,
    shard: int | None = None,
    say: Callable[[list[str]], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Done:
    """Look at all images of ``sources`` and write the table into ``folder``; return how it went.

    ``say`` gets the plan in lines before the work begins, ``progress`` (shards done, shards). ``budget`` are
    seconds: as many of the marked images are explained as they leave time for. ``engine`` makes the shards,
    ``observer`` opens the bundle in each worker; ``shard`` are the images of a shard, by default chosen by
    the number of images and workers. Raises OutputError also where another process works on this folder, and
    what a worker raises.
    """
    arrow()
    make_folder(folder)
    with _alone(folder):
        make_folder(folder / SHARDS)
        check_writable(folder / SHARDS)
        _tidy(folder)
        plan = read_plan(folder)
        if plan is None:
            items = items_of(sources, spec)
            images, size = write_paths(folder, items, shard, workers)
            first = Work(str(folder.absolute()), asked, opening, size, observer)
            trial = _tried(first, _spread(folder, images, size))
            plan = _planned(asked, trial, sources, images, size, budget, workers)
            say(forecast.lines(trial, plan.asked, images, plan.shards, workers))
            write_plan(folder, plan)
        else:
            check_same(plan, asked, list(sources))
        todo = missing(folder, plan)
        if not plan_only and todo:
            work = Work(str(folder.absolute()), plan.asked, opening, plan.shard, observer)
            done = plan.shards - len(todo)
            before = text("{done} of {count} shards were done before", done=done, count=plan.shards)
            say([before] if done else [])
            progress(done, plan.shards)

            def count(_: int) -> None:
                nonlocal done
                done += 1
                progress(done, plan.shards)

            engine(work, todo, workers, count)
        return Done(plan.images, plan.shards, 0 if plan_only else len(todo))


def _tried(work: Work, items: Sequence[Item]) -> Trial:
    """Return the trial; an image that ends its process is left out, and a process that is killed replaced."""
    left, deaths = list(items), Deaths(len(items), workers=1)
    while True:
        try:
            trial: Trial = call(measure, work, left)
        except WorkerEndedError as error:  # noqa: PERF203 - once for each such image
            if not deaths.add(error.image) or len(left) == 1:
                raise
            if error.image != NOWHERE:
                del left[error.image]
        else:
            return trial


def _planned(
    asked: Asked,
    trial: Trial,
    sources: Sequence[str],
    images: int,
    shard: int,
    budget: float | None,
    workers: int,
) -> Plan:
    settings = dict(asked.settings)
    if trial.chunk is not None and settings.get("chunk") is None:
        settings["chunk"] = trial.chunk
    asked = replace(asked, settings=settings)
    if budget is not None:
        asked = forecast.within(budget, trial, asked, images, workers)
    return Plan(asked=asked, sources=list(sources), images=images, shards=-(-images // shard), shard=shard)


def _spread(folder: Path, images: int, shard: int) -> list[Item]:
    """Return images for the trial, evenly over all of them."""
    count = min(images, IMAGES)
    numbers = [index * images // count for index in range(count)]
    found = []
    for number in dict.fromkeys(one // shard for one in numbers):
        items = items_of_shard(folder, number, shard)
        found += [items[one % shard] for one in numbers if one // shard == number]
    return found


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder. Raises OutputError."""
    try:
        descriptor = acquire_folder(folder)
    except BlockingIOError as error:
        raise OutputError(
            "another process works on this audit",
            where=str(folder),
            hint="wait for it, or give another folder",
        ) from error
    try:
        yield
    finally:
        if descriptor is not None:
            release(descriptor)


def _tidy(folder: Path) -> None:
    """Remove what killed processes left half-written."""
    half = [folder / f".{PATHS}.part", *(folder / SHARDS).glob(".*.part")]
    for path in half:
        with contextlib.suppress(OSError):
            path.unlink()
