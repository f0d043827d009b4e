"""The chunk size that is chosen: fast, within memory, the same from run to run."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gagrad_runtime
from gagrad_edge.errors import OutOfMemoryError
from gagrad_runtime.machine.memory import Memory
from gagrad_runtime.sampling import chunk as module
from gagrad_runtime.sampling.chunk import ChunkSize

MB = 2**20


@dataclass
class Machine:
    """A backend and a clock: a copy takes ``seconds[n]`` in a chunk of n, each copy 10 MB, 5 at start."""

    seconds: dict[int, float]
    available: int = 1000
    largest: int = 1000
    setup: str = "engine 1"
    runs: list[int] = field(default_factory=list)
    now: float = 0

    def memory(self) -> Memory | None:
        """Return what an arena keeps: the largest run's."""
        held = 10 * max(self.runs, default=0)
        return Memory((5 + held) * MB, (self.available - held) * MB)

    def rest(self) -> None:
        """Keep all, as most engines do."""

    def trial(self, copies: int) -> None:
        """Take the time of ``copies``."""
        if copies > self.largest:
            raise OutOfMemoryError("out of memory")
        self.runs.append(copies)
        self.now += copies * self.seconds[copies]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gagrad-edge" / "chunks"


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``choose(machine, bundle=…, default=…)`` in a new session."""

    def run(machine: Machine, bundle: str = "b", default: int = 10, samples: int | None = None) -> int:
        monkeypatch.setattr(module.time, "perf_counter", lambda: machine.now)
        return ChunkSize(machine, bundle, default).choose(machine.trial, samples)  # type: ignore[arg-type]

    return run


FLAT = {1: 3.0, 2: 2.0, 3: 1.5, 5: 1.0, 10: 1.0}
LARGE_IS_FAST = {1: 3.0, 2: 2.5, 3: 2.3, 5: 2.0, 7: 1.8, 10: 1.5, 20: 1.0}
SMALL_IS_FAST = {1: 1.0, 2: 1.2, 3: 1.3, 5: 1.4, 7: 1.5, 10: 1.6}
CHANCE = {1: 3.0, 2: 2.0, 3: 1.0, 5: 0.96, 10: 1.0}
CACHE = {1: 1.14, 2: 1.04, 3: 1.0, 5: 1.09, 10: 1.22}
"""EfficientNet-Lite0: few samples fit into a core's cache, one alone costs overhead."""
LITTLE = {1: 3.0, 2: 2.5, 3: 2.0, 5: 1.8, 10: 1.0, 20: 0.95}
"""Twice the memory for a twentieth of the time."""


@pytest.mark.parametrize(
    ("seconds", "chosen", "tried"),
    [
        (FLAT, 10, (1, 2, 3, 5, 10, 20)),
        (LARGE_IS_FAST, 20, (1, 2, 3, 5, 10, 20)),
        (SMALL_IS_FAST, 1, (1, 2, 3, 5, 10)),
        (CHANCE, 10, (1, 2, 3, 5, 10)),
        (CACHE, 3, (1, 2, 3, 5, 10)),
        (LITTLE, 10, (1, 2, 3, 5, 10, 20)),
    ],
    ids=["flat", "large is fast", "small is fast", "chance", "cache", "little"],
)
def test_the_largest_of_the_fast_sizes(
    choose: Callable[..., int], seconds: dict[int, float], chosen: int, tried: tuple[int, ...]
) -> None:
    """Within 5 % of the fastest the largest; beyond the bundle's only for a tenth of the time."""
    machine = Machine({20: 1.0, **seconds})
    assert choose(machine) == chosen
    assert machine.runs == [size for size in tried for _ in range(2)]


def test_a_disturbed_run_does_not_decide(choose: Callable[..., int]) -> None:
    """Short runs are repeated up to six times: what disturbs the first two is not the size's own time."""

    @dataclass
    class Disturbed(Machine):
        def trial(self, copies: int) -> None:
            super().trial(copies)
            self.now += 0.05 * (copies == 2 and self.runs.count(2) <= 2)

    machine = Disturbed({1: 0.02, 2: 0.018, 3: 0.017, 5: 0.016})
    assert choose(machine, samples=3) == 2
    assert [machine.runs.count(size) for size in (1, 2, 3)] == [6, 6, 0]


