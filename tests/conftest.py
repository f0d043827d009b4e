"""Fixtures for more than one folder of tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import CLASSES, SIZE, tiny_model

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is remembered out of the user's home, also for the commands that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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
