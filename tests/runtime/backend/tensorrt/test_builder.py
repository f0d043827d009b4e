"""Plans by the real TensorRT-RTX, for a GPU that is not here."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gagrad_edge.bundle.bundle import Bundle, read_bundle
from gagrad_edge.errors import DeviceError, MissingPackageError, ModelError
from gagrad_edge.manifest import GraphKey
from gagrad_runtime.backend.tensorrt.builder import BuildOptions, BuildStoppedError, build_plan
from gagrad_runtime.backend.tensorrt.library import Library, open_library

pytest.importorskip("tensorrt_rtx", reason="there is no wheel for this processor")
OPTIONS = BuildOptions(rows=4, capability="SM86")


@pytest.fixture(scope="module")
def library() -> Library:
    return open_library("tensorrt-rtx")


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.mark.slow
def test_every_graph_of_a_bundle_becomes_a_plan_that_the_library_knows(
    library: Library, bundle: Bundle
) -> None:
    """TensorRT-RTX builds a plan of each graph and reads it as one."""
    runtime = library.module.Runtime(library.logger)
    for entry in bundle.manifest.graphs:
        data = bundle.graph(GraphKey(entry.role, entry.variant, "tensorrt"))
        plan, timing = build_plan(library, entry.role, data, OPTIONS)
        assert len(plan) > runtime.engine_header_size
        assert timing == b""
        # Without a GPU it is "invalid" here, but it is read as a plan; other bytes are not.
        validity, _ = runtime.get_engine_validity(plan)
        assert validity in set(library.module.EngineValidity.__members__.values())


@pytest.mark.slow
def test_what_the_library_refuses_comes_with_its_reason(library: Library) -> None:
    """Bytes that TensorRT-RTX refuses raise ModelError with the graph's role and another device."""
    with pytest.raises(ModelError, match="graph 'predict'") as caught:
        build_plan(library, "predict", b"no graph at all", OPTIONS)
    assert "`device=cuda` or `device=cpu`" in str(caught.value)


@pytest.mark.slow
def test_progress_is_told_and_can_stop_the_build(library: Library, bundle: Bundle) -> None:
    """The progress callback gets steps within their total, and stops the build by returning False."""
    steps: list[tuple[int, int]] = []

    def note(done: int, total: int) -> bool:
        steps.append((done, total))
        return True

    data = bundle.graph(GraphKey("accumulate", target="tensorrt"))
    build_plan(library, "accumulate", data, OPTIONS, progress=note)
    assert steps
    assert all(1 <= done <= max(total, 1) for done, total in steps)
    with pytest.raises(BuildStoppedError):
        build_plan(library, "accumulate", data, OPTIONS, progress=lambda done, total: False)


def test_ctrl_c_stops_a_build(bundle: Bundle, tmp_path: Path) -> None:
    """In a process of its own, which gets the signal while the library is building."""
    (tmp_path / "graph.onnx").write_bytes(bundle.graph(GraphKey("accumulate", target="tensorrt")))
    child = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(tmp_path / "graph.onnx")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "building\n"
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=300)
    assert rest == "interrupted\n"


_BUILD = """
import sys
from gagrad_runtime.backend.tensorrt.backend import build_interruptibly
from gagrad_runtime.backend.tensorrt.builder import BuildOptions
from gagrad_runtime.backend.tensorrt.library import open_library

library, data, calls = open_library("tensorrt-rtx"), open(sys.argv[1], "rb").read(), []

def progress(done, total):
    if not calls:
        calls.append(print("building", flush=True))

options = BuildOptions(rows=4, capability="SM86")
try:
    while True:
        build_interruptibly(library, "accumulate", data, options, b"", progress)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_a_library_that_is_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing TensorRT raises MissingPackageError, and one before 10.3 DeviceError."""
    import types

    with pytest.raises(MissingPackageError, match="JetPack"):
        open_library("tensorrt")
    old = types.ModuleType("tensorrt")
    old.__version__ = "8.6.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(DeviceError, match=r"8\.6\.1 is older than 10\.3"):
        open_library("tensorrt")
