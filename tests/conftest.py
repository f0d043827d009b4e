"""Fixtures for more than one folder of tests."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.machine import touched
from tests.models import CLASSES, SIZE, tiny_model

ROOT = Path(__file__).parent.parent


CHILDREN = Path(__file__).parent / "child_processes"
"""Folder of the ``sitecustomize`` that keeps child processes off the machine's policy."""
VARIABLES = (
    "GAGRAD_EDGE_TRUST",
    "GAGRAD_EDGE_PASSPHRASE",
    "GAGRAD_EDGE_LANG",
    "SOURCE_DATE_EPOCH",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "CREDENTIALS_DIRECTORY",
)
"""Variables that the program reads; none of the shell's reaches a test."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is imported and collected here from the garbage collector: all of it lives to the end.

    That is half a million objects, which each full collection during a test would walk through again: a third
    of the tests' time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests, and the processes that they start, a home, a cache and a policy path of their own.

    A policy, a cache or a variable of this machine would otherwise decide what a test sees.
    """
    from gagrad_runtime.trust import policy

    folder = tmp_path_factory.mktemp("machine")
    nowhere = folder / "etc" / "trust.toml"
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        for variable in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            (folder / variable.lower()).mkdir()
            patch.setenv(variable, str(folder / variable.lower()))
        patch.setattr(policy, "DEFAULT", nowhere)
        patch.setenv("GAGRAD_EDGE_TESTS_POLICY", str(nowhere))
        patch.setenv("PYTHONPATH", str(CHILDREN), prepend=os.pathsep)
        yield


@pytest.fixture(autouse=True)
def _hermetic() -> Iterator[None]:
    """Fail a test that touched a folder of the machine, also when the program caught the error."""
    touched.clear()
    yield
    assert not touched, f"the test touched what belongs to the machine: {touched}"


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """Give the program's logger back as it was.

    ``watch`` in a test's own process logs to the ``stderr`` of that test, which is closed behind it; the next
    test on this worker that logs would print an error of ``logging``.
    """
    logger = logging.getLogger("gagrad_runtime")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """Listen to SIGINT though a shell has started the tests in the background, where it is ignored.

    What tests start would inherit that, and Ctrl-C could not be tested.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the vectors that the authors' implementation made."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle of ``tests.models.tiny_model``, made by the real exporter; do not write to it."""
    import onnx

    from gagrad_export import BundleOptions, MethodSpec, export

    folder = tmp_path_factory.mktemp("tiny")
    onnx.save(tiny_model(), folder / "tiny.onnx")
    path = folder / "tiny.gagrad"
    export(
        folder / "tiny.onnx",
        path,
        size=SIZE,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classes=CLASSES,
        bundle=BundleOptions(method=MethodSpec(samples=6, chunk=4)),
    )
    return path


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle of ``tests.detector.detector``; do not write to it."""
    from tests.detector import write_detector

    return write_detector(tmp_path_factory.mktemp("detector") / "detector.gagrad")
