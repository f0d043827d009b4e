"""Errors: three parts, one code each."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gagrad_edge import errors
from gagrad_edge.errors import DEFECT, FAILED, INTERRUPTED, UNCLEAR, GagradError, TargetError

CODES = {
    "SettingError": 2,
    "InputError": 3,
    "FrameError": 3,
    "RoiError": 3,
    "TargetError": 3,
    "BundleError": 4,
    "TrustError": 4,
    "ModelError": 4,
    "UnsupportedOperatorError": 4,
    "VerificationError": 4,
    "DeviceError": 5,
    "OutOfMemoryError": 5,
    "MissingPackageError": 5,
    "OutputError": 5,
}


def test_the_documented_exit_codes() -> None:
    """Each error class has the exit code of the table in the documentation, and there is no other."""
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, GagradError) and kind is not GagradError
    }
    assert found == CODES
    assert GagradError.exit_code == DEFECT not in found.values()


def test_both_tables_have_every_code(root: Path) -> None:
    """docs/cli.md and the module's docstring list the same codes, and these are all there are."""
    page = (root / "docs/cli.md").read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    rows = [row.split("|")[1].strip() for row in page.splitlines() if row.startswith("| ")]
    listed = {int(code) for code in rows if code != "code"}
    said = {int(line.split()[0]) for line in (errors.__doc__ or "").splitlines() if line[:1].isdigit()}
    assert listed == said == {0, FAILED, UNCLEAR, *CODES.values(), DEFECT, INTERRUPTED}


def test_a_message_says_what_where_and_how_to_mend() -> None:
    """An error's text is place, fault, hint and choices, in this order."""
    error = TargetError("there is no class 'x'", where="target", hint="choose", choices=["a", "b"])
    assert str(error) == ("target: there is no class 'x'\n  How to mend it: choose\n  Valid choices: a, b")


def test_an_error_crosses_a_process_border() -> None:
    """A pickled error comes back with its class, text and choices."""
    error = TargetError("what", where="where", hint="hint", choices=["a"])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.choices) == (TargetError, str(error), ("a",))


@pytest.mark.parametrize("name", CODES)
def test_every_error_is_documented(name: str) -> None:
    """Each error class has a docstring."""
    assert getattr(errors, name).__doc__
