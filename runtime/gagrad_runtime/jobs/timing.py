"""Timing of a device: the model's prediction against its explanation (``gagrad-edge bench``)."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gagrad_runtime.frame import frame_for
from gagrad_runtime.frame.image import prepare
from gagrad_runtime.machine.power import PowerMeter
from gagrad_runtime.session.selftest import reference_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gagrad_edge.bundle.bundle import Bundle
    from gagrad_runtime.session.explainer import Explainer


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Wall times of one repeated operation: median and tail, milliseconds."""

    name: str
    p50: float
    p95: float
    p99: float
    per_second: float
    """Images a second by the median; samples a second where ``name`` says so."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a benchmark."""

    bundle: str
    sha256: str
    backend: str
    method: str
    samples: int
    """Median number of samples that the explanations were made from."""
    chunk: int
    frames: int
    warm_up_ms: float
    """Wall time of the first explanation: allocations, and the trial of chunk sizes at the first use on a
    device."""
    timings: list[Timing]
    stages_ms: dict[str, float]
    """Median wall time of each stage of an explanation."""
    ratio: float
    """Median explanation over median prediction."""
    peak_mb: float | None = None
    """Largest memory of this process so far, MiB; null where the system does not tell."""
    engines_mb: float | None = None
    """Size of the compiled graphs in use, MiB; null where the engine keeps none."""
    watts: float | None = None
    """Mean power of board or card during the benchmark, watts; null without a sensor."""


def bench(
    bundle: Bundle,
    explainer: Explainer,
    *,
    frames: int,
    settings: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Predict and explain ``frames`` variants of the bundle's test frame, alternating; return the timings.

    Alternating, so that both run under the same load of the machine. Each frame differs, as a camera's do.
    Raises what ``Explainer.explain`` does.
    """
    frame = reference_frame(bundle).pixels
    began = time.perf_counter()
    found = explainer.explain(frame, **settings)
    warm_up = time.perf_counter() - began
    chunk = found.provenance.chunk
    single = _image(frame, explainer)
    batch = np.repeat(single, chunk, axis=0)
    explainer.scores(batch)
    taken: dict[str, list[float]] = {"predict": [], f"predict, {chunk} at once": [], "explain": []}
    stages: dict[str, list[float]] = {}
    samples = []
    with PowerMeter() as power:
        for index in range(frames):
            shown = np.roll(frame, index, axis=1)
            taken["predict"].append(_seconds(lambda: explainer.scores(single)))
            taken[f"predict, {chunk} at once"].append(_seconds(lambda: explainer.scores(batch)))
            began = time.perf_counter()
            found = explainer.explain(shown, **settings)
            taken["explain"].append(time.perf_counter() - began)
            samples.append(found.samples)
            for stage, seconds in found.seconds.items():
                stages.setdefault(stage, []).append(seconds)
            if progress is not None:
                progress(index + 1, frames)
    usual = int(np.median(samples))
    size, peak = explainer.graphs.compiled_size, _peak_bytes()
    counts = [1, chunk, 1]
    timings = [
        _timing(name, values, many) for (name, values), many in zip(taken.items(), counts, strict=True)
    ]
    timings.append(_timing("samples, within explain", stages["explain"], usual))
    return Report(
        bundle=bundle.manifest.name,
        sha256=bundle.sha256,
        backend=explainer.backend.description,
        method=found.provenance.method,
        samples=usual,
        chunk=chunk,
        frames=frames,
        warm_up_ms=_ms(warm_up),
        timings=timings,
        stages_ms={stage: _ms(float(np.median(values))) for stage, values in stages.items()},
        ratio=round(float(np.median(taken["explain"]) / np.median(taken["predict"])), 2),
        peak_mb=None if peak is None else round(peak / 2**20, 1),
        engines_mb=None if size is None else round(size / 2**20, 1),
        watts=power.watts,
    )


def as_text(report: Report) -> str:
    """Return the report as a table for people."""
    kind = f"{report.method}, {report.samples} samples, chunk {report.chunk}, {report.frames} frames"
    lines = [
        f"{report.bundle} on {report.backend}: {kind}",
        f"{'':<26}{'p50':>10}{'p95':>10}{'p99':>10}{'per second':>13}",
    ]
    lines += [
        f"{one.name:<26}{one.p50:>7.1f} ms{one.p95:>7.1f} ms{one.p99:>7.1f} ms{one.per_second:>13.1f}"
        for one in report.timings
    ]
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in report.stages_ms.items())
    lines.append(f"stages of explain, ms: {stages}")
    lines.append(
        f"explain is {report.ratio:g} × predict; the first one took {report.warm_up_ms:.0f} ms"
        + ("" if report.peak_mb is None else f"; peak memory {report.peak_mb:.0f} MB")
        + ("" if report.engines_mb is None else f"; engines {report.engines_mb:.0f} MB")
        + ("" if report.watts is None else f"; {report.watts:.1f} W")
    )
    return "\n".join(lines)


def _image(frame: NDArray[Any], explainer: Explainer) -> NDArray[np.float32]:
    return prepare(frame_for(explainer.manifest.input, frame), explainer.manifest.input)[0]


def _timing(name: str, values: list[float], many: int) -> Timing:
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return Timing(name=name, p50=_ms(p50), p95=_ms(p95), p99=_ms(p99), per_second=round(many / p50, 2))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _peak_bytes() -> int | None:
    """Return the most memory in bytes that this process ever held; None where the system does not tell."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes where Linux counts KiB.
    return peak if sys.platform == "darwin" else 1024 * peak
