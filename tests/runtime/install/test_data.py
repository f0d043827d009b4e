"""Root in the folder of the service's user: what was put there is not followed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gagrad_edge.errors import DeviceError, OutputError
from gagrad_runtime.install import data, installer, service
from gagrad_runtime.install.__main__ import main
from gagrad_runtime.install.installer import go_back, install
from gagrad_runtime.install.layout import STATE_BEFORE, Layout
from tests.runtime.install.conftest import Program

STATE = "trust-state.json"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_link_in_place_of_the_folder_for_images_is_refused(layout: Layout, tmp_path: Path) -> None:
    """The folder that it leads to keeps its owner and its permissions."""
    theirs = tmp_path / "etc"
    theirs.mkdir(mode=0o750)
    layout.data.mkdir(parents=True)
    layout.incoming.symlink_to(theirs)
    with pytest.raises(OutputError, match="no folder, which the installer does not touch"):
        data.own(layout.data, "incoming", os.getuid(), os.getgid())
    assert _mode(theirs) == 0o750


def test_the_folders_get_their_owner_and_permissions(layout: Layout) -> None:
    """Whatever the umask is, and a second time too."""
    before = os.umask(0o077)
    try:
        for _ in range(2):
            data.own(layout.data, "incoming", os.getuid(), os.getgid())
    finally:
        os.umask(before)
    assert (_mode(layout.data), _mode(layout.incoming)) == (0o755, 0o2775)


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _hard(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _long(path: Path, _: Path) -> None:
    path.write_bytes(bytes(data.LARGEST + 1))


@pytest.mark.parametrize("put", [_link, _hard, _pipe, _folder, _long])
def test_what_is_no_file_of_the_services_own_is_not_copied(
    put: Callable[[Path, Path], None],
    make_kit: Callable[..., Path],
    layout: Layout,
    program: Program,
    tmp_path: Path,
) -> None:
    """A link, a second name of a file, a pipe, a folder, an endless file: the version in use stays."""
    old = install(make_kit(1), layout, serve=False)
    secret = tmp_path / "shadow"
    secret.write_text("root:$6$hash")
    put(layout.data / STATE, secret)
    with pytest.raises(OutputError, match="which the installer does not touch"):
        install(make_kit(2), layout, serve=False)
    assert layout.in_use() == old
    assert not list(layout.versions.rglob(STATE_BEFORE))
    assert secret.read_text() == "root:$6$hash"


def test_the_copy_of_the_state_is_for_the_installer_only(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """Its permissions are no wider than those of what was copied."""
    install(make_kit(1), layout, serve=False)
    (layout.data / STATE).write_text("{}")
    (layout.data / STATE).chmod(0o600)
    name = install(make_kit(2), layout, serve=False)
    assert _mode(layout.versions / name / STATE_BEFORE) == 0o600


def test_going_back_replaces_a_link_and_leaves_what_it_leads_to(
    make_kit: Callable[..., Path], layout: Layout, program: Program, tmp_path: Path
) -> None:
    """The state is a file again, with the folder's owner."""
    install(make_kit(1), layout, serve=False)
    (layout.data / STATE).write_text("{}")
    install(make_kit(2), layout, serve=False)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (layout.data / STATE).unlink()
    (layout.data / STATE).symlink_to(secret)
    go_back(layout, serve=False)
    assert (layout.data / STATE).read_text() == "{}"
    assert not (layout.data / STATE).is_symlink()
    assert secret.read_text() == "secret"


def test_an_older_program_does_not_replace_the_one_in_use(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """Though it brings a newer bundle; unless that is said."""
    old = install(make_kit(1, gagrad_edge="1.10.0"), layout, serve=False)
    with pytest.raises(installer.TrustError, match=r"has gagrad-edge 1\.9\.0, and 1\.10\.0 is in use"):
        install(make_kit(2, gagrad_edge="1.9.0"), layout, serve=False)
    assert layout.in_use() == old
    install(make_kit(3, gagrad_edge="1.9.0"), layout, serve=False, accept_older=True)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9", "1.10"), ("1.0.0rc1", "1.0"), ("1.0.dev2", "1.0.0"), ("0.9.9", "1"), ("1", "1.0.0.post1")],
)
def test_versions_of_the_program_are_ordered(older: str, newer: str) -> None:
    """By their numbers, and a trial version comes before its own."""
    assert installer._ordered(older) <= installer._ordered(newer)
    assert not installer._ordered(older) > installer._ordered(newer)


def test_a_system_without_systemd_is_told_so_before_anything_is_changed(
    make_kit: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the option that installs without a service; and what is there can be removed."""
    there = Layout.below(tmp_path / "device")
    monkeypatch.setattr("gagrad_runtime.install.__main__.Layout", lambda: there)
    monkeypatch.setattr("gagrad_runtime.install.__main__.check_root", lambda: None)
    monkeypatch.setattr(service, "SYSTEMD", tmp_path / "none")
    assert main([str(make_kit(1))]) == DeviceError.exit_code
    assert "--no-service" in capsys.readouterr().err
    assert not there.prefix.exists()
    there.units.mkdir(parents=True)
    (there.units / service.UNIT).symlink_to(there.current / service.UNIT)
    assert main([str(make_kit(2)), "--uninstall"]) == 0
    assert not (there.units / service.UNIT).is_symlink()


@pytest.mark.parametrize("mask", [0o000, 0o027, 0o077])
def test_the_umask_of_the_installing_user_does_not_count(
    mask: int,
    make_kit: Callable[..., Path],
    tmp_path: Path,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is installed for the device can be read by the service's user, and written by nobody else."""
    there = Layout.below(tmp_path / "device")
    monkeypatch.setattr("gagrad_runtime.install.__main__.Layout", lambda: there)
    monkeypatch.setattr("gagrad_runtime.install.__main__.check_root", lambda: None)
    before = os.umask(mask)
    try:
        assert main([str(make_kit(1)), "--no-service"]) == 0
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    for path in [there.versions, *there.versions.rglob("*"), *there.settings.iterdir()]:
        if not path.is_symlink():
            assert _mode(path) & 0o022 == 0, path
            assert _mode(path) & 0o044 == 0o044, path


def test_the_installer_needs_no_posix_flags_to_be_imported() -> None:
    """On a system without them it says what is missing when it runs."""
    code = "import os; [vars(os).pop(n, None) for n in ('O_NOFOLLOW', 'O_NONBLOCK', 'O_DIRECTORY')]\n"
    code += "import gagrad_runtime.install.data"
    subprocess.run([sys.executable, "-c", code], check=True)
