"""Lock files: one process at a time, with fcntl, with Windows' locks, and without either."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gagrad_edge.errors import OutputError
from gagrad_runtime.machine.lock import acquire, locked, release

if TYPE_CHECKING:
    from pathlib import Path

_HOLD = """
import sys
from pathlib import Path
from gagrad_runtime.machine.lock import acquire
acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    """The lock is between processes, and the system releases it when the holder is killed."""
    path = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError):
        acquire(path)
    holder.kill()
    holder.communicate()
    release(acquire(path))


def test_a_lock_is_free_after_its_block(tmp_path: Path) -> None:
    """``locked`` releases also when the block raises, and leaves the file."""
    path = tmp_path / ".lock"
    held: list[BlockingIOError] = []

    def fail() -> None:
        with locked(path):
            try:
                acquire(path)
            except BlockingIOError as error:
                held.append(error)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert held
    release(acquire(path))
    assert path.exists()


def test_a_lock_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    """A lock in a missing folder is an error that names the folder."""
    with pytest.raises(OutputError, match="No such file"):
        acquire(tmp_path / "missing" / ".lock")


def windows(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Block ``fcntl`` and stand in for ``msvcrt``; return the descriptors that it has locked."""
    held: set[int] = set()

    def locking(descriptor: int, kind: int, count: int) -> None:
        assert (kind, count) == (2, 1)
        if held:
            held.clear()  # free at the next attempt
            raise PermissionError(13, "Permission denied")
        held.add(descriptor)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    stand_in: Any = SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)
    return held


def test_windows_locks_are_used_where_there_is_no_fcntl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting a held lock is refused, with waiting it is tried until it is free."""
    held = windows(monkeypatch)
    first = acquire(tmp_path / ".lock")
    assert held == {first}
    with pytest.raises(BlockingIOError):
        acquire(tmp_path / ".lock")
    held.add(first)
    second = acquire(tmp_path / ".lock", wait=True)
    assert held == {second}
    release(first)
    release(second)


def test_a_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither exists nothing goes on as if it were locked."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with pytest.raises(OutputError, match="no file locks"):
        acquire(tmp_path / ".lock")
