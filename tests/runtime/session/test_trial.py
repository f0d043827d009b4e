"""A graph that harms its engine harms a child process, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from onnx import helper

import gagrad_runtime
from gagrad_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from gagrad_edge.errors import BundleError, DeviceError, ModelError
from gagrad_runtime.backend import open_backend
from gagrad_runtime.session import trial as first_opening
from gagrad_runtime.session.trial import try_opening
from gagrad_runtime.trust import Policy
from tests.models import MEMBERS, plain_manifest
from tests.runtime.session.hostile import with_predict
from tests.runtime.trust.test_trust import Device


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def marks(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "gagrad-edge" / "opened").glob("*"))


@pytest.mark.slow
def test_a_good_bundle_is_tried_once(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And remembered by what is in it and by the engine."""
    backend = open_backend("cpu")
    try_opening(bundle, backend, "cpu")
    assert len(marks(tmp_path)) == 1
    monkeypatch.setattr(first_opening, "_CHILD", "import os; os.abort()")
    try_opening(bundle, backend, "cpu")
    backend.description = "another engine"
    with pytest.raises(BundleError):
        try_opening(bundle, backend, "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", r"the engine crashed \(SIGABRT\)"),
        (
            "import os; print('running graph a', flush=True); os.kill(os.getpid(), 11)",
            "running graph a .*SIGSEGV",
        ),
        ("raise SystemExit(3)", "ended with code 3"),
        ("print('{}'); print('{\"kind\": 1}')", "ended with code 0"),
        ("import time; time.sleep(60)", "not done after 1 s"),
        ("kept = bytearray(400 << 20); import time; time.sleep(60)", "more than 200 MiB of memory"),
        ("print('done 0', flush=True); import os; os.abort()", "SIGABRT"),
    ],
)
def test_what_harms_the_engine_is_an_error_about_the_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    """Crash, hang and greed; none is remembered as good, and no process stays behind."""
    monkeypatch.setattr(first_opening, "_CHILD", program)
    children: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            children.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    # Only the hang is to meet the time limit, however busy this machine is.
    seconds = 1 if "not done" in words else 120
    with pytest.raises(BundleError, match=words) as caught:
        try_opening(bundle, open_backend("cpu"), "cpu", seconds=seconds, memory=200 << 20)
    assert caught.value.where == str(bundle.path)
    assert marks(tmp_path) == []
    (child,) = children
    assert child.returncode is not None, "it was not waited for"


@pytest.mark.slow
def test_what_an_engine_refuses_is_the_models_error(tmp_path: Path) -> None:
    """As the engine tells it, through the child; a member that is no graph is the bundle's."""
    write_bundle(tmp_path / "part.gagrad", plain_manifest(), MEMBERS)
    with pytest.raises(BundleError, match="a graph in it is not an ONNX file"):
        gagrad_runtime.load(tmp_path / "part.gagrad", device="cpu")
    unknown = helper.make_graph([helper.make_node("Nothing", [], ["y"])], "g", [], [])
    data = helper.make_model(unknown, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    graphs = {name: data for name in MEMBERS if name.startswith("graphs/")}
    write_bundle(tmp_path / "part.gagrad", plain_manifest(), MEMBERS | graphs)
    with pytest.raises(ModelError, match="ONNX Runtime cannot run it"):
        gagrad_runtime.load(tmp_path / "part.gagrad", device="cpu")
    with pytest.raises(DeviceError, match="no device 'abacus'"):
        try_opening(read_bundle(tmp_path / "part.gagrad"), open_backend("cpu"), "abacus")
    assert marks(tmp_path) == []


def test_who_is_trusted_needs_no_trial(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is asked for; and without a policy it may be left out."""
    from gagrad_edge.bundle.signing import sign_bundle

    device = Device(tmp_path)
    path = tmp_path / "tiny.gagrad"
    sign_bundle(tiny_bundle, path, [device.key], product="tiny", version=1)
    policy = Policy((device.key.public,))
    monkeypatch.setattr(first_opening, "_CHILD", "import os; os.abort()")
    gagrad_runtime.load(path, device="cpu", trust=policy).close()
    gagrad_runtime.load(path, device="cpu", trial=False).close()
    with pytest.raises(BundleError, match="crashed"):
        gagrad_runtime.load(path, device="cpu", trust=policy, trial=True)
    with pytest.raises(BundleError, match="crashed"):
        gagrad_runtime.load(path, device="cpu")


def test_the_folder_where_it_starts_is_not_the_childs(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that lies there is not imported."""
    (tmp_path / "gagrad_runtime").mkdir()
    (tmp_path / "gagrad_runtime" / "__init__.py").write_text("import os; os.abort()")
    monkeypatch.chdir(tmp_path)
    root = Path(first_opening.__file__).parents[3]
    elsewhere = [path for path in sys.path if Path(path).is_absolute()]
    monkeypatch.setattr(sys, "path", [str(root), str(root / "runtime"), *elsewhere])
    try_opening(bundle, open_backend("cpu"), "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "seconds", "words"),
    [
        ("loop", 5, "running graph 'predict' failed .* not done after 5 s"),
        ("greedy", 300, "more than .* MiB of memory"),
    ],
)
def test_a_graph_that_opens_and_harms_when_it_runs_is_refused(
    tiny_bundle: Path, tmp_path: Path, kind: str, seconds: int, words: str
) -> None:
    """An endless loop and a constant of 6 GB end the child, and are not remembered as good."""
    bundle = read_bundle(with_predict(tiny_bundle, tmp_path / "bad.gagrad", kind))
    with pytest.raises(BundleError, match=words):
        try_opening(bundle, open_backend("cpu"), "cpu", seconds=seconds)
    assert marks(tmp_path) == []


@pytest.mark.slow
def test_what_is_remembered_holds_within_the_limits_of_the_day(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that took more than the limits allow now is made again; so is one of which nothing is known."""
    backend = open_backend("cpu")
    try_opening(bundle, backend, "cpu")
    (mark,) = marks(tmp_path)
    monkeypatch.setattr(first_opening, "_CHILD", "import os; os.abort()")
    with pytest.raises(BundleError, match=r"crashed|more than 1 MiB"):
        try_opening(bundle, backend, "cpu", memory=1 << 20)
    mark.write_bytes(b"")
    with pytest.raises(BundleError, match="crashed"):
        try_opening(bundle, backend, "cpu")


def test_a_target_that_the_scores_lack_is_the_bundles_fault(tiny_bundle: Path, tmp_path: Path) -> None:
    """A self-test that asks for a score that is not there raises BundleError and no IndexError."""
    found = read_bundle(tiny_bundle)
    test = msgspec.structs.replace(found.manifest.selftest, target=[9])
    members = {name: bytes(data) for name, data in found.members.items()}
    path = tmp_path / "bad.gagrad"
    write_bundle(path, msgspec.structs.replace(found.manifest, selftest=test), members)
    with pytest.raises(BundleError, match=r"target \[9\] is none of the scores"):
        try_opening(read_bundle(path), open_backend("cpu"), "cpu")
