"""The folder of a queue: the images with their maps, and the files by which other tools read them.

It is made beside its place and gets its name when it is complete.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import msgspec
import numpy as np

from gagrad_edge.atomic import make_folder, output_error, sync_folder, write_atomic
from gagrad_edge.errors import FrameError, OutputError
from gagrad_runtime.audit.plan import items_of_shard
from gagrad_runtime.audit.queue_file import QUEUE, REASONS, Queue, Queued
from gagrad_runtime.audit.queueing import candidates, chosen, why
from gagrad_runtime.audit.sources import content
from gagrad_runtime.audit.table import GRID
from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.placement import place, resample
from gagrad_runtime.labels import fiftyone, label_studio, writing
from gagrad_runtime.labels.lines import MARK, line, moment
from gagrad_runtime.labels.values import FORMATS, Labelled
from gagrad_runtime.report.colour import overlay
from gagrad_runtime.report.thumbnail import jpeg, small

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.audit.plan import Plan
    from gagrad_runtime.audit.queueing import Candidates

IMAGES, RELATED, LIST = "images", "related_images", "queue.csv"
COLUMNS = (
    "number", "path", "sha256", "file", "station", "part_id", "time", "verdict", "probability", "score",
)  # fmt: skip
"""Of ``queue.csv``, before ``why``."""
HEAT = "maps"
"""Folder of the maps in grey, for FiftyOne."""
_NAMES = 50
"""Distinct answers above which they are values, and no names of labels."""
_LONGEST = 60
"""Characters of a file's name that are kept."""


class Made(NamedTuple):
    """What became of a queue."""

    queue: Queue
    missing: tuple[str, ...]
    """Images that are gone, and not in it."""


