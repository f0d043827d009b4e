"""A folder as a source: no half file comes out, and a closed one at once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.errors import FrameError, SettingError
from gagrad_edge.input import InputSpec
from gagrad_runtime.frame.decoding import ENDINGS, FORMATS
from gagrad_runtime.jobs.folders import with_images
from gagrad_runtime.station.sources import closed_files
from gagrad_runtime.station.sources import folder as folder_module
from gagrad_runtime.station.sources.address import check_source
from gagrad_runtime.station.sources.closed_files import is_local
from gagrad_runtime.station.sources.folder import Folder
from tests.channels import lights, tiff

if TYPE_CHECKING:
    from collections.abc import Iterator


def names(folder: Folder) -> list[str]:
    return [arrival.name for arrival in folder.poll()]


def soon(folder: Folder, seconds: float = 60.0) -> list[str]:
    """Look until something comes, or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := names(folder):
            return found
        folder.wait(0.05)
    return []


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """Return a folder of which the system tells; all names are looked at after an hour only."""
    tmp_path = tmp_path / "in"
    tmp_path.mkdir()
    monkeypatch.setattr(folder_module, "is_local", lambda _: True)
    monkeypatch.setattr(folder_module, "SWEEP", 3600.0)
    folder = Folder(tmp_path)
    if folder._closed is None:
        pytest.skip("this system tells nothing of files")
    folder.poll()
    yield folder
    folder.close()


def test_a_file_that_grows_waits(tmp_path: Path) -> None:
    """Polling gives a file once, when its size has stopped changing; hidden ones never, empty ones later."""
    folder = Folder(tmp_path, polling=True)
    file = tmp_path / "a.png"
    file.write_bytes(b"1")
    assert names(folder) == []
    file.write_bytes(b"12")
    assert names(folder) == []
    assert names(folder) == ["a.png"]
    assert names(folder) == []
    (tmp_path / ".b.png").write_bytes(b"1")
    (tmp_path / "empty.png").touch()
    assert [names(folder) for _ in range(3)] == [[], [], []]


def test_a_file_that_stays_empty_comes_after_a_minute(tmp_path: Path) -> None:
    """A camera that writes nothing must not go unnoticed; what is written later is another version."""
    folder = Folder(tmp_path, polling=True)
    file = tmp_path / "a.png"
    file.touch()
    assert [names(folder) for _ in range(3)] == [[], [], []]
    before = file.stat().st_mtime - 61
    os.utime(file, (before, before))
    assert [names(folder) for _ in range(3)] == [[], ["a.png"], []]
    file.write_bytes(b"1")
    assert [names(folder) for _ in range(3)] == [[], ["a.png"], []]


def test_an_old_pipe_never_comes(tmp_path: Path) -> None:
    """It is as empty as a file of nothing, and who opens it waits for a writer."""
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    os.utime(pipe, (1, 1))
    folder = Folder(tmp_path, polling=True)
    assert [names(folder) for _ in range(3)] == [[], [], []]


def test_a_closed_file_comes_at_once(watched: Folder) -> None:
    """A file comes out when its writer closes it, and only once."""
    (watched.path / "a.png").write_bytes(b"1")
    assert soon(watched) == ["a.png"]
    assert names(watched) == []


@pytest.mark.slow
def test_a_file_that_is_being_written_does_not_come(watched: Folder) -> None:
    """A file stays in while its writer has it open, and comes out when it is closed."""
    with (watched.path / "a.png").open("wb", buffering=0) as stream:
        for _ in range(4):
            stream.write(b"1234")
            assert soon(watched, 0.2) == []
    assert soon(watched) == ["a.png"]


