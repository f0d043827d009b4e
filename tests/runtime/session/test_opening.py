"""The one way to open a bundle: policy, first opening in a child, proof, and what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import BundleError, DeviceError, TrustError, VerificationError
from gagrad_edge.manifest import REQUIRED_ROLES
from gagrad_edge.trust.keys import generate
from gagrad_runtime.session import opening
from gagrad_runtime.session.canary import Finding
from gagrad_runtime.session.opening import Compiled, open_session
from gagrad_runtime.trust import Policy, TrustDecision

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the steps that were taken, in order, on a device without a cache; the steps do nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    taken: list[str] = []

    def try_opening(*_: Any, **__: Any) -> None:
        taken.append("child")

    def examine(*_: Any) -> list[Finding]:
        taken.append("canary")
        return []

    monkeypatch.setattr(opening, "try_opening", try_opening)
    monkeypatch.setattr(opening, "examine", examine)
    return taken


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"device": "cpu"}, ["child"]),
        ({"device": "cpu", "prove": "always"}, ["child", "canary"]),
        ({"device": "cpu", "trial": False}, []),
        ({"device": "openvino"}, ["child", "canary"]),
        ({"device": "openvino", "prove": "never"}, ["child"]),
        ({"device": "openvino", "trial": False}, ["canary"]),
    ],
)
def test_the_steps(tiny_bundle: Path, steps: list[str], options: Any, expected: list[str]) -> None:
    """The canary runs on engines that the exporter did not verify with, the child unless a policy trusts."""
    open_session(tiny_bundle, **options).close()
    assert steps == expected


def test_the_policy_comes_first(tiny_bundle: Path, steps: list[str]) -> None:
    """A refused bundle is not opened, and the caller gets the decision."""
    decisions: list[TrustDecision] = []
    policy = Policy((generate().public,))
    with pytest.raises(TrustError, match="not signed"):
        open_session(tiny_bundle, "cpu", trust=policy, on_decision=decisions.append)
    assert steps == []
    assert [decision.failed is not None for decision in decisions] == [True]


def test_a_bundle_that_was_changed_meanwhile(tiny_bundle: Path, steps: list[str]) -> None:
    """``sha256`` ties the opening to a check before."""
    open_session(tiny_bundle, "cpu", sha256=read_bundle(tiny_bundle).sha256).close()
    steps.clear()
    with pytest.raises(BundleError, match="changed while it was checked"):
        open_session(tiny_bundle, "cpu", sha256="0" * 64)
    assert steps == []


def test_every_graph_is_compiled_and_reported(tiny_bundle: Path, steps: list[str]) -> None:
    """``on_compiled`` gets all graphs of the bundle, not only those that every explanation needs."""
    compiled: list[Compiled] = []
    with open_session(tiny_bundle, "cpu", on_compiled=compiled.append) as session:
        expected = {f"{entry.role} {entry.variant}".strip() for entry in session.bundle.manifest.graphs}
    names = [one.name for one in compiled]
    assert names[0] == "all, in a child"
    assert {"predict features", "cam features"} <= expected, "one forward pass serves both: these are used"
    assert set(names[1:]) == expected - {"predict", "cam"} > set(REQUIRED_ROLES) - {"predict"}
    assert all(one.seconds >= 0 for one in compiled)


def test_a_device_that_is_not_there_is_an_error(tiny_bundle: Path, steps: list[str]) -> None:
    """Only ``auto`` chooses another one."""
    with pytest.raises(DeviceError):
        open_session(tiny_bundle, "tensorrt")


def test_the_last_engine_has_no_replacement(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that was to be proven, and computes something else, is refused."""
    monkeypatch.setattr(opening, "examine", lambda *_: [Finding("the score is off by", 1.0, 0.01)])
    with pytest.raises(VerificationError, match="the score is off by 1"):
        open_session(tiny_bundle, "cpu", prove="always", trial=False)


def test_the_child_reports_progress(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an engine is built in the child process its steps reach the caller."""
    from gagrad_runtime.session import trial

    monkeypatch.setattr(trial, "_CHILD", _SLOW_CHILD)
    monkeypatch.setattr(trial, "_passed_file", lambda *_: None)
    seen: list[tuple[int, int, str]] = []
    open_session(tiny_bundle, "cpu", progress=lambda *step: seen.append(step)).close()
    assert seen == [(1, 2, "building predict"), (2, 2, "building predict")] * 2, "both forms of predict"


_SLOW_CHILD = """
import sys; sys.path[:] = sys.argv[2:]
from gagrad_runtime import backend
from gagrad_runtime.session.trial_child import child
real = backend.open_backend
def open_backend(*arguments, **options):
    found = real(*arguments, **options)
    plain = found.open
    def build(role, *rest):
        if role == "predict":
            found.progress(1, 2, "building predict")
            found.progress(2, 2, "building predict")
        return plain(role, *rest)
    found.open = build
    return found
backend.open_backend = open_backend
child()
"""
