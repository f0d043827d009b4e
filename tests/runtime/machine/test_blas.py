"""numpy's matrix library starts no threads in a command that explains."""

from __future__ import annotations

import os

import pytest

from gagrad_edge.cli import run
from gagrad_runtime.machine.blas import one_blas_thread

VARIABLE = "OPENBLAS_NUM_THREADS"


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("4", "4")])
def test_a_users_setting_is_kept(monkeypatch: pytest.MonkeyPatch, before: str | None, after: str) -> None:
    """Only where nobody has said otherwise is it one."""
    monkeypatch.setattr(os, "environ", {} if before is None else {VARIABLE: before})
    one_blas_thread()
    assert os.environ[VARIABLE] == after


@pytest.mark.parametrize("command", ["explain", "predict"])
def test_the_commands_ask_for_it(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Before they import numpy, so whatever comes of them."""
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back as it was
    monkeypatch.delenv(VARIABLE)
    assert run([command, "no.gagrad", "no.png"]) == 4
    assert os.environ[VARIABLE] == "1"