def write_queue(
    folder: Path,
    plan: Plan,
    spec: InputSpec,
    classes: Collection[str],
    output: Path,
    *,
    wanted: int = 200,
    labelled: Collection[str] = (),
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Made:
    """Choose ``wanted`` images of the audit in ``folder``, and write the queue as the folder ``output``.

    ``spec`` is the input of the audit's bundle and ``classes`` what it may answer, empty where that is not
    known; ``labelled`` are hashes of images that have a label. Raises OutputError: also for a folder that is
    there already, as labels may have been given by its numbers.
    """
    if output.exists():
        raise OutputError("there is such a folder already", where=str(output), hint="give another one")
    found = candidates(folder, labelled, wanted)
    order = chosen(found, wanted)
    names = list(classes) or sorted({str(one) for one in found.table["verdict"].to_pylist()})
    names = names if classes or len(names) <= _NAMES else []
    make_folder(output.absolute().parent)
    part = output.with_name(f".{output.name}.{secrets.token_hex(4)}.part")
    images: list[Queued] = []
    missing: list[str] = []
    try:
        for number, index in enumerate(order):
            progress(number, len(order))
            queued = _written(folder, plan, spec, part, found, index, len(images) + 1)
            images += [queued] if isinstance(queued, Queued) else []
            missing += [queued] if isinstance(queued, str) else []
        queue = Queue(bundle=plan.asked.sha256, classes=names, images=images)
        _write_forms(part, output, queue)
        part.replace(output)
        sync_folder(output.absolute().parent)
    except OSError as error:
        raise output_error(output, error) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(part)
    progress(len(order), len(order))
    return Made(queue, tuple(missing))


def _written(
    folder: Path, plan: Plan, spec: InputSpec, part: Path, found: Candidates, index: int, number: int
) -> Queued | str:
    """Write image and map of one candidate, and return its entry; its path where the image is gone."""
    row = found.table.slice(index, 1).to_pylist()[0]
    path = items_of_shard(folder, row["row"] // plan.shard, plan.shard)[row["row"] % plan.shard].path
    try:
        source = content(path)
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        frame = frame_for(spec, data)
    except (OSError, FrameError):
        return str(row["path"])
    if frame.sha256 != row["sha256"]:
        return str(row["path"])
    name = f"{number:04d}-{_plain(path)}"
    make_folder(part / IMAGES)
    (part / IMAGES / name).write_bytes(data)
    drawn = ""
    if found.mapped[index]:
        cells = (found.roots[index] ** 2).reshape(GRID, GRID)
        picture = small(frame)
        shown = on_frame(cells, spec, (frame.height, frame.width), picture.shape[:2])
        drawn = f"{IMAGES}/{RELATED}/{name.replace('.', '_')}/map.jpg"
        make_folder((part / drawn).parent)
        (part / drawn).write_bytes(jpeg(overlay(picture, shown)))
        make_folder(part / HEAT)
        grey = cv2.imencode(".png", np.rint(shown * 255).astype(np.uint8))[1]
        (part / HEAT / f"{number:04d}.png").write_bytes(grey.tobytes())
    known = ("row", "path", "sha256", "station", "part_id", "time", "height", "width", "verdict", "ng")
    return Queued(
        number=number,
        file=f"{IMAGES}/{name}",
        map=drawn,
        probability=row["probability"],
        score=round(float(found.score[index]), 4),
        reasons={one: round(float(found.reasons[one][index]), 4) for one in REASONS},
        why=why(found, index),
        **{one: row[one] for one in known},
    )


def _plain(path: str) -> str:
    """Return the file's name as every tool takes it: letters, digits, one dot."""
    pure = PurePosixPath(path.replace("\\", "/"))
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", pure.stem)[-_LONGEST:] or "image"
    ending = pure.suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", pure.suffix) else ".png"
    return stem + ending


def on_frame(
    cells: NDArray[np.float32], spec: InputSpec, frame_size: tuple[int, int], size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return ``cells [16, 16]`` of what the model sees on a picture of ``size`` of the frame, 0..1."""
    placement = place(frame_size, spec)
    rows, columns = placement.on_model
    saliency = np.zeros(placement.model_size, np.float32)
    area = (rows.stop - rows.start, columns.stop - columns.start)
    saliency[rows, columns] = resample(cells / max(float(cells.max()), 1e-9), area)
    shown: NDArray[np.float32] = np.clip(resample(placement.to_frame(saliency), (size[0], size[1])), 0, 1)
    return shown


def _write_forms(part: Path, output: Path, queue: Queue) -> None:
    """Write ``queue.json`` and the files of other tools."""
    make_folder(part)

    def frames() -> Iterator[Labelled]:
        for one in queue.images:
            seconds = 0 if one.time is None else int(one.time.timestamp())
            told = {"why": "; ".join(one.why), "verdict": one.verdict, "sha256": one.sha256}
            yield Labelled(
                one.number, one.station, Path(one.file).name, one.part_id, seconds, one.height, one.width, [],
                told,
            )  # fmt: skip

    def tasks() -> Iterator[Labelled]:
        for one, frame in zip(queue.images, frames(), strict=True):
            address = label_studio.address(f"{output.name}/{one.file}")
            heat = label_studio.address(f"{output.name}/{one.map}") if one.map else address
            yield frame._replace(name=address, more={**frame.more, "map": heat})

    for form in ("cvat", "coco"):
        write_atomic(part / FORMATS[form][0], writing.write(frames, queue.classes, form))
    write_atomic(part / FORMATS["label-studio"][0], writing.write(tasks, queue.classes, "label-studio"))
    write_atomic(part / label_studio.CONFIG, [label_studio.config(queue.classes)])
    heat = output.absolute() / HEAT
    samples = [
        fiftyone.sample(
            one.file,
            verdict=one.verdict,
            confidence=one.probability,
            map_path=str(heat / f"{one.number:04d}.png") if one.map else None,
            fields={"why": "; ".join(one.why), "score": one.score, "sha256": one.sha256, "source": one.path},
        )
        for one in queue.images
    ]
    for name, data in zip(fiftyone.FILES, fiftyone.dataset(samples, queue.classes), strict=True):
        write_atomic(part / name, [data])
    write_atomic(part / LIST, _lines(queue))
    write_atomic(part / QUEUE, [msgspec.json.format(msgspec.json.encode(queue)), b"\n"])


def _lines(queue: Queue) -> Iterator[bytes]:
    yield MARK + line((*COLUMNS, "why"))
    for one in queue.images:
        values: dict[str, Any] = {name: getattr(one, name) for name in COLUMNS}
        values["time"] = "" if one.time is None else moment(one.time.timestamp())
        yield line((*values.values(), "; ".join(one.why)))
