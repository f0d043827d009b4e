"""A device with a policy loads what it allows, and nothing else."""

from __future__ import annotations

import ast
import logging
import multiprocessing
import os
import shutil
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.bundle.bundle import write_bundle
from gagrad_edge.bundle.signing import sign_bundle
from gagrad_edge.errors import BundleError, OutputError, SettingError, TrustError
from gagrad_edge.trust.keys import PrivateKey, generate
from gagrad_runtime.trust import Policy, admit, policy, read_policy
from gagrad_runtime.trust.state import State, read_state, remember
from tests.models import MEMBERS, plain_manifest

DAY = datetime(2026, 5, 4, tzinfo=timezone.utc)
LATER = DAY + timedelta(days=30)


class Device:
    """Makes signed bundles and a device's policy in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.second = generate(), generate()
        self.state = folder / "state" / "trust-state.json"

    def policy(self, *keys: PrivateKey, **fields: Any) -> Policy:
        """Return the policy that trusts ``keys``, by default the first."""
        publics = tuple(key.public for key in keys or (self.key,))
        return Policy(publics, **({"state": self.state} | fields))

    def bundle(self, *keys: PrivateKey, version: int = 1, **fields: Any) -> Path:
        """Return a bundle signed with ``keys``, by default the first."""
        path = self.folder / f"part-{version}.gagrad"
        write_bundle(path, plain_manifest(), MEMBERS)
        values = {"product": "part", "signed": DAY} | fields
        sign_bundle(path, path, keys or (self.key,), version=version, **values)
        return path


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def use(path: Path, policy: Policy, now: datetime = LATER) -> None:
    admit(path, policy, now=now).commit()


def unpacked(path: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.with_suffix(".folder"))
    return path.with_suffix(".folder")


def test_without_a_policy_everything_that_is_intact_is_loaded(device: Device) -> None:
    """A device without a policy admits an intact bundle and takes no decision on its signature."""
    assert admit(device.bundle()).decision is None


@pytest.mark.parametrize("loose", [False, True], ids=["packed", "folder"])
def test_only_what_a_trusted_key_signed_is_loaded(device: Device, loose: bool) -> None:
    """Unpacking a bundle is no way around the policy."""
    good, foreign = device.bundle(), device.bundle(device.second, version=2)
    unsigned = device.folder / "unsigned.gagrad"
    write_bundle(unsigned, plain_manifest(), MEMBERS)
    form = unpacked if loose else Path
    decision = admit(form(good), device.policy(), now=LATER).decision
    assert decision is not None
    assert [check.name for check in decision.checks] == ["signature", "product", "version", "clock", "expiry"]
    assert decision.signers == (device.key.public,)
    with pytest.raises(TrustError, match=r"signature: trusted signatures: 0 of the 1"):
        admit(form(foreign), device.policy(), now=LATER)
    with pytest.raises(TrustError, match="signature: the bundle is not signed"):
        admit(form(unsigned), device.policy(), now=LATER)


def test_a_folder_whose_files_were_changed_is_refused(device: Device) -> None:
    """An unpacked signed bundle with a changed or an added file is not loaded."""
    folder = unpacked(device.bundle())
    (folder / "graphs/predict.onnx").write_bytes(b"PREDICT")
    with pytest.raises(BundleError, match="wrong size or hash"):
        admit(folder, device.policy(), now=LATER)
    (folder / "graphs/predict.onnx").write_bytes(b"predict")
    (folder / "graphs/extra.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="not named in the manifest"):
        admit(folder, device.policy(), now=LATER)


def test_a_refused_bundle_is_not_read_to_its_end(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged by its head: a bundle without a trusted signature costs no memory."""
    from gagrad_edge.bundle import container

    def unpack(*_: object, **__: object) -> None:
        pytest.fail("it was read")

    foreign = device.bundle(device.second)
    monkeypatch.setattr(container, "unpack", unpack)
    with pytest.raises(TrustError):
        admit(foreign, device.policy(), now=LATER)


def test_a_threshold_asks_for_different_keys(device: Device) -> None:
    """A threshold of two needs signatures by two keys; one key that signs twice counts once."""
    both = device.policy(device.key, device.second, threshold=2)
    use(device.bundle(device.key, device.second), both)
    with pytest.raises(TrustError, match="1 of the 2"):
        use(device.bundle(device.key, device.key), both)


def test_rotation_needs_no_day_on_which_all_devices_change(device: Device) -> None:
    """While both keys sign, devices with the old, with both and with the new policy load the bundle."""
    new = device.second
    path = device.bundle(device.key, new)
    for keys in ((device.key,), (device.key, new), (new,)):
        use(path, device.policy(*keys))


def test_versions_do_not_go_back(device: Device) -> None:
    """The floor moves when a bundle is in use, not when it is looked at, and by product."""
    rule = device.policy()
    old, new = device.bundle(version=1), device.bundle(version=2)
    other = device.bundle(version=3, product="b")
    admit(new, rule, now=LATER)
    use(old, rule)
    use(new, rule)
    use(other, rule)
    use(new, rule)
    with pytest.raises(TrustError, match=r"version: part 1 is older than 2"):
        use(old, rule)
    assert read_state(device.state).versions == {"part": 2, "b": 3}


