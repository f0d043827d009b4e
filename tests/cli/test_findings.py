"""From a shortcut that a model has learned to the gate that the next one must pass, with real bundles."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="an audit needs the extra audit")
pytest.importorskip("sklearn", reason="clusters need the extra audit")

from gagrad_edge.cli import run
from gagrad_runtime.language import choice
from tests.planted import CORNER, write_bundle, write_parts

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the bundles, the parts and an audit whose clusters are found."""
    folder = tmp_path_factory.mktemp("plant")
    for shortcut in (True, False):
        write_bundle(folder, shortcut=shortcut)
    write_parts(folder / "parts")
    out = str(folder / "audit")
    learned = str(folder / "learned.gagrad")
    assert run(["audit", learned, str(folder / "parts"), "-o", out, "--workers", "1", "--one-in", "0"]) == 0
    assert run(["clusters", out, "--device", "cpu"]) == 0
    return folder


def decide(plant: Path, *words: str) -> int:
    given = [argument for word in words for argument in ("--decide", word)]
    return run(["clusters", str(plant / "audit"), *given, "--who", "A. Engineer", "--note", "the sticker"])


def gate(plant: Path, bundle: str, file: Path | None = None) -> int:
    findings = plant / "audit" / "findings.json" if file is None else file
    return run(["audit", str(plant / f"{bundle}.gagrad"), "--assert", str(findings), "--device", "cpu"])


def test_the_gate_tells_the_model_that_learned_it_from_the_next(plant: Path, capsys: Capture) -> None:
    """What was called bad ends with exit code 1 while a model does it, and with 0 when it does not."""
    assert decide(plant, "0=bad", "1=keep") == 0
    told = json.loads((plant / "audit" / "findings.json").read_text())
    first = told["clusters"][0]
    assert (first["number"], first["decision"], first["who"], first["note"]) == (
        0, "bad", "A. Engineer", "the sticker",
    )  # fmt: skip
    assert first["when"].endswith("Z")
    assert "decision: bad · A. Engineer, 20" in (plant / "audit" / "clusters.html").read_text()
    capsys.readouterr()
    assert gate(plant, "learned") == 1
    table, words = capsys.readouterr()
    assert table.splitlines()[1].endswith("STILL BAD")
    assert "1 still bad, 0 cannot be told, 0 gone" in words
    assert gate(plant, "next") == 0
    table, words = capsys.readouterr()
    assert table.splitlines()[1].split()[:4] == ["0", "the", "upper", "right"]
    assert table.splitlines()[1].endswith("gone")


def test_decisions_outlive_another_search(plant: Path, capsys: Capture) -> None:
    """The same clusters keep what was said of them; what was said of others is kept in a file."""
    assert decide(plant, "0=bad", "1=keep") == 0
    path = plant / "audit" / "findings.json"
    told = json.loads(path.read_text())
    told["clusters"][0]["place"] = [[8, 8, 12, 12]]
    path.write_text(json.dumps(told))
    assert run(["clusters", str(plant / "audit"), "--device", "cpu"]) == 0
    assert "kept in" in capsys.readouterr().err
    kept = json.loads((plant / "audit" / "findings.1.json").read_text())
    assert kept["clusters"][0]["place"] == [[8, 8, 12, 12]]
    now = {one["number"]: one for one in json.loads(path.read_text())["clusters"]}
    assert (now[0]["decision"], now[1]["decision"], now[1]["who"]) == ("ask", "keep", "A. Engineer")
    assert now[0]["place"] != [[8, 8, 12, 12]]


def test_excluded_images_and_masks(plant: Path, tmp_path: Path) -> None:
    """Each member has a row with its mask, of the frame's size, over the place; decided anew, both go."""
    assert decide(plant, "0=bad") == 0
    out = tmp_path / "out"
    assert run(["clusters", str(plant / "audit"), "--exclude", str(out)]) == 0
    rows = list(csv.DictReader((out / "excluded.csv").read_text().splitlines()))
    first = json.loads((plant / "audit" / "findings.json").read_text())["clusters"][0]
    assert len(rows) == first["images"]
    assert {one["path"]: one["sha256"] for one in first["members"]}.items() <= {
        row["path"]: row["sha256"] for row in rows
    }.items()
    assert all(int(Path(row["path"]).stem) % 4 == 1 for row in rows)
    mask = np.asarray(Image.open(out / rows[0]["mask"]))
    assert mask.shape == (64, 64)
    inside = mask[CORNER]
    assert inside.sum() == mask.sum() == 255 * (inside > 0).sum() > 0
    assert decide(plant, "0=ask") == 0
    assert run(["clusters", str(plant / "audit"), "--exclude", str(out)]) == 0
    assert (out / "excluded.csv").read_text() == "path,sha256,cluster,place,verdict,mask\n"
    assert list((out / "masks").iterdir()) == []