def test_a_bundles_size_beside_the_ladder(choose: Callable[..., int]) -> None:
    """The bundle's own chunk size is measured along with the usual sizes."""
    machine = Machine(LARGE_IS_FAST)
    assert choose(machine, default=7) == 20
    assert 7 in machine.runs


def test_measured_once_for_a_bundle_and_a_setup(choose: Callable[..., int]) -> None:
    """Also when the machine is busy with something else the next time: a map must not change."""
    first, again = Machine(LARGE_IS_FAST), Machine(SMALL_IS_FAST)
    assert choose(first) == choose(again) == 20
    assert not again.runs
    other_bundle, other_engine = Machine(SMALL_IS_FAST), Machine(SMALL_IS_FAST, setup="engine 2")
    assert choose(other_bundle, bundle="c") == choose(other_engine) == 1


@pytest.mark.parametrize(("samples", "largest"), [(1, 1), (3, 2), (5, 3), (6, 3), (7, 5), (20, 10), (60, 20)])
def test_few_samples_wait_for_no_large_chunks(choose: Callable[..., int], samples: int, largest: int) -> None:
    """They run in two halves, so a larger chunk is the same to them."""
    machine = Machine({1: 6.0, **{size: 6.0 - size / 4 for size in (2, 3, 5, 10, 20)}})
    assert choose(machine, samples=samples) == largest
    assert max(machine.runs) == largest


def test_what_few_samples_left_out_is_measured_for_more(choose: Callable[..., int]) -> None:
    """And what was measured stays, for both."""
    machine = Machine(LARGE_IS_FAST)
    assert choose(machine, samples=5) == 3
    assert machine.runs == [1, 1, 2, 2, 3, 3]
    assert choose(machine, samples=20) == 10
    assert machine.runs == [1, 1, 2, 2, 3, 3, 5, 5, 10, 10]
    again = Machine(SMALL_IS_FAST)
    assert choose(again, samples=5) == 3
    assert choose(again, samples=20) == choose(again, samples=12) == 10
    assert not again.runs


def test_a_run_without_time_for_trials_takes_what_was_chosen_for_as_many(cache: Path) -> None:
    """And not the size of an explanation of few samples that happened to come before it."""
    machine = Machine(LARGE_IS_FAST)
    size = ChunkSize(machine, "b", 10)  # type: ignore[arg-type]
    assert size.chosen(3) is None
    few = size.choose(machine.trial, 3)
    assert size.chosen(3) == few
    assert size.chosen(4) == few
    assert size.chosen(20) is None


def test_a_ladder_that_ended_is_not_climbed_again(choose: Callable[..., int]) -> None:
    """Where memory is short, or larger chunks are no faster, more samples change nothing."""
    machine = Machine(LARGE_IS_FAST, largest=4)
    assert choose(machine, samples=20) == 3
    del machine.runs[:]
    assert choose(machine, samples=60) == 3
    assert not machine.runs


@pytest.mark.parametrize(
    "left",
    [
        b"",
        b"[",
        b"[]",
        b'[{"chunk": 99, "seconds": 1, "memory": 0}]',
        b'{"rungs": [], "ended": true}',
        b'{"rungs": [{"chunk": 2, "seconds": 1, "memory": 0}], "ended": true}',
    ],
)
def test_a_damaged_file_is_measured_again(choose: Callable[..., int], cache: Path, left: bytes) -> None:
    """A cache file that cannot be read is measured again."""
    choose(Machine(LARGE_IS_FAST))
    (file,) = cache.iterdir()
    file.write_bytes(left)
    assert choose(Machine(SMALL_IS_FAST)) == 1


def test_not_chosen_where_it_cannot_be_remembered(choose: Callable[..., int], cache: Path) -> None:
    """A file stands where the folder should be: the bundle's size, and no trial."""
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_bytes(b"")
    machine = Machine(SMALL_IS_FAST)
    assert choose(machine) == 10
    assert not machine.runs


