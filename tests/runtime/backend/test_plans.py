"""Kept engines: only what this device wrote is loaded, and one process builds."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from gagrad_runtime.backend import plans as plans_module
from gagrad_runtime.backend.plans import Plans, plan_key
from gagrad_runtime.backend.tensorrt.builder import BuildOptions

KEY = plan_key(b"graph", "tensorrt", "device", BuildOptions(rows=4))


def refuse() -> bytes:
    raise AssertionError("built again")


def test_a_plan_is_built_once_and_kept_for_the_user_alone(tmp_path: Path) -> None:
    """A plan is built once and kept in a folder that only its user may read."""
    folder = tmp_path / "plans"
    assert Plans(folder).get(KEY, lambda: b"plan") == b"plan"
    assert Plans(folder).get(KEY, refuse) == b"plan"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "secret").stat().st_mode & 0o077 == 0
    assert not list(folder.glob(".secret*"))


@pytest.mark.parametrize(
    "other",
    [
        (b"other graph", "tensorrt", "device", BuildOptions(rows=4)),
        (b"graph", "tensorrt-rtx", "device", BuildOptions(rows=4)),
        (b"graph", "tensorrt", "other driver", BuildOptions(rows=4)),
        (b"graph", "tensorrt", "device", BuildOptions(rows=5)),
        (b"graph", "tensorrt", "device", BuildOptions(rows=4, tf32=True)),
        (b"graph", "tensorrt", "device", BuildOptions(rows=4, capability="SM86")),
    ],
)
def test_each_thing_that_a_plan_depends_on_makes_another_key(other: tuple[bytes, object]) -> None:
    """Another graph, library, device or build option gives another key."""
    assert plan_key(*other) != KEY


@pytest.mark.parametrize("position", [0, 25, 60, -1])
def test_a_damaged_plan_is_built_again(
    tmp_path: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A plan with one changed bit is built again, with a warning, and kept."""
    plans = Plans(tmp_path)
    plans.write(KEY, b"plan of a hundred bytes" * 4)
    (file,) = tmp_path.glob("*.plan")
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert plans.get(KEY, lambda: b"new") == b"new"
    assert "damaged or from another device" in caplog.text
    assert Plans(tmp_path).get(KEY, refuse) == b"new"


@pytest.mark.parametrize("length", [0, 5, 30, 52])
def test_a_truncated_plan_is_built_again(tmp_path: Path, length: int) -> None:
    """A plan that was cut at any length is built again."""
    plans = Plans(tmp_path)
    plans.write(KEY, b"plan")
    (file,) = tmp_path.glob("*.plan")
    os.truncate(file, length)
    assert plans.get(KEY, lambda: b"new") == b"new"


def test_a_plan_of_another_device_or_name_is_not_loaded(tmp_path: Path) -> None:
    """Also not one that this device wrote for something else."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    Plans(theirs).write(KEY, b"foreign")
    plans = Plans(ours)
    shutil.copy(theirs / f"{KEY}.plan", ours)
    assert plans.read(KEY) is None
    plans.write("a", b"plan of a")
    (ours / "a.plan").rename(ours / "b.plan")
    assert plans.read("b") is None


def test_a_folder_where_others_write_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that other users may write keeps no plans; the plan is built all the same."""
    tmp_path.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        plans = Plans(tmp_path)
    assert "others can write there" in caplog.text
    assert plans.get(KEY, lambda: b"plan") == b"plan"
    assert not list(tmp_path.iterdir())


def test_of_two_at_once_one_builds(tmp_path: Path) -> None:
    """Of several threads that need the same plan one builds it, and all get it."""
    built: list[int] = []

    def build() -> bytes:
        built.append(1)
        time.sleep(0.2)
        return b"plan"

    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(Plans(tmp_path).get(KEY, build))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"plan"] * 4
    assert len(built) == 1


def test_what_interrupts_a_build_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C during a build leaves no file and no lock behind."""

    def interrupted() -> bytes:
        raise KeyboardInterrupt

    plans = Plans(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        plans.get(KEY, interrupted)
    assert not list(tmp_path.glob("*.plan*"))
    assert plans.get(KEY, lambda: b"plan") == b"plan"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_keeps_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine is used all the same."""
    from gagrad_edge import atomic

    plans = Plans(tmp_path)
    monkeypatch.setattr(
        atomic, "_new_file", lambda *_: (os.open("/dev/full", os.O_WRONLY), tmp_path / "none")
    )
    with caplog.at_level(logging.WARNING):
        assert plans.get(KEY, lambda: b"plan") == b"plan"
    assert "disk is full" in caplog.text
    assert not list(tmp_path.glob("*.plan"))


def test_no_home_no_folder() -> None:
    """Without a folder a plan is built and not kept."""
    assert Plans(None).get(KEY, lambda: b"plan") == b"plan"


def test_plans_in_a_read_only_folder_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a root file system that is read-only a start builds nothing again, and takes no lock."""
    Plans(tmp_path / "plans").get(KEY, lambda: b"plan")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    before = sorted(path.name for path in (tmp_path / "plans").iterdir())
    for name in ("link", "unlink"):
        monkeypatch.setattr(os, name, read_only)
    monkeypatch.setattr(plans_module, "locked", read_only)
    assert Plans(tmp_path / "plans").get(KEY, refuse) == b"plan"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert Plans(tmp_path / "plans").get("other", lambda: b"other") == b"other"
    assert before == [KEY + ".lock", KEY + ".plan", "secret"]