def test_missing_images_are_counted(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """A few that are gone or have other pixels are named; when most are, the gate cannot be asked."""
    assert decide(plant, "0=bad") == 0
    told = json.loads((plant / "audit" / "findings.json").read_text())
    members = told["clusters"][0]["members"]
    members[0]["path"] = "/nowhere/a.png"
    members[1]["sha256"] = "0" * 64
    file = tmp_path / "findings.json"
    file.write_text(json.dumps(told))
    assert gate(plant, "learned", file) == 1
    assert "cluster 0: 2 images gone or changed, such as /nowhere/a.png" in capsys.readouterr().err
    for one in members[2:20]:
        one["path"] = "/nowhere/b.png"
    file.write_text(json.dumps(told))
    assert gate(plant, "learned", file) == 3
    assert "20 of the 28 members of cluster 0 are gone or changed" in capsys.readouterr().err


def test_few_images_cannot_tell(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """Ten members and five others are not enough to call a place gone: exit code 6."""
    assert decide(plant, "0=bad") == 0
    told = json.loads((plant / "audit" / "findings.json").read_text())
    told["clusters"][0]["members"] = told["clusters"][0]["members"][:10]
    told["others"]["dent"] = told["others"]["dent"][:5]
    file = tmp_path / "findings.json"
    file.write_text(json.dumps(told))
    assert gate(plant, "next", file) == 6
    assert "cannot tell" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (('"decision": "ask"', '"decision": "badd"'), 'cluster 1, decision: "badd" is not possible'),
        (('"who": ""', '"whom": ""'), "cluster 1: there is no field 'whom'"),
        (('"images": ', '"images": "", "was": '), 'cluster 1, images: "" is not a whole number'),
        (('"when": null', '"when": "yesterday"'), 'cluster 1, when: "yesterday" is no time'),
        (('"number": 1', '"number": 0'), "there are two clusters of number 0"),
        (('"decision": "ask",', '"decision": "ask"'), "column"),
    ],
)
def test_a_file_edited_by_hand_is_checked(
    plant: Path, tmp_path: Path, capsys: Capture, wrong: tuple[str, str], said: str
) -> None:
    """What is wrong is named with cluster and field, or with its line; the exit code is 3."""
    path, file = plant / "audit" / "findings.json", tmp_path / "findings.json"
    assert decide(plant, "1=ask") == 0
    text = path.read_text()
    begin = text.index('"number": 1,')
    part = text[begin:].replace('"who": "A. Engineer"', '"who": ""', 1)
    part = part.replace(part[part.index('"when"') : part.index('"note"')], '"when": null,\n      ', 1)
    file.write_text(text[:begin] + part.replace(*wrong, 1))
    capsys.readouterr()
    assert gate(plant, "next", file) == 3
    message = capsys.readouterr().err
    assert f"{file}: " in message
    assert said in message
    if "badd" in said:
        assert "did you mean 'bad'?\n  Valid choices: ask, bad, keep" in message
    if said == "column":
        line = (text[:begin] + part.replace(*wrong, 1)).splitlines().index('      "decision": "ask"') + 1
        assert f"line {line + 1}, column" in message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--decide", "99=bad"], "there is no cluster 99"),
        (["--decide", "0=good"], "'0=good' is no decision"),
        (["--decide", "0=bad", "--decide", "0=keep"], "cluster 0 has two decisions"),
        (["--who", "me"], "--who: nothing is decided"),
        (["--decide", "0=bad", "--who", ""], "--who: nobody is named"),
        (["--decide", "0=bad", "--who", " \t"], "--who: nobody is named"),
    ],
)
def test_wrong_decisions_change_nothing(plant: Path, capsys: Capture, given: list[str], said: str) -> None:
    """Exit code 2, the valid choices, and the file as it was."""
    before = (plant / "audit" / "findings.json").read_bytes()
    assert run(["clusters", str(plant / "audit"), *given]) == 2
    assert said in capsys.readouterr().err
    assert (plant / "audit" / "findings.json").read_bytes() == before


