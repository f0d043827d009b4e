"""The forms of each target: what exists for the blocked layout is not carried where there is none."""

from __future__ import annotations

import onnx
import pytest

from benchmarks.forms import count
from benchmarks.processor import FLAGS, block, flags
from gagrad_edge.manifest import GraphTarget
from gagrad_export.assemble import accumulate_graph
from gagrad_export.canonicalise import canonicalise
from gagrad_export.settings import input_spec
from tests.models import tiny_model


@pytest.mark.parametrize("target", ["aarch64", "openvino", "tensorrt"])
def test_fewer_one_tap_convolutions_without_a_blocked_layout(target: GraphTarget) -> None:
    """Masks are comparisons and phases are slices; what is left places the gradient of a max pooling."""
    canonical = canonicalise(tiny_model())
    spec = input_spec(canonical, mean=[0.5], std=[0.25])
    portable, other = (
        count(onnx.load_from_string(accumulate_graph(canonical, spec, one)[0].complete()))
        for one in ("portable", target)
    )
    assert portable.useless > 0
    assert portable.nodes["HardSigmoid"] > 0
    assert other.useless < portable.useless
    assert other.nodes["HardSigmoid"] == 0
    assert other.nodes["AveragePool"] == 0
    assert other.useful == portable.useful


def test_the_processor_is_told_by_what_runs() -> None:
    """The block is seen in the optimised graph; flags are read of x86 and of ARM."""
    assert block() in (1, 8, 16)
    assert flags("processor : 0\nflags\t\t: fpu avx2 sse4_2 avx512f\n") == ("avx2", "avx512f")
    assert flags("processor : 0\nFeatures\t: fp asimd asimddp\n") == ("asimd", "asimddp")
    assert flags("") == ()
    assert len(set(FLAGS)) == len(FLAGS)
