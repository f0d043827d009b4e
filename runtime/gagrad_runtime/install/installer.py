"""Install, roll back, uninstall: the steps in their order, and what a failure undoes."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from gagrad_edge.atomic import make_folder, output_error, sync_folder, write_atomic
from gagrad_edge.errors import DeviceError, TrustError
from gagrad_edge.kit import BUNDLE, STATION, TRUST, check_files, read_kit
from gagrad_runtime.install import data, service
from gagrad_runtime.install.environment import command_of, create, run_command, say
from gagrad_runtime.install.layout import (
    COMPLETE,
    REPLACES,
    STATE_BEFORE,
    Layout,
    remove_tree,
    remove_version,
)
from gagrad_runtime.install.preflight import check_machine, check_space

if TYPE_CHECKING:
    from pathlib import Path

    from gagrad_edge.kit import Kit

_STATE = "trust-state.json"


def install(
    folder: Path,
    layout: Layout,
    *,
    serve: bool = True,
    device: str = "auto",
    accept_unsigned: bool = False,
    accept_older: bool = False,
) -> str:
    """Install the kit in ``folder`` and return the version's name; a second run finds nothing to do.

    Raises BundleError, TrustError, DeviceError or OutputError; then the version that was in use still is.
    """
    kit, digest = read_kit(folder)
    name = f"{kit.version}-{kit.gagrad_edge}-{digest[:12]}"
    check_machine(kit)
    with layout.locked() as lock:
        before = layout.in_use()
        if before == name:
            say(f"{name} is in use already")
        else:
            say(f"checking {len(kit.files)} files of {kit.product} {kit.version} for {kit.platform}")
            check_files(folder, kit)
            if before is not None and not accept_older:
                _check_program(folder, kit, layout, before)
            if before is not None and not accept_unsigned:
                _check_signature(folder, layout, before)
            _put(folder, kit, layout, name, device, lock)
            _switch(layout, name, before)
        if serve:
            _serve(layout, name)
        _link_command(layout)
        for old in layout.prune():
            say(f"removed the version {old}")
    say(f"installed: {kit.product} {kit.version}, gagrad-edge {kit.gagrad_edge}, in {layout.versions / name}")
    return name


def go_back(layout: Layout, *, serve: bool = True) -> str:
    """Put the earlier version in use again, and return its name. Raises DeviceError without one."""
    with layout.locked():
        name = layout.in_use()
        before = None if name is None else layout.replaced(name)
        if name is None or before is None:
            raise DeviceError(
                "there is no earlier version to go back to",
                where=str(layout.prefix),
                hint="install the earlier kit",
            )
        _return(layout, name, before)
        if serve:
            service.link_unit(layout)
            service.restart()
    say(f"{before} is in use again; {name} is kept")
    return before


def uninstall(layout: Layout, *, serve: bool = True) -> None:
    """Remove all versions and the service. Settings, results and the trust state stay."""
    with layout.locked():
        if serve:
            service.remove(layout)
        if layout.commands is not None and _is_our_link(layout, layout.commands / "gagrad-edge"):
            (layout.commands / "gagrad-edge").unlink()
        layout.current.unlink(missing_ok=True)
        remove_tree(layout.versions)
    say(f"removed; {layout.settings} and {layout.data} are kept")


def _check_program(folder: Path, kit: Kit, layout: Layout, before: str) -> None:
    """Refuse an older program, whose faults are known, in place of the one in use. Raises TrustError."""
    used = read_kit(layout.versions / before)[0].gagrad_edge
    if _ordered(kit.gagrad_edge) < _ordered(used):
        raise TrustError(
            f"the kit has gagrad-edge {kit.gagrad_edge}, and {used} is in use",
            where=str(folder),
            hint="pack the kit with a newer gagrad-edge; `install.sh --rollback` goes back to the version "
            "before, and --accept-older installs this one",
        )


def _ordered(version: str) -> tuple[list[int], bool]:
    """Return what orders versions such as 1.10.0: numbers, and a trial version (1.10.0rc1) before its own."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else []
    while parts and not parts[-1]:
        parts.pop()
    return parts, numbers is not None and not re.match(r"\.?(a|b|rc|dev)", version[numbers.end() :])


def _check_signature(folder: Path, layout: Layout, before: str) -> None:
    """Check the kit by the device's trust policy, with the version in use. Raises TrustError."""
    policy = layout.settings / TRUST
    if not policy.exists():
        return
    done = run_command(layout.versions / before / "venv", ["verify", str(folder), "--trust", str(policy)])
    if done.returncode:
        raise TrustError(
            f"the version in use does not accept this kit:\n{done.stderr.strip()}",
            where=str(folder),
            hint="pack it with --sign and a key that the device trusts, or install it with --accept-unsigned",
        )