def test_wrong_use_of_the_gate(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """No source at all, sources beside findings, no findings there: each is said; none bad is fine."""
    bundle, findings = str(plant / "learned.gagrad"), str(plant / "audit" / "findings.json")
    assert run(["audit", bundle]) == 2
    assert run(["audit", bundle, str(plant / "parts"), "--assert", findings]) == 2
    assert run(["audit", bundle, "--assert", str(tmp_path / "none.json")]) == 3
    assert "gagrad-edge clusters AUDIT finds them" in capsys.readouterr().err
    assert decide(plant, "0=ask", "1=ask") == 0
    assert run(["audit", bundle, "--assert", findings]) == 0
    said = capsys.readouterr().err
    assert "nothing in" in said
    assert "1 finding still to decide" in said


def test_an_interrupted_gate_and_list_leave_nothing(plant: Path, tmp_path: Path) -> None:
    """Ctrl-C ends both with 130 or lets them finish; no file is half written."""
    assert decide(plant, "0=bad") == 0
    before = (plant / "audit" / "findings.json").read_bytes()
    code = "from gagrad_edge.cli import main; main()"
    commands = [
        ["audit", str(plant / "learned.gagrad"), "--assert", str(plant / "audit" / "findings.json")],
        ["clusters", str(plant / "audit"), "--exclude", str(tmp_path / "out")],
    ]
    for command in commands:
        process = subprocess.Popen([sys.executable, "-c", code, *command], env={**os.environ})
        time.sleep(1.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 1, 130)
    left = [path for folder in (plant / "audit", tmp_path) for path in folder.rglob("*.part")]
    assert left == []
    assert (plant / "audit" / "findings.json").read_bytes() == before


def test_the_queue_and_its_answers(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """Images to label, answers back, and the next queue has others; wrong use is said."""
    audit, out = str(plant / "audit"), tmp_path / "queue"
    assert run(["queue", audit, "-n", "10", "-o", str(out)]) == 0
    assert f"10 images to label → {out}" in capsys.readouterr().err
    assert run(["queue", audit, "-n", "10", "-o", str(out)]) == 5
    images = json.loads((out / "queue.json").read_text())["images"]
    assert len({one["sha256"] for one in images}) == 10
    assert all(one["why"] and (out / one["map"]).is_file() for one in images if one["map"])
    answers = tmp_path / "answers.csv"
    names = [Path(one["file"]).name for one in images]
    answers.write_text("name,label\n" + "".join(f"{name},OK\n" for name in [*names, "other.png"]))
    assert run(["queue", audit, "-o", str(out), "--answers", str(answers), "--who", "hana"]) == 0
    said = capsys.readouterr().err
    assert "1 image not in the queue, such as other.png" in said
    assert "10 labels from csv" in said
    again = tmp_path / "again"
    assert run(["queue", audit, "-n", "10", "-o", str(again), "--labelled", str(out / "labels.csv")]) == 0
    others = json.loads((again / "queue.json").read_text())["images"]
    assert not {one["sha256"] for one in images} & {one["sha256"] for one in others}
    assert run(["queue", audit, "--who", "hana"]) == 2
    before = (out / "labels.csv").read_bytes()
    capsys.readouterr()
    assert run(["queue", audit, "-o", str(out), "--answers", str(answers), "--who", " "]) == 2
    assert "--who: nobody is named" in capsys.readouterr().err
    assert (out / "labels.csv").read_bytes() == before
    assert run(["queue", str(tmp_path)]) == 3
    assert run(["queue", audit, "-o", str(tmp_path / "x"), "--bundle", str(plant / "next.gagrad")]) == 4
    assert not (tmp_path / "x").exists()


def test_a_gate_that_asks_nothing_is_refused(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """Without a place or members nothing would change and all would look well; images count once."""
    assert decide(plant, "0=bad") == 0
    told = json.loads((plant / "audit" / "findings.json").read_text())
    bad = next(one for one in told["clusters"] if one["number"] == 0)
    for name in ("place", "members"):
        copy = {**told, "clusters": [{**bad, name: []}]}
        (tmp_path / "f.json").write_text(json.dumps(copy))
        assert run(["audit", str(plant / "learned.gagrad"), "--assert", str(tmp_path / "f.json")]) == 3
        assert f"cluster 0, {name}: it is empty" in capsys.readouterr().err
    copy = {**told, "clusters": [{**bad, "members": bad["members"] * 5}]}
    (tmp_path / "f.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(copy).encode())
    assert run(["audit", str(plant / "learned.gagrad"), "--assert", str(tmp_path / "f.json")]) == 1
    assert f" of {len(bad['members'])} " in capsys.readouterr().out


def test_a_key_that_comes_twice_is_refused(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """By hand a second decision is easily written under the first; which one counts is nothing to guess."""
    assert decide(plant, "0=bad") == 0
    text = (plant / "audit" / "findings.json").read_text()
    (tmp_path / "f.json").write_text(
        text.replace('"decision": "bad"', '"decision": "bad", "decision": "keep"', 1)
    )
    assert run(["audit", str(plant / "learned.gagrad"), "--assert", str(tmp_path / "f.json")]) == 3
    assert "'decision' is there twice" in capsys.readouterr().err


def test_a_note_stays_with_its_decision(plant: Path) -> None:
    """The same decision again keeps the note; another one does not."""
    notes = []
    for decision, more in (("0=bad", ["--note", "sticker"]), ("0=bad", []), ("0=keep", [])):
        assert run(["clusters", str(plant / "audit"), "--decide", decision, *more]) == 0
        told = json.loads((plant / "audit" / "findings.json").read_text())
        notes.append(next(one["note"] for one in told["clusters"] if one["number"] == 0))
    assert notes == ["sticker", "sticker", ""]


def test_a_list_does_not_go_among_images(plant: Path, tmp_path: Path, capsys: Capture) -> None:
    """A folder with other files is refused; one with an earlier list is written again."""
    assert decide(plant, "0=bad") == 0
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"x")
    assert run(["clusters", str(plant / "audit"), "--exclude", str(tmp_path / "images")]) == 5
    assert "the folder holds other files" in capsys.readouterr().err
    for _ in range(2):
        assert run(["clusters", str(plant / "audit"), "--exclude", str(tmp_path / "out")]) == 0


def test_gate_clusters_and_queue_in_japanese(
    plant: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each says to a person is Japanese by option or variable; exit codes and JSON are the same."""
    monkeypatch.setattr(choice, "_process", list(choice._process))
    audit, findings = str(plant / "audit"), plant / "audit" / "findings.json"
    words = ["--decide", "0=bad", "--decide", "1=ask", "--who", "A. Engineer", "--lang", "ja"]
    assert run(["clusters", audit, *words]) == 0
    assert re.match(
        rf"不可（bad）1 件、許容（keep）0 件、未判断（ask）\d+ 件 → {findings}、", capsys.readouterr().err
    )
    assert '"decision": "bad"' in findings.read_text()
    page = (plant / "audit" / "clusters.html").read_text()
    assert "判断：不可（bad） · A. Engineer, 20" in page
    assert "未判断（ask）" in page
    out = tmp_path / "out"
    assert run(["clusters", audit, "--exclude", str(out), "--lang", "ja"]) == 0
    assert re.match(r"不可のグループ 1 件の画像 \d+ 枚 → ", capsys.readouterr().err)
    gates = ["audit", str(plant / "learned.gagrad"), "--device", "cpu", "--lang", "ja", "--assert"]
    assert run([*gates, str(findings)]) == 1
    table, summary = capsys.readouterr()
    assert table.splitlines()[0].startswith("グループ")
    assert "右上" in table.splitlines()[1]
    assert table.splitlines()[1].endswith("未解消")
    assert summary.endswith("未解消 1 件、判断不能 0 件、解消 0 件\n")
    told = json.loads(findings.read_text())
    told["clusters"][0]["members"][0]["path"] = "/nowhere/a.png"
    (tmp_path / "f.json").write_text(json.dumps(told))
    assert run([*gates, str(tmp_path / "f.json")]) == 1
    assert (
        "グループ 0：画像 1 枚が見つからないか、変更されています（例：/nowhere/a.png）"
        in capsys.readouterr().err
    )
    monkeypatch.setenv("GAGRAD_EDGE_LANG", "ja")
    queue = tmp_path / "queue"
    assert run(["queue", audit, "-n", "10", "-o", str(queue)]) == 0
    assert capsys.readouterr().err == f"ラベル付けする画像 10 枚 → {queue}\n"
    assert (queue / "queue.csv").read_text("utf-8-sig").partition("\n")[0].startswith("number,path")
    images = json.loads((queue / "queue.json").read_text())["images"]
    assert all(word.isascii() for one in images for word in one["why"])
    answers = tmp_path / "answers.csv"
    names = [*(Path(one["file"]).name for one in images), "other.png"]
    answers.write_text("name,label\n" + "".join(f"{name},OK\n" for name in names))
    for said in ("10 件を追加", "0 件を追加、登録済み 10 件"):
        assert run(["queue", audit, "-o", str(queue), "--answers", str(answers), "--who", "hana"]) == 0
        assert capsys.readouterr().err == (
            "ラベル付けの一覧にない画像が 1 枚あります（例：other.png）\n"
            f"csv のラベル {said} → {queue / 'labels.csv'}\n"
        )
    assert run(["clusters", audit, "--device", "cpu"]) == 0
    said, summary = capsys.readouterr()
    assert re.match(r"グループ 0：画像 \d+ 枚：「", said)
    assert "。同じ大きさの別の場所を" in said
    assert re.fullmatch(rf"グループ \d+ 件のうち要確認 \d+ 件 → {plant}/audit/clusters.html\n", summary)
    assert run(["clusters", audit, "--decide", "9=bad"]) == 2
    assert "there is no cluster 9" in capsys.readouterr().err
