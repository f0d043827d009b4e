"""Files are the old one or the whole new one."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gagrad_edge.atomic import make_folder, write_atomic
from gagrad_edge.errors import OutputError


def test_writes_the_chunks(tmp_path: Path) -> None:
    """write_atomic joins the chunks in one file and leaves no other file."""
    write_atomic(tmp_path / "a", [b"one ", memoryview(b"two")])
    assert (tmp_path / "a").read_bytes() == b"one two"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_leaves_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    """Ctrl-C or a full disk in the middle: the old file stands, nothing lies beside it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def chunks() -> Iterator[bytes]:
        yield b"new"
        raise failure

    with pytest.raises((KeyboardInterrupt, OutputError)):
        write_atomic(path, chunks())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk raises OutputError with a hint, and leaves no file."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="space") as caught:
        write_atomic(tmp_path / "a", [b"x"])
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    """A file where a folder is wanted raises OutputError with its path."""
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputError, match="out"):
        make_folder(tmp_path / "out")


def test_files_get_the_umask_from_every_thread(tmp_path: Path) -> None:
    """Under umask 077 no file of any thread is readable by others, at no time."""
    seen: set[int] = set()

    def write(number: int) -> None:
        for turn in range(100):
            path = tmp_path / f"{number}-{turn}"
            write_atomic(path, [b"x"])
            seen.add(path.stat().st_mode & 0o777)

    before = os.umask(0o077)
    try:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.umask(before)
    assert seen == {0o600}
    assert len(list(tmp_path.iterdir())) == 400
