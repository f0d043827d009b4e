"""What keeps a device from going back, or from being led elsewhere."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from gagrad_edge.bundle.bundle import write_bundle
from gagrad_edge.bundle.signing import sign_bundle
from gagrad_edge.errors import SettingError, TrustError
from gagrad_runtime.trust import admit, device_policy, for_product, policy, read_policy
from gagrad_runtime.trust.state import State, read_state
from tests.models import MEMBERS, plain_manifest
from tests.runtime.trust.test_trust import DAY, LATER, Device, use, write_policy


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def _other(device: Device, version: int, **fields: object) -> Path:
    """Return a bundle with other content."""
    path = device.folder / "other.gagrad"
    write_bundle(path, replace(plain_manifest(), name="other"), MEMBERS)
    sign_bundle(path, path, (device.key,), product="part", version=version, signed=DAY, **fields)
    return path


def test_one_version_has_one_content(device: Device) -> None:
    """Other content with the version in use is refused; a higher version brings it."""
    use(device.bundle(version=5), device.policy())
    with pytest.raises(TrustError, match="has loaded a part 5 with other content"):
        use(_other(device, 5), device.policy())
    use(device.bundle(version=5), device.policy())
    use(_other(device, 6), device.policy())
    with pytest.raises(TrustError, match="older than 6"):
        use(device.bundle(version=5), device.policy())


def test_a_state_from_before_contents_were_stored_takes_the_next_one(device: Device) -> None:
    """Then that one stays."""
    device.state.parent.mkdir()
    device.state.write_text('{"versions": {"part": 5}}')
    use(device.bundle(version=5), device.policy())
    with pytest.raises(TrustError, match="other content"):
        use(_other(device, 5), device.policy())


def test_contents_follow_the_newest_version() -> None:
    """Whichever of two states is merged into the other."""
    one = State(versions={"a": 2, "b": 1}, contents={"a": "1" * 64, "b": "2" * 64})
    two = State(versions={"a": 3, "b": 1}, contents={"a": "3" * 64, "b": "4" * 64})
    assert one.merged(two).contents == {"a": "3" * 64, "b": "2" * 64}
    assert two.merged(one).contents == {"a": "3" * 64, "b": "4" * 64}
    assert one.merged(State(versions={"a": 4})).contents == {"b": "2" * 64}


def test_a_clock_that_once_ran_ahead_does_not_switch_expiry_off(device: Device) -> None:
    """What is over by the clock of today is refused, though the clock has shown the year 2099."""
    use(device.bundle(), device.policy(), now=datetime(2099, 1, 1, tzinfo=timezone.utc))
    expiring = device.bundle(version=2, expires=DAY + timedelta(days=60))
    assert admit(expiring, device.policy(), now=DAY + timedelta(days=50)).trusted
    with pytest.raises(TrustError, match="expired"):
        admit(expiring, device.policy(), now=DAY + timedelta(days=70))


def test_a_station_names_its_product(device: Device) -> None:
    """A bundle of another product that the device trusts is not loaded in its place."""
    mine = for_product(device.policy(), "part")
    use(device.bundle(), mine)
    with pytest.raises(TrustError, match="it is for 'weld', and this device is for part"):
        use(device.bundle(version=9, product="weld"), mine)
    assert for_product(device.policy(products={"part": 5, "weld": 1}), "part").products == {"part": 5}
    with pytest.raises(SettingError, match="does not allow 'part'"):
        for_product(device.policy(products={"weld": 1}), "part")
    with pytest.raises(SettingError, match="there is no trust policy"):
        for_product(None, "part")


def test_a_refusal_names_the_policy_in_force(device: Device, tmp_path: Path) -> None:
    """So that nobody looks for the fault in another file."""
    found = read_policy(write_policy(tmp_path / "trust.toml", device))
    with pytest.raises(TrustError, match=rf"by the trust policy {tmp_path}/trust\.toml"):
        admit(device.bundle(device.second), found, now=LATER)


def test_the_policy_of_a_prefix_is_in_force_for_its_program(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every command of the installation, and through the link ``current``; not for another program."""
    environment = tmp_path / "prefix" / "versions" / "7-1.0-abc" / "venv"
    environment.mkdir(parents=True)
    (tmp_path / "prefix" / "etc").mkdir()
    written = write_policy(tmp_path / "prefix" / "etc" / "trust.toml", device)
    assert device_policy() is None
    (tmp_path / "prefix" / "current").symlink_to(Path("versions") / "7-1.0-abc")
    for path in (environment, tmp_path / "prefix" / "current" / "venv"):
        monkeypatch.setattr(sys, "prefix", str(path))
        found = device_policy()
        assert found is not None
        assert found.path == written
    written.unlink()
    monkeypatch.setattr(policy, "DEFAULT", write_policy(tmp_path / "default.toml", device))
    found = device_policy()
    assert found is not None
    assert found.path == tmp_path / "default.toml"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("which", ["trust.toml", "a", "."])
def test_a_policy_that_another_user_could_replace_is_an_error(
    which: str, device: Device, tmp_path: Path
) -> None:
    """Its own owner, and those of its folders, are root or this user."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    written = write_policy(folder / "trust.toml", device)
    read_policy(written)
    os.chown({"trust.toml": written, "a": folder.parent, ".": folder}[which], 65534, -1)
    with pytest.raises(SettingError, match="belongs to another user"):
        read_policy(written)


def test_a_policy_in_a_folder_that_everyone_may_write_is_an_error(device: Device, tmp_path: Path) -> None:
    """But for folders where only owners delete, such as /tmp; also through a link from elsewhere."""
    folder = tmp_path / "open"
    folder.mkdir()
    written = write_policy(folder / "trust.toml", device)
    (tmp_path / "link.toml").symlink_to(written)
    folder.chmod(0o777)
    for path in (written, tmp_path / "link.toml"):
        with pytest.raises(SettingError, match=r"everyone may write to its folder .*open"):
            read_policy(path)
    folder.chmod(0o1777)
    read_policy(written)


def test_the_state_of_a_device_has_the_content(device: Device) -> None:
    """By the SHA-256 of the manifest, which names everything else."""
    use(device.bundle(version=3), device.policy())
    assert set(read_state(device.state).contents) == {"part"}