def test_a_policy_may_state_products_and_least_versions(device: Device) -> None:
    """A policy refuses a product that it does not list, and a version below the listed one."""
    rule = device.policy(products={"part": 5})
    with pytest.raises(TrustError, match="older than 5"):
        use(device.bundle(version=4), rule)
    use(device.bundle(version=5), rule)
    with pytest.raises(TrustError, match="it is for 'other', and this device is for part"):
        use(device.bundle(version=9, product="other"), rule)


def test_a_newer_version_that_cannot_be_remembered_is_refused(device: Device) -> None:
    """Else it could be rolled back. The version in use needs no writing and goes on."""
    rule = device.policy()
    use(device.bundle(version=1), rule)
    blocked = device.policy(state=device.folder / "part-1.gagrad" / "state.json")
    with pytest.raises((OutputError, TrustError)):
        use(device.bundle(version=2), blocked)
    device.state.with_name("trust-state.json.lock").unlink()
    shutil.copy(device.state, device.folder / "copy.json")
    use(device.bundle(version=1), device.policy(state=device.folder / "copy.json"))
    assert not (device.folder / "copy.json.lock").exists(), "nothing had to be written"


def test_a_damaged_memory_is_an_error_and_not_an_empty_one(device: Device) -> None:
    """A state file that cannot be parsed refuses the bundle, as versions could be rolled back."""
    use(device.bundle(), device.policy())
    device.state.write_text("{}x")
    with pytest.raises(TrustError, match="cannot be read"):
        admit(device.bundle(), device.policy(), now=LATER)


def _remember(path: str, product: str) -> None:
    for version in range(1, 40):
        remember(Path(path), State(versions={product: version}))


@pytest.mark.slow
def test_two_processes_remember_both(device: Device) -> None:
    """Two processes that write the same state file at the same time lose none of their versions."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_remember, args=(str(device.state), name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
        assert worker.exitcode == 0
    assert read_state(device.state).versions == {"a": 39, "b": 39}


def test_expiry_by_a_clock_that_can_be_believed(device: Device) -> None:
    """A bundle is loaded until the day it expires, and refused on the days after."""
    path = device.bundle(expires=DAY + timedelta(days=60))
    use(path, device.policy(), now=DAY + timedelta(days=59))
    with pytest.raises(TrustError, match="expiry: it expired on 2026-07-03"):
        use(path, device.policy(), now=DAY + timedelta(days=61))


@pytest.mark.parametrize("now", [DAY - timedelta(days=2500), DAY - timedelta(hours=1)], ids=["-7y", "-1h"])
def test_a_clock_that_is_wrong_is_said_and_decides_nothing(
    device: Device, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither for nor against: expiry is then judged by the newest signature that was accepted."""
    expiring = device.bundle(expires=DAY + timedelta(days=60))
    with caplog.at_level(logging.WARNING):
        decision = admit(expiring, device.policy(), now=now).decision
    assert decision is not None
    assert [check.outcome for check in decision.checks] == ["passed", "passed", "passed", "unsure", "unsure"]
    assert "has passed: it is wrong" in caplog.text
    assert "which the clock cannot tell" in caplog.text
    use(device.bundle(version=2, product="b", signed=DAY + timedelta(days=61)), device.policy(), now=now)
    with pytest.raises(TrustError, match="expired"):
        admit(expiring, device.policy(), now=now)


def test_a_clock_set_back_is_noticed(device: Device) -> None:
    """By what it has shown before; what it showed is no proof that time has passed."""
    path = device.bundle(expires=DAY + timedelta(days=60))
    use(path, device.policy(), now=DAY + timedelta(days=50))
    decision = admit(path, device.policy(), now=DAY + timedelta(days=10)).decision
    assert decision is not None
    assert [check.outcome for check in decision.checks[3:]] == ["unsure", "unsure"]


def test_a_clock_that_once_ran_ahead_does_no_lasting_harm(device: Device) -> None:
    """After a clock showed the year 9999, bundles that expire can still be loaded."""
    forever = device.bundle()
    use(forever, device.policy(), now=datetime(9999, 12, 31, 23, tzinfo=timezone.utc))
    use(forever, device.policy(), now=datetime(9999, 12, 31, 23, tzinfo=timezone.utc))
    use(device.bundle(version=2, expires=DAY + timedelta(days=60)), device.policy(), now=LATER)


def write_policy(path: Path, device: Device, extra: str = "") -> Path:
    key = f'[[keys]]\nname = "ours"\nkey = "{device.key.public.text}"\n'
    path.write_text(f'{extra}\nstate = "seen.json"\n{key}')
    return path


