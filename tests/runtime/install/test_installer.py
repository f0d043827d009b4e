"""Installing: the old version or the new one is in use whatever happens, and never half of one."""

from __future__ import annotations

import fcntl
import re
from typing import TYPE_CHECKING

import pytest

from gagrad_edge.errors import BundleError, DeviceError, OutputError, TrustError
from gagrad_runtime.install import installer, service
from gagrad_runtime.install.__main__ import main
from gagrad_runtime.install.installer import go_back, install, uninstall

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gagrad_runtime.install.layout import Layout
    from tests.runtime.install.conftest import Program


def _install(kit: Path, layout: Layout) -> str:
    return install(kit, layout, serve=False)


def test_the_first_installation_brings_settings_and_fills_in_the_folders(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """The first installation writes settings and unit with the device's folders filled in."""
    name = _install(make_kit(), layout)
    assert layout.in_use() == name
    assert (layout.settings / "station.toml").read_text() == f'bundle = "{layout.current}/bundle.gagrad"\n'
    assert str(layout.data) in (layout.settings / "trust.toml").read_text()
    assert str(layout.prefix) in (layout.current / service.UNIT).read_text()
    assert not re.search(r"@[A-Z]+@", (layout.current / service.UNIT).read_text())


def test_a_second_time_there_is_nothing_to_do(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """Installing the version in use again runs nothing."""
    kit = make_kit()
    _install(kit, layout)
    calls = len(program.calls)
    _install(kit, layout)
    assert len(program.calls) == calls


def test_settings_of_the_device_are_kept(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """An update leaves the device's station.toml as it is."""
    _install(make_kit(1), layout)
    (layout.settings / "station.toml").write_text("mine")
    _install(make_kit(2), layout)
    assert (layout.settings / "station.toml").read_text() == "mine"


def test_a_version_that_fails_its_self_test_leaves_the_old_one(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """A version that fails its self-test is removed, and the old one stays in use."""
    old = _install(make_kit(1), layout)
    program.works = False
    with pytest.raises(DeviceError, match="what it said"):
        _install(make_kit(2), layout)
    assert layout.in_use() == old
    assert [path.name for path in layout.versions.iterdir()] == [old]


def test_an_interrupted_installation_leaves_nothing(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """Ctrl-C during an installation removes the new version; a second attempt installs it."""
    old = _install(make_kit(1), layout)
    program.interrupted = True
    kit = make_kit(2)
    with pytest.raises(KeyboardInterrupt):
        _install(kit, layout)
    assert [path.name for path in layout.versions.iterdir()] == [old]
    program.interrupted = False
    assert layout.in_use() != _install(kit, layout) or layout.in_use() != old


def test_what_a_killed_installation_left_is_removed_by_the_next(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """A half version of a killed installer is removed by the next installation."""
    left = layout.versions / "2-half"
    (left / "venv").mkdir(parents=True)
    _install(make_kit(1), layout)
    assert not left.exists()


def test_a_link_to_an_incomplete_version_is_no_version(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """A version without its .complete file does not count as in use."""
    name = _install(make_kit(1), layout)
    (layout.versions / name / ".complete").unlink()
    assert layout.in_use() is None


def test_two_versions_are_kept(make_kit: Callable[..., Path], layout: Layout, program: Program) -> None:
    """After three installations the newest two versions are kept."""
    names = [_install(make_kit(version), layout) for version in (1, 2, 3)]
    assert sorted(path.name for path in layout.versions.iterdir()) == names[1:]


def test_going_back_brings_back_what_was_remembered(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """Else the older bundle would be refused: the device has used a newer one."""
    old = _install(make_kit(1), layout)
    layout.data.mkdir(parents=True, exist_ok=True)
    state = layout.data / "trust-state.json"
    state.write_text("of the old")
    new = _install(make_kit(2), layout)
    state.write_text("of the new")
    assert go_back(layout, serve=False) == old
    assert layout.in_use() == old
    assert state.read_text() == "of the old"
    assert (layout.versions / new).is_dir()
    with pytest.raises(DeviceError, match="no earlier version"):
        go_back(layout, serve=False)


def test_the_version_gone_back_from_can_be_installed_again(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """After going back, the newer version can be installed again."""
    _install(make_kit(1), layout)
    kit = make_kit(2)
    new = _install(kit, layout)
    go_back(layout, serve=False)
    assert _install(kit, layout) == new
    assert layout.in_use() == new


def test_a_kit_that_the_version_in_use_refuses_changes_nothing(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """A kit that the version in use does not trust is refused, unless unsigned kits are accepted."""
    old = _install(make_kit(1), layout)
    program.accepts = False
    kit = make_kit(2)
    with pytest.raises(TrustError, match="does not accept"):
        _install(kit, layout)
    assert layout.in_use() == old
    install(kit, layout, serve=False, accept_unsigned=True)
    assert layout.in_use() != old


def test_a_damaged_file_is_found_before_anything_changes(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """A kit with a changed file is refused before a version is made."""
    kit = make_kit(1)
    (kit / "bundle.gagrad").write_text("bundle.gagrad 2\n")
    with pytest.raises(BundleError, match="its hash differs"):
        _install(kit, layout)
    assert list(layout.versions.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("machine", "riscv64", "riscv64"), ("python", "3.4", "Python 3.4"), ("glibc", "2.99", "glibc")],
)
def test_a_kit_for_another_machine(
    make_kit: Callable[..., Path], layout: Layout, program: Program, field: str, value: str, said: str
) -> None:
    """A kit for another machine, Python or C library is refused and the difference named."""
    with pytest.raises(DeviceError, match=said):
        _install(make_kit(1, **{field: value}), layout)


def test_no_room(
    make_kit: Callable[..., Path], layout: Layout, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk with too little room is refused with the megabytes that are needed."""
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(OutputError, match="MB are needed"):
        _install(make_kit(1), layout)


def test_one_installer_at_a_time(make_kit: Callable[..., Path], layout: Layout, program: Program) -> None:
    """A second installer that runs at the same time raises OutputError."""
    layout.prefix.mkdir(parents=True)
    with (layout.prefix / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another installation"):
            _install(make_kit(1), layout)


def test_a_service_that_does_not_start_is_taken_back(
    make_kit: Callable[..., Path], layout: Layout, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the service does not start with the new version, the old one is in use and started again."""
    old = _install(make_kit(1), layout)
    started: list[str | None] = []

    def restart() -> None:
        started.append(layout.in_use())
        if len(started) == 1:
            raise DeviceError("it does not come up")

    for name in ("create_user", "own_data", "link_unit"):
        monkeypatch.setattr(service, name, lambda *_: None)
    monkeypatch.setattr(service, "restart", restart)
    with pytest.raises(DeviceError, match="does not come up"):
        install(make_kit(2), layout, serve=True)
    assert layout.in_use() == old
    assert started[1] == old
    assert [path.name for path in layout.versions.iterdir()] == [old]


class CutError(BaseException):
    """The power goes."""


def _cut_before(step: int, kit: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Install until the call number ``step`` that changes the disk; whether it got to its end."""
    seen = 0

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal seen
            seen += 1
            if seen > step:
                raise CutError
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("write_atomic", "sync_folder", "_self_test", "_fill", "_write_once"):
            patch.setattr(installer, name, counted(getattr(installer, name)))
        for name in ("use", "prune"):
            patch.setattr(type(layout), name, counted(getattr(type(layout), name)))
        patch.setattr(installer, "remove_tree", lambda _: None)  # a power cut tidies nothing up
        try:
            _install(kit, layout)
        except CutError:
            return False
    return True


def test_a_power_cut_between_any_two_steps_leaves_a_whole_version(
    make_kit: Callable[..., Path], layout: Layout, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes the disk is once the last one."""
    old = _install(make_kit(1), layout)
    kit = make_kit(2)
    step = 0
    while not _cut_before(step, kit, layout, monkeypatch):
        name = layout.in_use()
        assert name is not None
        assert (layout.versions / name / "bundle.gagrad").exists()
        layout.use(old)  # so that the next round has all the steps
        for path in layout.versions.iterdir():
            if path.name != old:
                (path / ".complete").unlink(missing_ok=True)
        step += 1
    assert step >= 8
    assert layout.in_use() != old


def test_uninstalling_keeps_settings(make_kit: Callable[..., Path], layout: Layout, program: Program) -> None:
    """Uninstalling removes version and command, and keeps the settings."""
    _install(make_kit(1), layout)
    uninstall(layout, serve=False)
    assert layout.in_use() is None
    assert not (layout.commands / "gagrad-edge").is_symlink() if layout.commands else False
    assert (layout.settings / "station.toml").exists()


def test_somebody_elses_command_stays(
    make_kit: Callable[..., Path], layout: Layout, program: Program
) -> None:
    """A file named gagrad-edge that the installer did not make is not replaced."""
    assert layout.commands is not None
    layout.commands.mkdir(parents=True)
    (layout.commands / "gagrad-edge").write_text("mine")
    _install(make_kit(1), layout)
    assert (layout.commands / "gagrad-edge").read_text() == "mine"


def test_errors_have_exit_codes(
    make_kit: Callable[..., Path], tmp_path: Path, program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    """The installer exits with 0 when done, 4 for a folder that is no kit, and 130 on Ctrl-C."""
    prefix = str(tmp_path / "device")
    assert main([str(make_kit(1)), "--prefix", prefix]) == 0
    assert main([str(tmp_path), "--prefix", prefix]) == 4
    assert "this is no kit" in capsys.readouterr().err
    program.interrupted = True
    assert main([str(make_kit(2)), "--prefix", prefix]) == 130