def test_not_even_when_all_names_are_looked_at(watched: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep over all names leaves out a file that its writer still has open."""
    with (watched.path / "a.png").open("wb", buffering=0) as stream:
        stream.write(b"1234")
        time.sleep(0.3)
        monkeypatch.setattr(folder_module, "SWEEP", 0.0)
        assert [names(watched) for _ in range(3)] == [[], [], []]
    assert soon(watched) == ["a.png"]


def test_a_file_that_is_moved_or_linked_in_comes(watched: Folder) -> None:
    """Files that are renamed within, moved into or linked into the folder come out at once, unscanned."""
    outside = watched.path.parent / "outside.png"
    outside.write_bytes(b"1")
    linked = watched.path.parent / "linked.png"
    linked.write_bytes(b"12")
    (watched.path / ".c.png.part").write_bytes(b"1")
    (watched.path / ".c.png.part").rename(watched.path / "c.png")
    assert soon(watched) == ["c.png"]
    outside.rename(watched.path / "b.png")
    assert soon(watched) == ["b.png"]
    os.link(linked, watched.path / "d.png")
    assert soon(watched) == ["d.png"]
    (watched.path / "e.png").symlink_to(linked)
    assert soon(watched) == ["e.png"]


def test_a_file_whose_end_of_writing_was_not_reported_comes(watched: Folder) -> None:
    """After an overflow of the system's queue all names are looked at, also those that were being written."""
    with (watched.path / "a.png").open("wb", buffering=0) as stream:
        stream.write(b"1")
        assert soon(watched, 0.2) == []
        stream.write(b"2")
    assert watched._closed is not None
    os.read(watched._closed._descriptor, 1 << 16)  # what was reported is lost
    watched._closed._reported(-1, closed_files._OVERFLOW, "")
    assert soon(watched) == ["a.png"]


def test_a_file_that_is_cut_off_unopened_comes_in_the_end(
    watched: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system never reports that it was closed; unchanged for a while, it counts as complete."""
    (watched.path / "a.png").write_bytes(b"123")
    assert soon(watched) == ["a.png"]
    os.truncate(watched.path / "a.png", 2)
    monkeypatch.setattr(folder_module, "SWEEP", 0.0)
    assert soon(watched, 0.2) == []
    monkeypatch.setattr(closed_files, "STALE", 0.0)
    assert soon(watched) == ["a.png"]


@pytest.mark.slow
def test_no_file_of_a_real_overflow_is_lost(watched: Folder) -> None:
    """Each of more files than the system's queue holds comes out once, also one that was written slowly."""
    with (watched.path / "slow.png").open("wb", buffering=0) as stream:
        stream.write(b"1")
        assert soon(watched, 0.2) == []
        for number in range(7000):
            (watched.path / f"{number}.png").write_bytes(b"1")
        stream.write(b"2")
    found: list[str] = []
    while more := soon(watched, 3.0):
        found += more
    assert len(found) == len(set(found)) == 7001


def test_folders_below_count(watched: Folder, tmp_path: Path) -> None:
    """A folder a day: made, moved in whole, or there from the start; not a hidden one, nor the results'."""
    (watched.path / "day 1" / "hour 2").mkdir(parents=True)
    (watched.path / "day 1" / "hour 2" / "a.png").write_bytes(b"1")
    assert soon(watched) == ["day 1/hour 2/a.png"]
    (watched.path / "day 1" / "hour 2" / "b.png").write_bytes(b"1")
    assert soon(watched) == ["day 1/hour 2/b.png"]
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c.png").write_bytes(b"1")
    outside.rename(watched.path / "day 2")
    assert soon(watched) == ["day 2/c.png"]
    (watched.path / ".hidden").mkdir()
    (watched.path / ".hidden" / "d.png").write_bytes(b"1")
    (watched.path / "loop").symlink_to(watched.path)
    assert soon(watched, 0.3) == []
    second = Folder(watched.path, polling=True, without=watched.path / "day 2")
    second.poll()
    assert sorted(names(second)) == ["day 1/hour 2/a.png", "day 1/hour 2/b.png"]


@pytest.mark.slow
def test_folders_a_thousand_deep_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may make them, on a share; images beside them come, for a station and for ``explain``."""
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("a").mkdir()
        os.chdir("a")
    os.chdir(tmp_path)
    (tmp_path / "b.png").write_bytes(b"1")
    try:
        with contextlib.closing(Folder(tmp_path, polling=True)) as folder:
            folder.poll()
            assert [arrival.name for arrival in folder.poll()] == ["b.png"]
        assert with_images([str(tmp_path)], recursive=True) == [str(tmp_path / "b.png")]
    finally:
        subprocess.run(["rm", "-r", str(tmp_path / "a")], check=True)  # shutil.rmtree calls itself for each


def test_a_folder_that_is_replaced_is_watched_anew(watched: Folder) -> None:
    """Another folder of the same name is the source from then on."""
    (watched.path / "a.png").write_bytes(b"1")
    assert soon(watched) == ["a.png"]
    watched.path.rename(watched.path.with_name("old"))
    watched.wait(5)
    watched.path.mkdir()
    (watched.path / "b.png").write_bytes(b"1")
    assert soon(watched) == ["b.png"]
    (watched.path / "c.png").write_bytes(b"1")
    assert soon(watched) == ["c.png"]


def test_new_permissions_make_a_file_new(watched: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that could not be read comes again when it can; the station knows those that it has seen."""
    (watched.path / "a.png").write_bytes(b"1")
    assert soon(watched) == ["a.png"]
    (watched.path / "a.png").chmod(0o640)
    monkeypatch.setattr(folder_module, "SWEEP", 0.0)
    assert soon(watched) == ["a.png"]
    assert soon(watched, 0.2) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("usb://0", "cannot come from usb://"),
        ("file:///data", "cannot come from file://"),
        ("/dev/video0", "device|/dev/video0"),
        ("/dev/null", "this is a device"),
        ("0", "number of a device"),
        ("in/*.png", "pattern of names"),
        ("http://u:p@[::1/", "the address cannot be used"),
        ("rtsp://u:p@camera:port/", "the address cannot be used"),
        ("rtsp:///1", "the address cannot be used"),
        (__file__, "this is a file, and no video"),
    ],
)
def test_what_no_frames_come_from_is_refused(source: str, said: str) -> None:
    """It is not waited for; the message says what can be given."""
    with pytest.raises(SettingError, match=said) as caught:
        check_source(source)
    assert caught.value.hint


