"""The station's file: what it says, and the line of each error."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gagrad_edge.errors import SettingError
from gagrad_runtime.station.config import StationConfig, read_config, secret
from gagrad_runtime.station.toml_lines import line_of, path_of

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

EXAMPLE = Path(__file__).parents[3] / "examples" / "station.toml"

TEXT = """\
bundle = "part.gagrad"
source = 'in'
output = "out"   # beside it

[rule]
good = [
  "ok",
]
every = 2

[mqtt]
host = "broker"
"port" = 1883
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "station.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Relative paths in station.toml start at its folder; addresses of cameras stay as they are."""
    config = read_config(written(tmp_path, TEXT))
    assert config.bundle == str(tmp_path / "part.gagrad")
    assert config.rule.good == ["ok"]
    assert config.mqtt is not None
    assert config.mqtt.port == 1883
    camera = read_config(written(tmp_path, 'source = "rtsp://camera/stream"'))
    assert camera.source == "rtsp://camera/stream"


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("every = 2", 'every = "2"', 9, "rule.every: expected `int`"),
        ("every = 2", "every = 0", 9, ">= 1"),
        ("every = 2", "evry = 2", 9, "no key 'evry' in [rule]"),
        ('"port" = 1883', '"port" = 99999', 13, "mqtt.port"),
        ('host = "broker"', "", 11, "mqtt: object missing required field `host`"),
        ('"ok",', "1,", 6, "rule.good.0: expected `str`"),
        ("[rule]", "[rules]", 5, "no key 'rules'"),
        ("every = 2", "every = = 2", 9, "not TOML"),
        ("[mqtt]", "[rule]", 11, "not TOML"),
        ("[mqtt]", '[webhook]\nca = "x"\nurl = "http://h:99999/x"\n[mqtt]', 13, "webhook.url"),
        ("[mqtt]", '[webhook]\nurl = "http://[::1/x"\n[mqtt]', 12, "webhook.url"),
        ("[mqtt]", '[webhook]\nurl = "http://:80/x"\n[mqtt]', 12, "names no host"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, before: str, after: str, line: int, said: str) -> None:
    """An error in station.toml begins with the file and the line, and names the key."""
    path = written(tmp_path, TEXT.replace(before, after))
    with pytest.raises(SettingError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)


def test_a_wrong_key_is_answered_with_the_right_ones(tmp_path: Path) -> None:
    """The error about an unknown key lists the keys that its table has."""
    with pytest.raises(SettingError) as caught:
        read_config(written(tmp_path, "[mqtt]\nhots = 1\n"))
    assert "host" in caught.value.choices


def test_lines_of_odd_forms() -> None:
    """A key's line is found in dotted, quoted, repeated and inline tables, and after multi-line text."""
    text = (
        'a.b = 1\n"x y".z = 2\n[[list]]\nk = 1\n[[list]]\nk = 2\nlong = """\nk = 3\n"""\ninline = {m = 1}\n'
    )
    assert line_of(text, ("a", "b")) == 1
    assert line_of(text, ("x y", "z")) == 2
    assert line_of(text, ("list", 1, "k")) == 6
    assert line_of(text, ("list", 1, "inline", "m")) == 10
    assert line_of(text, ("nothing",)) is None
    assert path_of("Expected `int` - at `$.list[1].k`") == ("list", 1, "k")
    assert path_of("Expected `int`") == ()


def test_the_example_is_valid_and_complete(tmp_path: Path) -> None:
    """Every key that there is stands in it, in force or behind a #, with a comment."""
    read_config(EXAMPLE)
    text = EXAMPLE.read_text()
    bare = re.sub(r"(?m)^#(?! )", "", text)
    read_config(written(tmp_path, bare))
    keys = tomllib.loads(bare)
    for field in msgspec.structs.fields(StationConfig):
        assert field.name in keys, field.name
        kinds = [field.type, *getattr(field.type, "__args__", ())]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                assert {inner.name for inner in msgspec.structs.fields(kind)} == set(keys[field.name])


def test_secrets_come_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is read from a file or a variable; one that is missing is an error."""
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("PASSWORD", "other")
    assert secret("$CREDENTIALS_DIRECTORY/password", None, what="x") == "s3cret"
    assert secret(None, "PASSWORD", what="x") == "other"
    assert secret(None, None, what="x") is None
    with pytest.raises(SettingError, match="cannot be read"):
        secret(str(tmp_path / "nothing"), None, what="x")
    with pytest.raises(SettingError, match="is not set"):
        secret(None, "NOT_SET_ANYWHERE", what="x")
