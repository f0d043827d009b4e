"""An audit under faults: whoever dies, the table is that of an undisturbed run."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")

import pyarrow.parquet as pq

from gagrad_edge.errors import DeviceError, InputError, OutputError, SettingError
from gagrad_runtime.audit.plan import Asked, read_plan
from gagrad_runtime.audit.rows import GIVEN_UP
from gagrad_runtime.audit.run import run_audit
from gagrad_runtime.audit.worker import Opening
from tests.runtime.audit import synthetic
from tests.runtime.audit.killing import Local, kill_at_random
from tests.runtime.audit.synthetic import Synthetic, open_synthetic, write_list

ASKED = Asked(bundle="none", sha256=Synthetic.sha256)


def audit(folder: Path, listed: Path, **given: Any) -> Any:
    options = {"workers": 2, "observer": open_synthetic, "shard": 20, **given}
    return run_audit(folder, [str(listed)], options.pop("asked", ASKED), Opening(), **options)


def shards(folder: Path) -> dict[str, bytes]:
    """Return the files of the table by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").iterdir())}


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "shards").to_pylist()
    return found


@pytest.mark.slow
def test_all_are_predicted_and_a_sample_explained(tmp_path: Path) -> None:
    """One row an image, in order; broken files are rows with an error; all NG are explained, few others."""
    said: list[str] = []
    done = audit(tmp_path / "audit", write_list(tmp_path, 330, "image"), say=said.extend)
    found = rows(tmp_path / "audit")
    assert (done.images, done.shards, done.made) == (330, 17, 17)
    assert [row["row"] for row in found] == list(range(330))
    broken = [row for row in found if row["error"]]
    assert broken
    assert all(row["error"] == "the file is no image" and row["verdict"] is None for row in broken)
    assert all((row["explained"] == "ng") == bool(row["ng"]) for row in found if row["explained"] != "sample")
    assert all((row["map"] is not None) == bool(row["explained"]) for row in found)
    assert "330 images in 17 shards, 2 workers" in said[0]


@pytest.mark.slow
def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    """A shard that exists is done; one that is gone is made again, and the same."""
    listed, folder = write_list(tmp_path, 60, "image"), tmp_path / "audit"
    audit(folder, listed)
    before = shards(folder)
    assert audit(folder, listed).made == 0
    (folder / "shards" / "000001.parquet").unlink()
    assert audit(folder, listed).made == 1
    assert shards(folder) == before


@pytest.mark.slow
def test_an_image_that_kills_becomes_a_row(tmp_path: Path) -> None:
    """Neither the trial nor the run ends with it: it is left out after its third victim."""
    listed = tmp_path / "list.txt"
    listed.write_text("a.png\ndeadly.png\nb.png\n")
    audit(tmp_path / "audit", listed, workers=1)
    assert [row["error"] for row in rows(tmp_path / "audit")] == ["", GIVEN_UP, ""]


@pytest.mark.long
def test_a_bundle_that_kills_ends_the_run(tmp_path: Path) -> None:
    """It is no image's fault, so the run ends with an error instead of going on for ever."""
    listed, folder = write_list(tmp_path, 30, "image"), tmp_path / "audit"
    audit(folder, listed, plan_only=True)
    with pytest.raises(DeviceError, match="the processes that look at the images end"):
        audit(folder, listed, observer=synthetic.dying)
    assert shards(folder) == {}


def test_another_question_needs_another_folder(tmp_path: Path) -> None:
    """A table of two questions would be none; what differs is named."""
    listed, folder = write_list(tmp_path, 30, "image"), tmp_path / "audit"
    audit(folder, listed, plan_only=True)
    with pytest.raises(SettingError, match="another one_in"):
        audit(folder, listed, asked=Asked(bundle="none", sha256=Synthetic.sha256, one_in=7))


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second driver on the same folder is refused."""
    from gagrad_runtime.machine.lock import acquire_folder, release

    (tmp_path / "audit").mkdir()
    held = acquire_folder(tmp_path / "audit")
    assert held is not None
    with pytest.raises(OutputError, match="another process works on this audit"):
        audit(tmp_path / "audit", write_list(tmp_path, 3))
    release(held)


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    """An empty folder makes no plan, so that the next run begins anew."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        audit(tmp_path / "audit", tmp_path / "empty")
    assert read_plan(tmp_path / "audit") is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_kills_leave_the_same_table(tmp_path: Path) -> None:
    """kill −9 of worker, driver and group at random: file for file the undisturbed table, no row twice."""
    listed = write_list(tmp_path, 900)
    audit(tmp_path / "calm", listed)
    killed = kill_at_random(Local(), tmp_path / "rough", listed, 3, random.Random(1))  # noqa: S311
    assert killed
    assert shards(tmp_path / "rough") == shards(tmp_path / "calm")
    assert [row["row"] for row in rows(tmp_path / "rough")] == list(range(900))