def test_a_policy_is_a_file(device: Device, tmp_path: Path) -> None:
    """A policy file gives keys by name, and a state path that is relative to the file."""
    found = read_policy(write_policy(tmp_path / "trust.toml", device, "threshold = 1"))
    assert found.keys[0].name == "ours"
    assert found.keys[0].raw == device.key.public.raw
    assert found.state == tmp_path / "seen.json", "relative to the file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "keys"),
        ("keys = []", "keys"),
        ("threshold = 2", "threshold 2 for 1 keys"),
        ("threshold = 0", "threshold"),
        ("treshold = 1", "treshold"),
        ("= broken", "line 1"),
        ("[products]\npart = -1\n", "products"),
    ],
)
def test_a_wrong_policy_is_an_error(device: Device, tmp_path: Path, text: str, words: str) -> None:
    """A policy file that is empty, misspelt or contradictory raises SettingError with the field."""
    path = tmp_path / "trust.toml"
    if text.startswith(("t", "[p")):
        key = f'[[keys]]\nname = "a"\nkey = "{device.key.public.text}"\n'
        path.write_text(f"{text}\n{key}" if text[0] == "t" else key + text)
    else:
        path.write_text(text)
    with pytest.raises(SettingError, match=words):
        read_policy(path)


def test_a_policy_that_everyone_may_write_is_none(device: Device, tmp_path: Path) -> None:
    """A policy file that every user may write is refused."""
    path = write_policy(tmp_path / "trust.toml", device)
    path.chmod(0o666)
    with pytest.raises(SettingError, match="everyone may write"):
        read_policy(path)


def test_keys_are_different_and_whole(device: Device, tmp_path: Path) -> None:
    """A policy that lists a key twice, or text that is no key, is refused."""
    path = tmp_path / "trust.toml"
    for keys in ([device.key.public.text] * 2, ["AAAA"], ["no base64!"]):
        path.write_text("".join(f'[[keys]]\nname = "{n}"\nkey = "{key}"\n' for n, key in enumerate(keys)))
        with pytest.raises(SettingError):
            read_policy(path)


def test_which_policy_is_in_force(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice, else the variable, else the device's file; one that is there but unreadable is no 'none'."""
    foreign = device.bundle(device.second)
    monkeypatch.setattr(policy, "DEFAULT", tmp_path / "etc.toml")
    admit(foreign)
    (tmp_path / "etc.toml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingError, match="cannot be read"):
        admit(foreign)
    (tmp_path / "etc.toml").unlink()
    write_policy(tmp_path / "etc.toml", device)
    with pytest.raises(TrustError):
        admit(foreign)
    monkeypatch.setenv(policy.VARIABLE, str(tmp_path / "gone.toml"))
    with pytest.raises(SettingError, match="cannot be read"):
        admit(foreign)
    admit(foreign, device.policy(device.second), now=LATER)


def test_the_explainer_obeys_and_remembers(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    """Through the public interface, with a real bundle and the real clock."""
    path = tmp_path / "tiny.gagrad"
    sign_bundle(tiny_bundle, path, [device.key], product="tiny", version=7, signed=DAY)
    file = write_policy(tmp_path / "trust.toml", device)
    with pytest.raises(TrustError, match="not signed"):
        gagrad_runtime.load(tiny_bundle, device="cpu", trust=file)
    with gagrad_runtime.load(path, device="cpu", trust=file) as explainer:
        explainer.explain(np.zeros((24, 32, 3), np.uint8))
    assert read_state(tmp_path / "seen.json").versions == {"tiny": 7}


def test_a_release_that_does_not_open_leaves_the_way_back(device: Device) -> None:
    """The floor moves after the graphs were opened: these are none."""
    with pytest.raises(BundleError, match="not an ONNX file"):
        gagrad_runtime.load(device.bundle(version=2), device="cpu", trust=device.policy())
    assert read_state(device.state).versions == {}


@pytest.mark.slow
def test_there_is_one_gate(root: Path) -> None:
    """No module of the runtime reads a bundle but the gate, and ``inspect``, which runs nothing."""
    readers = set()
    for path in (root / "runtime").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and any(name.name == "read_bundle" for name in node.names):
                readers.add(path.name)
    assert readers == {"gate.py", "inspect.py"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such pipes")
def test_a_pipe_in_place_of_a_policy_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Whoever may write to the folder could else stop each start."""
    os.mkfifo(tmp_path / "trust.toml")
    with pytest.raises(SettingError, match="no regular file"):
        read_policy(tmp_path / "trust.toml")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_a_policy_that_another_group_may_write_is_refused(tmp_path: Path, device: Device) -> None:
    """It is as good as theirs; a group of this user's own does no harm."""
    path = tmp_path / "group.toml"
    path.write_text(f'[[keys]]\nname = "k"\nkey = "{device.key.public.text}"\n')
    path.chmod(0o664)
    read_policy(path)
    os.chown(path, 0, 1000)
    with pytest.raises(SettingError, match="number 1000"):
        read_policy(path)


def test_a_state_whose_name_no_file_can_have_is_refused(tmp_path: Path) -> None:
    """As what it is."""
    with pytest.raises(TrustError, match="null"):
        read_state(tmp_path / "a\0b")