def test_not_chosen_where_memory_is_not_known(choose: Callable[..., int]) -> None:
    """Where memory is unknown nothing is measured and the bundle's chunk size is used."""

    class Silent(Machine):
        def memory(self) -> Memory | None:
            return None

    assert choose(Silent(SMALL_IS_FAST)) == 10


def test_no_larger_than_half_the_memory(choose: Callable[..., int]) -> None:
    """10 copies would take 100 MB, 50 more than 5, and less than 100 are available."""
    machine = Machine(LARGE_IS_FAST, available=140)
    assert choose(machine) == 5
    assert max(machine.runs) == 5


def test_less_memory_than_when_it_was_measured(
    choose: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """A remembered chunk that no longer fits in memory is made smaller, with a warning."""
    assert choose(Machine(LARGE_IS_FAST)) == 20
    with caplog.at_level(logging.WARNING):
        assert choose(Machine(LARGE_IS_FAST, available=210)) == 10
    assert "at most 10 samples at a time" in caplog.text


def test_the_ladder_ends_where_memory_does(choose: Callable[..., int]) -> None:
    """Chunk sizes that would not fit in memory are not chosen."""
    assert choose(Machine(LARGE_IS_FAST, largest=4)) == 3


@pytest.fixture
def short_of_memory(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[gagrad_runtime.Explainer]:
    """Yield an explainer whose engine runs out of memory with more than 3 copies."""
    with gagrad_runtime.load(tiny_bundle) as explainer:
        runner = explainer.graphs.runner("accumulate")
        run = runner.run

        def limited(inputs: Any, into: Any = None) -> Any:
            if inputs["noise"].shape[0] > 3:
                raise OutOfMemoryError("out of memory")
            return run(inputs, into)

        monkeypatch.setattr(runner, "run", limited)
        yield explainer


def test_half_the_chunk_when_memory_runs_out(
    short_of_memory: gagrad_runtime.Explainer, caplog: pytest.LogCaptureFixture
) -> None:
    """The map is the one of the smaller chunk, bit for bit, and the record says which."""
    frame = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with caplog.at_level(logging.WARNING):
        found = short_of_memory.explain(frame, chunk=12, samples=12)
    assert found.provenance.chunk == 3
    assert "going on with 3 samples" in caplog.text
    again = short_of_memory.explain(frame, chunk=12, samples=12)
    three = short_of_memory.explain(frame, chunk=3, samples=12)
    for other in (again, three):
        np.testing.assert_array_equal(other.saliency, found.saliency)
        assert other.provenance.chunk == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_real_shortage_of_memory_is_told_apart() -> None:
    """ONNX Runtime's own error, in a process that may not grow: 64 MB are asked of 32."""
    child = subprocess.run([sys.executable, "-c", _SHORTAGE], capture_output=True, text=True, check=False)
    assert child.stdout.split() == ["OutOfMemoryError", "1.0"], child.stderr


_SHORTAGE = """
import resource
import numpy as np, onnx
from gagrad_edge.bundle.graph_file import GraphFile
from gagrad_edge.errors import OutOfMemoryError
from gagrad_runtime.backend import open_backend

value = onnx.helper.make_tensor_value_info
graph = onnx.helper.make_graph(
    [onnx.helper.make_node("Expand", ["x", "shape"], ["large"]),
     onnx.helper.make_node("Sin", ["large"], ["sine"]),
     onnx.helper.make_node("ReduceMax", ["sine"], ["y"], keepdims=0)],
    "large", [value("x", onnx.TensorProto.FLOAT, ["N", "M"])], [value("y", onnx.TensorProto.FLOAT, [])],
    [onnx.numpy_helper.from_array(np.array([1, 2**24]), "shape")],
)
model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
backend = open_backend("cpu", threads=1)
runner = backend.open("large", GraphFile(model.SerializeToString()))
x = backend.upload(np.full((1, 1), np.pi / 2, np.float32))
size = int(open("/proc/self/statm").read().split()[0]) * 4096
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + 2**25, hard))
try:
    runner.run({"x": x})
except OutOfMemoryError as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(round(float(backend.download(runner.run({"x": x})["y"])), 3))
"""
