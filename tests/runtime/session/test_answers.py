"""Each graph of a bundle must answer as it answered the exporter, on every engine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gagrad_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from gagrad_edge.errors import BundleError
from gagrad_edge.selftest import Answer, decode_answers, difference, encode_answers, fingerprint
from gagrad_runtime.session.answers import examine_answers
from gagrad_runtime.session.finding import Finding
from gagrad_runtime.session.opening import open_session
from tests.runtime.session.hostile import with_predict


def findings(path: Path, device: str = "cpu") -> list[Finding]:
    with open_session(path, device, trial=False, prove="never") as session:
        return examine_answers(session.bundle, session.explainer, every=True)


def rewritten(source: Path, path: Path, change: str) -> Bundle:
    """Write the bundle without its answers (``none``), or with those of ``cam`` doubled."""
    bundle = read_bundle(source)
    members = {name: bytes(data) for name, data in bundle.members.items()}
    test, name = bundle.manifest.selftest, bundle.manifest.selftest.answers
    if change == "none":
        del members[name]
        test = msgspec.structs.replace(test, answers="")
    elif change == "garbage":
        members[name] = b"[{}]"
    else:
        answers = decode_answers(members[name], where="")
        members[name] = encode_answers(
            [
                msgspec.structs.replace(answer, values=[2 * value for value in answer.values])
                if answer.role == change
                else answer
                for answer in answers
            ]
        )
    write_bundle(path, msgspec.structs.replace(bundle.manifest, selftest=test), members)
    return read_bundle(path)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_every_graph_answers_as_at_the_exporter(tiny_bundle: Path, device: str) -> None:
    """All graphs are asked, and on each engine here all pass."""
    if device == "openvino":
        pytest.importorskip("openvino")
    found = findings(tiny_bundle, device)
    assert all(finding.passed for finding in found), found
    asked = {" ".join(finding.check.split()[2:-3]) for finding in found if " of " in finding.check}
    assert {"predict", "accumulate", "combine", "finalize", "maps", "recover", "cam"} <= asked


def test_another_models_predict_is_found(tiny_bundle: Path, tmp_path: Path) -> None:
    """By its answers, and, in a bundle without answers, by the other graphs' scores."""
    other = with_predict(tiny_bundle, tmp_path / "other.gagrad", "other")
    failed = [finding.check for finding in findings(other) if not finding.passed]
    assert "scores of predict is off by" in failed
    rewritten(other, tmp_path / "plain.gagrad", "none")
    failed = [finding.check for finding in findings(tmp_path / "plain.gagrad") if not finding.passed]
    assert "the scores of accumulate differ from those of predict by" in failed


@pytest.mark.slow
@pytest.mark.parametrize("role", ["accumulate", "finalize", "recover", "cam", "maps", "combine"])
def test_each_graph_is_compared(tiny_bundle: Path, tmp_path: Path, role: str) -> None:
    """Other answers of one graph fail the checks of this graph and no others."""
    rewritten(tiny_bundle, tmp_path / "bad.gagrad", role)
    failed = [finding.check for finding in findings(tmp_path / "bad.gagrad") if not finding.passed]
    assert failed
    assert all(f" of {role}" in check for check in failed)


def test_a_bundle_of_earlier_is_read(tiny_bundle: Path, tmp_path: Path) -> None:
    """Without answers the graphs are still compared with each other."""
    rewritten(tiny_bundle, tmp_path / "old.gagrad", "none")
    found = findings(tmp_path / "old.gagrad")
    assert [finding.passed for finding in found] == [True] * len(found)
    assert len(found) >= 1


def test_answers_that_are_none_are_the_bundles_error(tiny_bundle: Path, tmp_path: Path) -> None:
    """A member that holds something else raises BundleError."""
    rewritten(tiny_bundle, tmp_path / "bad.gagrad", "garbage")
    with pytest.raises(BundleError, match="answers are not readable"):
        findings(tmp_path / "bad.gagrad")


def test_a_fingerprint_keeps_the_size_of_a_difference() -> None:
    """A change of one per cent anywhere is seen as about one per cent, one of everything as much more."""
    import numpy as np

    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 40, 50)).astype(np.float32)
    change = rng.standard_normal(values.shape).astype(np.float32)
    known = fingerprint(values)
    assert known is not None
    assert len(known) == 64
    near, far = fingerprint(values + 0.01 * change), fingerprint(change)
    assert near is not None and far is not None  # noqa: PT018 - for the types
    assert 0.003 < difference(near, known) < 0.03
    assert difference(far, known) > 0.5
    assert difference([1.0], known) == float("inf")
    assert fingerprint(np.array([1, np.nan], np.float32)) is None
    answer = Answer(role="cam", variant="", frame=0, output="cams", values=known)
    assert decode_answers(encode_answers([answer]), where="") == [answer]
