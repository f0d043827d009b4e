"""The backend as a whole, on a GPU in host memory: state, memory, captured launches, kept engines, errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import BundleError, DeviceError, OutOfMemoryError, SettingError
from gagrad_runtime.backend import open_backend
from gagrad_runtime.backend.tensorrt import backend as backend_module
from gagrad_runtime.backend.tensorrt import cuda as cuda_module
from gagrad_runtime.backend.tensorrt.backend import TensorRtBackend
from gagrad_runtime.backend.tensorrt.library import Library
from gagrad_runtime.session.opening import open_session
from tests.runtime.backend.tensorrt.host_gpu import HostCuda, HostEngine
from tests.runtime.backend.test_weights import graph

# The stand-ins for TensorRT and CUDA are in this process only, and not in the child that would open first.
load = partial(gagrad_runtime.load, trial=False)
FRAME = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
Open = Callable[[], TensorRtBackend]


class Gpu:
    """The machine: what was built on it, and its memory."""

    def __init__(self) -> None:
        self.cuda = HostCuda()
        self.built: list[str] = []
        self.broken_plans = False

    def library(self, kind: str) -> Library:  # noqa: ARG002
        """Return the library as far as the backend asks it."""
        trt = SimpleNamespace(
            Runtime=lambda logger: self,
            TensorIOMode=SimpleNamespace(INPUT=0, OUTPUT=1),
            DataType=SimpleNamespace(FLOAT=0),
            TensorLocation=SimpleNamespace(DEVICE=0),
        )
        return Library("tensorrt", trt, "10.13.0", [], None)

    def build(self, *arguments: Any) -> tuple[bytes, bytes]:
        """Return a plan that is the graph."""
        _, graph, data, options, _, progress = arguments
        self.built.append(graph)
        progress(1, 2)
        return f"{options.rows} ".encode() + data, b"timing"

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        """Return the engine of a plan."""
        if self.broken_plans:
            self.broken_plans = False
            return None
        rows, _, data = plan.partition(b" ")
        return HostEngine(self.library("").module, self.cuda, data, int(rows))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Gpu:
    gpu = Gpu()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(backend_module, "open_library", gpu.library)
    monkeypatch.setattr(backend_module, "build_interruptibly", gpu.build)
    monkeypatch.setattr(cuda_module, "_runtime", lambda: gpu.cuda)
    return gpu


@pytest.mark.slow
def test_a_build_reports_its_steps(gpu: Gpu, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the callback that the backend was given; the backend itself writes nothing to the terminal."""
    steps: list[tuple[int, int, str]] = []
    session = open_session(
        tiny_bundle, "tensorrt", trial=False, prove="never", progress=lambda *step: steps.append(step)
    )
    session.close()
    assert {label for _, _, label in steps} >= {"building predict", "building accumulate"}
    assert steps[0][:2] == (1, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_explains_as_the_cpu_does_and_again_the_same(gpu: Gpu, tiny_bundle: Path) -> None:
    """Behind the canary. New memory is full of NaN here, so nothing that was not written is read."""
    with load(tiny_bundle, device="cpu") as known, load(tiny_bundle, device="tensorrt") as explainer:
        expected, found = (one.explain(FRAME, chunk=2, rcap=True) for one in (known, explainer))
        again = [explainer.explain(FRAME, chunk=2, rcap=True) for _ in range(3)]
        assert known.graphs.compiled_size is None
        assert explainer.graphs.compiled_size > 10_000
    assert found.provenance.backend == "tensorrt 10.13.0 (Host, CUDA driver 13.2, float32)"
    assert found.provenance.backend_notes == ()
    for one in (found, *again):
        np.testing.assert_array_equal(one.saliency, expected.saliency)
        assert one.rcap.score == expected.rcap.score


@pytest.mark.parametrize(
    ("preset", "launches"),
    [
        # predict, two chunks, combine, finalize, recover, and predict again for RCAP.
        ("paper", 7),
        # predict, cam, two chunks, combine, maps of all and of each half; RCAP was not asked for.
        ("operator", 8),
    ],
)
def test_launches_are_captured_and_memory_is_used_again(
    gpu: Gpu, tiny_bundle: Path, preset: str, launches: int
) -> None:
    """Each explanation finds the same memory free, so what it runs is captured once and then replayed."""
    with load(tiny_bundle, device="tensorrt") as explainer:
        for _ in range(4):
            explainer.explain(FRAME, preset=preset, cover=False, chunk=4)
        before = dict(gpu.cuda.counts)
        explainer.explain(FRAME, preset=preset, cover=False, chunk=4)
        after = dict(gpu.cuda.counts)
    assert after["cudaMalloc"] == before["cudaMalloc"]
    assert after["cudaGraphLaunch"] == before["cudaGraphLaunch"] + launches
    assert after["cudaStreamBeginCapture"] == before["cudaStreamBeginCapture"]


@pytest.mark.slow
def test_engines_are_built_once(gpu: Gpu, tiny_bundle: Path) -> None:
    """Loading a bundle again builds no engine; another precision builds its own."""
    load(tiny_bundle, device="tensorrt").close()
    assert sorted(gpu.built) == ["accumulate", "combine", "finalize", "maps", "predict", "recover"]
    gpu.built.clear()
    load(tiny_bundle, device="tensorrt").close()
    assert gpu.built == []
    load(tiny_bundle, device="tensorrt:tf32").close()
    assert len(gpu.built) == 6


@pytest.mark.slow
def test_no_engine_is_built_of_tensors_under_wrong_names(gpu: Gpu) -> None:
    """The plan would be found by the right bundle, whose graph has the same bytes."""
    file, arrays = graph()
    wrong = dict(file.weights)
    wrong[next(one.sha256 for one in file.references if one.name == "kernel")] = (
        (-arrays["kernel"]).reshape(-1).view(np.uint8)
    )
    with pytest.raises(BundleError, match="does not have the hash"):
        TensorRtBackend().open("g", GraphFile(file.data, wrong, "evil.gagrad"))
    assert gpu.built == []


@pytest.mark.slow
def test_what_the_first_opening_builds_is_what_is_used(gpu: Gpu, tiny_bundle: Path) -> None:
    """The child opens each graph as the parent will: nothing is built twice, with another largest batch."""
    from gagrad_edge.bundle.bundle import read_bundle
    from gagrad_runtime.session.trial import _graphs

    bundle, backend = read_bundle(tiny_bundle), open_backend("tensorrt")
    for one in _graphs(bundle, backend):
        backend.open(one.key.role, one.file, one.rows)
    gpu.built.clear()
    load(tiny_bundle, device="tensorrt").close()
    assert gpu.built == []


@pytest.mark.slow
def test_an_engine_that_no_longer_loads_is_built_again(
    gpu: Gpu, tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kept engine that does not load is built again, with a warning."""
    load(tiny_bundle, device="tensorrt").close()
    gpu.built.clear()
    gpu.broken_plans = True
    with caplog.at_level(logging.WARNING):
        load(tiny_bundle, device="tensorrt").close()
    assert len(gpu.built) == 1
    assert "does not load and is built again" in caplog.text


def test_more_copies_than_the_engine_takes(gpu: Gpu, tiny_bundle: Path) -> None:
    """A chunk above the engine's batch raises SettingError; images may be any number."""
    with load(tiny_bundle, device="tensorrt") as explainer:
        with pytest.raises(SettingError, match="at most 4"):
            explainer.explain(FRAME, chunk=5, samples=20)
        # Images in any number, though.
        assert explainer.scores(np.zeros((11, 3, 24, 32), np.float32)).shape == (11, 3)


def test_a_bundle_without_float16_graphs(gpu: Gpu, tiny_bundle: Path) -> None:
    """tensorrt:fp16 with a bundle that has no float16 graphs raises SettingError: export again."""
    with pytest.raises(SettingError, match="no float16 graphs") as caught:
        load(tiny_bundle, device="tensorrt:fp16")
    assert "export the model again with float16 graphs" in str(caught.value)


def test_out_of_memory_gives_back_what_is_spare_first(gpu: Gpu) -> None:
    """Spare GPU memory is freed before OutOfMemoryError is raised; tensors in use keep their values."""
    backend = open_backend("tensorrt")
    gpu.cuda.limit = 3 << 20
    first = backend.zeros((1 << 19,))
    del first  # 2 MB are kept for the next tensor of that size
    second = backend.zeros((3 << 18,))
    with pytest.raises(OutOfMemoryError, match="on the GPU"):
        backend.zeros((1 << 18,))
    assert backend.download(second).sum() == 0


@pytest.mark.slow
def test_a_capture_that_fails_is_gone_without(
    gpu: Gpu, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a launch cannot be captured the maps are the same, without captured launches."""
    monkeypatch.setattr(HostCuda, "_GraphInstantiate", lambda self, graph, flags: (1, None))
    with load(tiny_bundle, device="cpu") as known, load(tiny_bundle, device="tensorrt") as explainer:
        expected = known.explain(FRAME, chunk=4)
        for _ in range(3):
            np.testing.assert_array_equal(explainer.explain(FRAME, chunk=4).saliency, expected.saliency)
    assert "cudaGraphLaunch" not in gpu.cuda.counts


def test_no_gpu_and_unknown_modes(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown mode and a machine without a GPU raise DeviceError."""
    with pytest.raises(DeviceError) as caught:
        open_backend("tensorrt:int4")
    assert caught.value.choices == ("tensorrt", "tensorrt:fp16", "tensorrt:tf32")
    monkeypatch.setattr(HostCuda, "_GetDeviceCount", lambda self: (0, 0))
    with pytest.raises(DeviceError, match="finds no GPU"):
        open_backend("tensorrt")


def test_without_a_driver_the_real_cuda_says_so() -> None:
    """Where there is no GPU, as in most tests, that is the whole story."""
    runtime = pytest.importorskip("cuda.bindings.runtime")
    if not int(runtime.cudaGetDeviceCount()[0]):
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="the GPU does not answer"):
        cuda_module.Cuda()