@pytest.mark.parametrize("source", [".", "/not/mounted/yet", "20261127", "x.mp4", "rtsp://u:p@camera/1"])
def test_what_frames_may_come_from_is_taken(source: str) -> None:
    """Also a folder that is not there yet."""
    check_source(source)


def test_what_was_there_before_comes(tmp_path: Path) -> None:
    """A file that lay in the folder before the station started comes out."""
    (tmp_path / "a.png").write_bytes(b"1")
    folder = Folder(tmp_path)
    assert soon(folder) == ["a.png"]
    folder.close()


def test_a_folder_that_is_away(tmp_path: Path) -> None:
    """A folder that does not exist raises FrameError."""
    with pytest.raises(FrameError, match="cannot be read"):
        Folder(tmp_path / "nothing", polling=True).poll()


def test_shares_are_known_by_their_mount(tmp_path: Path) -> None:
    """A folder on NFS is not local; a tmpfs below it is; without a mount table nothing is."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"30 22 0:50 / {tmp_path} rw shared:1 - nfs4 server:/x rw\n"
        f"31 30 0:51 / {tmp_path}/a\\040b rw - tmpfs tmpfs rw\n"
    )
    (tmp_path / "a b").mkdir()
    assert not is_local(tmp_path, mounts)
    assert not is_local(tmp_path / "gone" / "deeper", mounts)
    assert is_local(tmp_path / "a b", mounts)
    assert is_local(tmp_path.parent, mounts)
    assert not is_local(tmp_path, tmp_path / "no such file")


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_of_an_image_counts(tmp_path: Path, ending: str) -> None:
    """One list for decoder, station and evaluate: a file with each of its endings is found and read."""
    Image.new("RGB", (32, 24)).save(tmp_path / f"a{ending.upper()}")
    folder = Folder(tmp_path, polling=True)
    folder.poll()
    (arrival,) = folder.poll()
    assert arrival.frame().pixels.shape == (24, 32, 3)
    assert with_images([str(tmp_path)]) == [str(tmp_path / f"a{ending.upper()}")]


def test_every_format_has_an_ending() -> None:
    """A format that can be decoded and is found in no folder would be useless there."""
    registered = Image.registered_extensions()
    assert {registered[ending] for ending in ENDINGS} | {"NPY"} == set(FORMATS)


def test_a_folder_for_a_model_of_channels(tmp_path: Path) -> None:
    """Arrays of numpy are frames there and nowhere else, and all their channels are kept."""
    np.save(tmp_path / "a.npy", lights())
    (tmp_path / "b.tif").write_bytes(tiff(lights()))
    names = [str(index) for index in range(6)]
    plain = {"mean": [0.0] * 6, "std": [1.0] * 6}
    spec = InputSpec(height=24, width=32, colour="channels", channel_names=names, shown=[0], **plain)
    folder = Folder(tmp_path, polling=True, spec=spec)
    folder.poll()
    assert [arrival.frame().channels for arrival in folder.poll()] == [6, 6]
    colours = Folder(tmp_path, polling=True)
    colours.poll()
    assert [arrival.name for arrival in colours.poll()] == ["b.tif"]
    assert with_images([str(tmp_path)], spec) == [str(tmp_path / name) for name in ("a.npy", "b.tif")]
