"""``keygen``, ``sign`` and ``verify`` with keys: the way a release goes."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gagrad_edge.cli import run
from gagrad_edge.passphrase import VARIABLE as PASSPHRASE

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def desk(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with an unsigned bundle and two key pairs, ``a`` and ``b``."""
    shutil.copy(tiny_bundle, tmp_path / "part.gagrad")
    monkeypatch.chdir(tmp_path)
    assert run(["keygen", "a"]) == run(["keygen", "b"]) == 0
    return tmp_path


def test_from_key_to_device(desk: Path, capsys: Capture) -> None:
    """What keygen prints is what a device's policy needs; verify says what, who, when."""
    capsys.readouterr()
    assert run(["keygen", "c"]) == 0
    Path("trust.toml").write_text('state = "state.json"\n' + capsys.readouterr().out)
    line = ["--product", "surface-check", "--version", "12", "--expires", "2999-12-31"]
    assert run(["sign", "part.gagrad", "--key", "c.key", *line]) == 0
    capsys.readouterr()
    assert run(["verify", "part.gagrad", "--trust", "trust.toml", "--device", "cpu", "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["passed"]
    assert report["trust"]["product"] == "surface-check"
    assert report["trust"]["version"] == 12
    assert report["trust"]["expires"] == "2999-12-31T23:59:59Z"
    assert [signer["name"] for signer in report["trust"]["signers"]] == ["c"]
    assert {check["outcome"] for check in report["trust"]["checks"]} == {"passed"}
    assert "ok signature: c (" in captured.err
    assert not Path("state.json").exists(), "verify remembers nothing"


def test_verify_says_which_check_failed(desk: Path, capsys: Capture) -> None:
    """verify names the check that failed and exits with 4; with the signer's key it passes."""
    assert run(["verify", "part.gagrad", "--key", "a.pub", "--json"]) == 4
    captured = capsys.readouterr()
    assert not json.loads(captured.out)["passed"]
    assert "NO signature: the bundle is not signed" in captured.err
    assert run(["sign", "part.gagrad", "--key", "a.key", "--product", "part", "--version", "1"]) == 0
    assert run(["verify", "part.gagrad", "--key", "b.pub", "--device", "cpu"]) == 4
    assert "How to mend it" in capsys.readouterr().err
    assert run(["verify", "part.gagrad", "--key", "a.pub", "--device", "cpu"]) == 0


def test_two_people_sign(desk: Path) -> None:
    """Two --key options need both signatures; --threshold changes how many."""
    both = ["--key", "a.pub", "--key", "b.pub"]
    assert run(["sign", "part.gagrad", "--key", "a.key", "--product", "part", "--version", "1"]) == 0
    assert run(["verify", "part.gagrad", *both, "--device", "cpu"]) == 4
    assert run(["verify", "part.gagrad", *both, "--threshold", "1", "--device", "cpu"]) == 0
    assert run(["sign", "part.gagrad", "--key", "b.key", "-o", "signed.gagrad"]) == 0
    assert run(["verify", "signed.gagrad", *both, "--device", "cpu"]) == 0
    assert run(["verify", "signed.gagrad", *both, "--threshold", "3"]) == 2
    assert run(["verify", "signed.gagrad", "--key", "a.pub", "--key", "a.pub"]) == 2


def test_a_passphrase_from_the_environment(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """keygen and sign take the passphrase from the variable; a wrong one exits with 3."""
    monkeypatch.setenv(PASSPHRASE, "sesame")
    assert run(["keygen", "c", "--passphrase"]) == 0
    line = ["sign", "part.gagrad", "--key", "c.key", "--product", "part", "--version", "1"]
    assert run(line) == 0
    monkeypatch.setenv(PASSPHRASE, "wrong")
    assert run(line) == 3


def test_a_key_in_a_new_folder(desk: Path, capsys: Capture) -> None:
    """The documented ``keygen keys/NAME`` works where there is no folder ``keys`` yet."""
    assert run(["keygen", "keys/release-2027"]) == 0
    assert Path("keys/release-2027.key").stat().st_mode & 0o777 == 0o600
    assert Path("keys/release-2027.pub").exists()


def test_a_key_that_cannot_be_written(desk: Path, capsys: Capture) -> None:
    """The hint names no option that ``keygen`` does not have."""
    Path("file").write_text("no folder")
    assert run(["keygen", "file/release"]) == 5
    said = capsys.readouterr().err
    assert "a file stands where a folder is needed" in said
    assert " -o" not in said


def test_usage(desk: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """keygen and sign exit with 5, 4, 2 and 3 for what the help promises."""
    assert run(["keygen", "a"]) == 5
    assert run(["sign", "part.gagrad", "--key", "a.key"]) == 4
    assert run(["sign", "part.gagrad", "--key", "a.key", "--product", "x"]) == 2
    assert run(["sign", "part.gagrad", "--key", "a.pub", "--product", "x", "--version", "1"]) == 3
    assert run(["sign", "part.gagrad", "--key", "gone.key", "--product", "x", "--version", "1"]) == 3
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert run(["sign", "part.gagrad", "--key", "a.key", "--product", "x", "--version", "1"]) == 2


@pytest.mark.slow
def test_a_file_of_good_parts_is_signed_apart(
    desk: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    """A device with a policy uses it only when it is signed; one that is given unsigned is refused."""
    rng = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(f"{number}.png")
    line = ["--product", "part", "--version", "1"]
    assert run(["sign", "part.gagrad", "--key", "a.key", *line]) == 0
    assert run(["calibrate", "part.gagrad", "0.png", "1.png"]) == 0
    capsys.readouterr()
    assert run(["keygen", "c"]) == 0
    Path("trust.toml").write_text('state = "state.json"\n' + capsys.readouterr().out)
    assert run(["sign", "part.gagrad", "--key", "c.key"]) == 0
    predict = ["predict", "part.gagrad", "0.png", "--trust", "trust.toml"]
    assert run(predict) == 0
    assert "part.good is not used" in caplog.text
    assert run([*predict, "--good", "part.good"]) == 4
    assert "0 of the 1 trusted signatures" in capsys.readouterr().err
    assert run(["sign", "part.good", "--key", "c.key", *line]) == 2
    assert run(["sign", "part.good", "--key", "c.key"]) == 0
    assert run([*predict, "--good", "part.good"]) == 0


def test_every_command_that_loads_a_bundle_obeys(
    desk: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its option and by the variable."""
    capsys.readouterr()
    assert run(["keygen", "c"]) == 0
    Path("trust.toml").write_text('state = "state.json"\n' + capsys.readouterr().out)
    commands = [
        ["explain", "part.gagrad", "x.png"],
        ["calibrate", "part.gagrad", "x.png", "-o", "x.good"],
        ["evaluate", "part.gagrad", "x.png"],
        ["bench", "part.gagrad"],
        ["verify", "part.gagrad"],
    ]
    for command in commands:
        assert run([*command, "--trust", "trust.toml"]) == 4, command
        assert "not signed" in capsys.readouterr().err
    monkeypatch.setenv("GAGRAD_EDGE_TRUST", "trust.toml")
    for command in commands:
        assert run(command) == 4, command


def test_inspect_tells_what_is_stated_and_that_it_is_not_checked(desk: Path, capsys: Capture) -> None:
    """inspect shows product and version of a signed bundle, and that the signature was not checked."""
    assert run(["sign", "part.gagrad", "--key", "a.key", "--product", "part", "--version", "3"]) == 0
    capsys.readouterr()
    assert run(["inspect", "part.gagrad"]) == 0
    assert "part 3 on" in (shown := capsys.readouterr().out)
    assert "not checked" in shown


def test_a_missing_package_is_named(desk: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it; a device with a policy does not go on without it."""
    Path("trust.toml").write_text('[[keys]]\nname = "a"\nkey = "' + "A" * 43 + '="\n')
    assert run(["sign", "part.gagrad", "--key", "a.key", "--product", "part", "--version", "3"]) == 0
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    assert run(["keygen", "c"]) == 5
    assert 'pip install "gagrad-edge[station]"' in capsys.readouterr().err
    key_id = hashlib.sha256(bytes(32)).hexdigest()
    data = Path("part.gagrad").read_bytes()
    assert key_id.encode() not in data
    assert run(["verify", "part.gagrad", "--key", "a.pub"]) == 5
