"""Ctrl-C and SIGTERM end a run that does not end by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gagrad_runtime.backend import interruption
from gagrad_runtime.backend.interruption import interruptible
from tests.runtime.session.hostile import with_predict

_PROGRAM = """
import signal, sys, numpy, gagrad_runtime
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, lambda *_: None)
explainer = gagrad_runtime.load(sys.argv[1], device="cpu", trial=False)
print("running", flush=True)
try:
    explainer.predict(numpy.zeros((24, 32, 3), "uint8"))
except KeyboardInterrupt:
    print("ended", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_endless_run(tiny_bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Also where the program's own handler raises nothing, as a station's.

    Nothing is kept of the graph: it would be proven first, for a minute.
    """
    path = with_predict(tiny_bundle, tmp_path / "loop.gagrad", "loop")
    command = [sys.executable, "-c", _PROGRAM, str(path)]
    nowhere = {**os.environ, "XDG_CACHE_HOME": os.devnull}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=nowhere) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(0.5)
        process.send_signal(number)
        try:
            assert process.communicate(timeout=30)[0] == "ended\n"
        finally:
            process.kill()


def test_a_run_that_ends_by_itself_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the grace the signal's own handler does what it does, and nothing is raised."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    monkeypatch.setattr(interruption, "GRACE", 30.0)
    ended: list[str] = []
    try:
        with interruptible(lambda: ended.append("run")):
            signal.raise_signal(signal.SIGTERM)  # delivered before the handler is put back
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (seen, ended) == ([signal.SIGTERM], [])


def test_other_signals_end_nothing_and_a_programs_own_wakeup_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asyncio has set is there again, and is never replaced."""
    monkeypatch.setattr(interruption, "GRACE", 0.0)
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    assert signal.set_wakeup_fd(writing.fileno()) == -1
    try:
        with interruptible(lambda: None):
            assert signal.set_wakeup_fd(writing.fileno()) == writing.fileno()
    finally:
        assert signal.set_wakeup_fd(-1) == writing.fileno()
        reading.close()
        writing.close()


def test_an_engines_error_stays_one_without_a_signal() -> None:
    """And in another thread than the main one a run is as it was."""
    with pytest.raises(ValueError, match="broken"), interruptible(lambda: None):
        raise ValueError("broken")
    found: list[Any] = []

    def work() -> None:
        with interruptible(lambda: None):
            found.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]


_TWO_CORES = """
import gc, signal, sys
from gagrad_runtime.backend.openvino import OpenVinoBackend

first, second = OpenVinoBackend(), OpenVinoBackend()
del first
gc.collect()
del second
gc.collect()
seen = []
signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
for _ in range(50):
    signal.raise_signal(signal.SIGTERM)
sys.exit(len(seen) != 50)
"""


@pytest.mark.slow
def test_a_signal_after_openvino_is_handled() -> None:
    """Also where two backends were there and are gone: on AMX the plugin left a stack that was freed."""
    pytest.importorskip("openvino")
    assert subprocess.run([sys.executable, "-c", _TWO_CORES], check=False).returncode == 0