def _put(folder: Path, kit: Kit, layout: Layout, name: str, device: str, lock: int) -> None:
    """Make the version's folder and test it; after any failure the folder is removed."""
    for left in layout.sweep():
        say(f"removed {left}, which was not installed to its end")
    target = layout.versions / name
    if layout.is_complete(name):  # installed before, and rolled back
        _self_test(layout, target, device)
        return
    check_space(folder, kit, layout.prefix)
    try:
        target.mkdir()
        say(f"installing {len(kit.wheels) - 1} packages, which takes a minute or a few")
        create(target / "venv", folder, kit, lock)
        for file in (BUNDLE, TRUST, STATION, "kit.json"):
            shutil.copyfile(folder / file, target / file)
        for file in (TRUST, STATION):
            _fill(target / file, layout)
        unit = target / service.UNIT
        unit.write_text(_unit(), encoding="utf-8")
        _fill(unit, layout)
        _self_test(layout, target, device)
        # All 10,000 files have to be on the disk before the mark COMPLETE; a sync of everything is the
        # cheapest way.
        os.sync()
        write_atomic(target / COMPLETE, [b""])
        sync_folder(layout.versions)
    except BaseException as error:
        remove_tree(target)
        if isinstance(error, OSError):
            raise output_error(target, error) from error
        raise


def _self_test(layout: Layout, target: Path, device: str) -> None:
    """Run the bundle's self-test with the new version, under the policy that will be in force."""
    policy = layout.settings / TRUST
    policy = policy if policy.exists() else target / TRUST
    say("self-test: the model and its explanation on this device")
    arguments = ["verify", str(target / BUNDLE), "--trust", str(policy), "--device", device]
    done = run_command(target / "venv", arguments)
    if done.returncode:
        raise DeviceError(
            f"the new version does not pass its self-test here:\n{done.stderr.strip()}",
            where=target.name,
            hint="nothing was changed: the earlier version is still in use",
        )
    say("\n".join(f"  {line}" for line in done.stderr.strip().splitlines()))


def _switch(layout: Layout, name: str, before: str | None) -> None:
    """Put the new version in use, and store what a rollback needs."""
    target = layout.versions / name
    for file in (TRUST, STATION):
        _write_once(layout.settings / file, target / file)
    state = data.read(layout.data, _STATE)
    if state is not None:
        write_atomic(target / STATE_BEFORE, [state], mode=0o600)
    data.make(layout.data, layout.incoming.name)
    write_atomic(target / REPLACES, [(before or "").encode()])
    layout.use(name)


def _serve(layout: Layout, name: str) -> None:
    """Start the version as a service; if it does not start, roll back."""
    service.create_user()
    service.own_data(layout)
    service.link_unit(layout)
    say(f"starting {service.UNIT}")
    try:
        service.restart()
    except DeviceError:
        before = layout.replaced(name)
        if before is None:
            raise  # the first installation stays, so that its log can be read
        say(f"going back to {before}")
        _return(layout, name, before)
        remove_version(layout.versions / name)
        service.link_unit(layout)
        service.restart()
        raise


def _return(layout: Layout, name: str, before: str) -> None:
    """Put ``before`` in use again, with its trust state: the newer state would refuse the older bundle."""
    try:
        saved: bytes | None = (layout.versions / name / STATE_BEFORE).read_bytes()
    except OSError:
        saved = None
    data.write(layout.data, _STATE, saved)
    layout.use(before)


def _write_once(path: Path, source: Path) -> None:
    """Copy a file of settings unless the device has one; print a line if its content differs."""
    make_folder(path.parent)
    content = source.read_bytes()
    if not path.exists():
        write_atomic(path, [content])
    elif path.read_bytes() != content:
        say(f"{path} is kept as it is; the kit's is {source}")


def _link_command(layout: Layout) -> None:
    """Link ``gagrad-edge`` into the path, unless another file has that name there."""
    if layout.commands is None:
        return
    link = layout.commands / "gagrad-edge"
    if os.path.lexists(link) and not _is_our_link(layout, link):
        say(f"{link} is something else and stays; run {command_of(layout.current / 'venv')}")
        return
    make_folder(layout.commands)
    part = link.with_name(".gagrad-edge.part")
    part.unlink(missing_ok=True)
    part.symlink_to(command_of(layout.current / "venv"))
    part.replace(link)


def _is_our_link(layout: Layout, link: Path) -> bool:
    return link.is_symlink() and link.readlink() == command_of(layout.current / "venv")


def _fill(path: Path, layout: Layout) -> None:
    """Replace the placeholders in a file of the kit by this device's folders."""
    text = path.read_text(encoding="utf-8")
    places = {"@PREFIX@": layout.prefix, "@SETTINGS@": layout.settings, "@DATA@": layout.data}
    for mark, folder in places.items():
        text = text.replace(mark, str(folder))
    path.write_text(text, encoding="utf-8")


def _unit() -> str:
    from importlib.resources import files  # noqa: PLC0415 - also from within a wheel

    return (files("gagrad_runtime.install") / service.UNIT).read_text(encoding="utf-8")
