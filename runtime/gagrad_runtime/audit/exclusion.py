"""What a person called bad, as files for the next training: which images to leave out, and where to paint.

``excluded.csv`` has a row for each member of a bad cluster, of any answer. ``masks/`` has the cluster's place
as a picture, 255 on 0, once for each size of frame; the row names it.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import InputError, OutputError
from gagrad_runtime.audit.decisions import FINDINGS
from gagrad_runtime.audit.intervention import pixels
from gagrad_runtime.audit.packages import arrow, package, parquet
from gagrad_runtime.audit.reading import read
from gagrad_runtime.audit.worker import encoded
from gagrad_runtime.frame.placement import place

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gagrad_edge.input import InputSpec
    from gagrad_runtime.audit.decisions import Cluster, Findings

MEMBERS, LIST, MASKS = "clusters.parquet", "excluded.csv", "masks"
COLUMNS = ("path", "sha256", "cluster", "place", "verdict", "mask")
_MASK = "cluster-*-*x*.png"


def write_members(folder: Path, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
    """Write ``clusters.parquet`` into the audit's ``folder``: each explained row's cluster, -1 for none.

    Raises OutputError.
    """
    pa = arrow()
    table = pa.table({"row": pa.array(rows, pa.int64()), "cluster": pa.array(labels, pa.int32())})
    write_atomic(folder / MEMBERS, [encoded(table)])


def write_exclusion(folder: Path, findings: Findings, output: Path) -> int:
    """Write list and masks of the bad clusters of the audit in ``folder`` into ``output``.

    Returns the number of images. Masks of clusters that are bad no more are removed. Raises InputError where
    the clusters are not those of ``findings``, and OutputError.
    """
    if output.is_dir() and not (output / LIST).is_file() and any(output.iterdir()):
        raise OutputError(
            "the folder holds other files, among which a list and masks would be taken for images",
            where=str(output),
            hint="name a new folder, or one that an earlier list is in",
        )
    bad = findings.called("bad")
    members, equal = _members(folder, findings), package("pyarrow.compute").equal
    make_folder(output / MASKS)
    written: set[str] = set()
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(COLUMNS)
    count = 0
    for one in sorted(bad, key=lambda cluster: cluster.number):
        for row in members.filter(equal(members["cluster"], one.number)).to_pylist():
            mask = f"cluster-{one.number}-{row['width']}x{row['height']}.png"
            if mask not in written:
                data = mask_of(one, findings.input, (row["height"], row["width"]))
                write_atomic(output / MASKS / mask, [data])
                written.add(mask)
            lines.writerow(
                (row["path"], row["sha256"], one.number, one.where, row["verdict"], f"{MASKS}/{mask}")
            )
            count += 1
    write_atomic(output / LIST, [stream.getvalue().encode()])
    for path in (output / MASKS).glob(_MASK):
        if path.name not in written:
            path.unlink(missing_ok=True)
    return count


def mask_of(cluster: Cluster, spec: InputSpec, frame_size: tuple[int, int]) -> bytes:
    """Return the place of ``cluster`` on a frame of ``frame_size`` (height, width) as a PNG, 255 on 0.

    As wide as it was covered for the proof.
    """
    placement = place(frame_size, spec)
    mask = np.zeros(frame_size, np.uint8)
    for cover in pixels(cluster.place, placement):
        left, top, right, bottom = placement.box_to_frame(tuple(map(float, cover)))  # type: ignore[arg-type]
        mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 255
    return bytes(cv2.imencode(".png", mask)[1])


def _members(folder: Path, findings: Findings) -> Any:
    """Return the explained rows of the audit with their cluster, in the order of the plan."""
    try:
        listed = parquet().read_table(folder / MEMBERS)
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        raise InputError(
            "it is not known which images belong to the clusters",
            where=str(folder / MEMBERS),
            hint="gagrad-edge clusters AUDIT writes the file, and keeps what was decided",
        ) from error
    counted = np.bincount(listed["cluster"].to_numpy() + 1)[1:]
    for one in findings.clusters:
        if one.number >= len(counted) or counted[one.number] != one.images:
            raise InputError(
                f"cluster {one.number} has {one.images} images, and another number in {MEMBERS}",
                where=str(folder / FINDINGS),
                hint="gagrad-edge clusters AUDIT writes both again, and keeps what was decided",
            )
    table = read(folder, ["row", "path", "sha256", "height", "width", "verdict"], "explained")
    return table.join(listed, "row", join_type="inner").sort_by("row")
