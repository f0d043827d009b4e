"""The engine ``ray``: the same table as the engine ``local``, whoever dies; and what is refused."""

from __future__ import annotations

import random
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")

import pyarrow.parquet as pq

import gagrad_edge
from gagrad_edge.errors import DeviceError, MissingPackageError, OutputError, SettingError
from gagrad_runtime.audit.auditing import audit_images
from gagrad_runtime.audit.cluster import _check_node, _marking, _read_mark, run_ray
from gagrad_runtime.audit.deaths import DEATHS, NOWHERE, Deaths
from gagrad_runtime.audit.plan import Asked
from gagrad_runtime.audit.rows import GIVEN_UP
from gagrad_runtime.audit.run import run_audit
from gagrad_runtime.audit.worker import Opening, Work
from tests.runtime.audit.killing import Cluster, kill_at_random
from tests.runtime.audit.synthetic import Synthetic, open_synthetic, write_list

needs_ray = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("ray") is None,
    reason="needs the extra ray, and /proc",
)
ASKED = Asked(bundle="none", sha256=Synthetic.sha256)


def audit(folder: Path, listed: Path, **given: Any) -> dict[str, bytes]:
    """Run an audit, and return the files of its table by name."""
    run_audit(folder, [str(listed)], ASKED, Opening(), workers=2, observer=open_synthetic, shard=20, **given)
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").iterdir())}


@needs_ray
@pytest.mark.long
def test_ray_makes_the_table_of_the_pool(tmp_path: Path) -> None:
    """File for file, and an image at which workers die is left out by both."""
    listed = write_list(tmp_path, 70, "image")
    listed.write_text(listed.read_text() + "deadly.png\n")
    made = audit(tmp_path / "ray", listed, engine=run_ray)
    assert made == audit(tmp_path / "local", listed)
    rows = pq.read_table(tmp_path / "ray" / "shards", columns=["row", "error"]).to_pylist()
    assert [row["row"] for row in rows] == list(range(71))
    assert rows[70]["error"] == GIVEN_UP


@needs_ray
@pytest.mark.long
def test_kills_on_a_cluster_leave_the_same_table(tmp_path: Path) -> None:
    """kill −9 of worker, driver, node and cluster at random: the undisturbed table, no row twice."""
    listed = write_list(tmp_path, 1500)
    cluster = Cluster()
    try:
        killed = kill_at_random(cluster, tmp_path / "rough", listed, 4, random.Random(2))  # noqa: S311
    finally:
        cluster.close()
    assert killed
    rough = {path.name: path.read_bytes() for path in sorted((tmp_path / "rough" / "shards").iterdir())}
    assert rough == audit(tmp_path / "calm", listed)
    rows = pq.read_table(tmp_path / "rough" / "shards", columns=["row"])["row"].to_pylist()
    assert rows == list(range(1500))


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address and says what to look at."""
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    work = Work(str(tmp_path), ASKED, Opening(), 20, open_synthetic)
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):
        with pytest.raises(DeviceError, match="address: Ray cannot be reached"):
            run_ray(work, [0], 1, address=address)


def test_ray_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray the error has the line that installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"gagrad-edge\[cpu,audit,ray\]"):
        run_ray(Work(str(tmp_path), ASKED, Opening(), 20, open_synthetic), [0], 1)


def test_an_address_is_of_ray(tmp_path: Path) -> None:
    """An address without the engine would be ignored: it is refused before anything is read."""
    with pytest.raises(SettingError, match="only Ray has an address"):
        audit_images(tmp_path / "none.gagrad", [str(tmp_path)], tmp_path / "audit", address="auto")
    with pytest.raises(SettingError, match="there is no engine 'dask'"):
        audit_images(tmp_path / "none.gagrad", [str(tmp_path)], tmp_path / "audit", engine="dask")


def test_a_node_needs_our_version_and_our_disk(tmp_path: Path) -> None:
    """Another version would make other rows, and a table on the node's own disk would be lost."""
    with pytest.raises(DeviceError, match=r"runs there, and 0\.0\.1 here"):
        _check_node("0.0.1", tmp_path)
    with pytest.raises(OutputError, match="the audit is not seen on the node"):
        _check_node(gagrad_edge.__version__, tmp_path)


def test_the_image_of_a_dead_worker_is_known(tmp_path: Path) -> None:
    """What a worker wrote before it died is read once; of one that was at no image, or is done, nothing."""
    mark = tmp_path / "mark"
    with _marking(mark) as begin:
        begin(123)
        begin(45)
        dead = mark.read_bytes()
    mark.write_bytes(dead)
    assert _read_mark(mark) == 45
    assert _read_mark(mark) == NOWHERE
    with _marking(mark) as begin:
        begin(7)
    assert not mark.exists()


def test_deaths_are_counted_by_image() -> None:
    """The third death gives an image up, in its shard; deaths at none end the run, unless one is done."""
    deaths = Deaths(shard=10, workers=2)
    assert all(deaths.add(13) for _ in range(DEATHS - 1))
    assert deaths.given_up(1) == frozenset()
    assert deaths.add(13)
    assert deaths.given_up(1) == {13}
    assert deaths.given_up(0) == frozenset()
    assert all(deaths.add(NOWHERE) for _ in range(2 * DEATHS))
    deaths.shard_done()
    assert all(deaths.add(NOWHERE) for _ in range(2 * DEATHS))
    assert not deaths.add(NOWHERE)
