"""The page docs/models.md: one row for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.table import machine, markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.models.entry import Entry

SMOOTH, KINKED = 1e-4, 2e-3
HEADER = (
    "model", "family", "producer", "task found", "gradient", "against", "pass", "TensorRT-RTX", "picture's title", "state",
)  # fmt: skip
INTRODUCTION = """# Models as other people's tools write them

{count} models of {families} families: detectors, segmenters, anomaly scorers, readers and others beside timm's classifiers, which
[coverage.md](coverage.md) and [coverage-more.md](coverage-more.md) have. Each file is written by its producer's own exporter, with random weights of a fixed seed (nothing is downloaded; PP-OCR's files have their trained
weights), and exported by `gagrad-edge export` with no option beyond the size. Then one frame is explained with no option at all.

- `task found` is what `export --task auto` decided.
- `gradient` is the relative error ‖g − g₆₄‖₂ / ‖g₆₄‖₂ of the target that `explain` asks, by the bundle's graph in ONNX Runtime: the median over
  two noisy samples one by one and a batch of two.
- `against` says what g₆₄ is: autograd through the producer's own torch module in float64 (the explained value is found inside of the
  module, by its number on three frames), or, where there is no such module or value, the change of the score along segments in float64,
  a weaker check whose own bound is given.
- `pass` is yes for ≤ 1e-4 against autograd; "yes, k" for ≤ 2e-3 where an activation within rounding of a kink took the other
  side: the operators that have kinks are named. Where kinks lie so densely that float32 is off by more, the bundle's graph is run in
  float64 on the first sample: "yes, f64" gives its error, which meets the same bounds (what is left of it comes of weights that are
  folded in float32), and that of the module's own autograd in float32.
- `TensorRT-RTX` says which of the four graphs (predict, accumulate, finalize, recover) it built, for SM86 and batches of up to five.
- `state` is the commit at which the row was measured: an interrupted run keeps the rows that are done.

**{worked} of {measured} measured models ({seen} families) work without an option beyond the size; {refused} are refused with what to do;
{failed} fail.**
TensorRT-RTX builds all four graphs of {built}.{missing}

Made with {versions}. ultralytics is AGPL-3.0: it and the other producers are tools of this table only, installed into an environment of their own
(`.venv-models`), which neither the package nor its tests use.

Reproduce: `make models`. {machine}

"""


def page(chosen: Mapping[str, Entry], results: Mapping[str, dict[str, Any]], versions: str) -> str:
    """Return the page about ``chosen``."""
    missing = [name for name in chosen if name not in results]
    text = INTRODUCTION.format(
        count=len(chosen),
        measured=len(results),
        seen=len({chosen[name].family for name in results}),
        missing=f" Not measured yet, `make models` goes on with them: {', '.join(missing)}."
        if missing
        else "",
        families=len({entry.family for entry in chosen.values()}),
        worked=sum(works(result) for result in results.values()),
        refused=sum("refused" in result for result in results.values()),
        failed=sum(not works(result) and "refused" not in result for result in results.values()),
        built=sum(result.get("tensorrt") == "all" for result in results.values()),
        versions=versions,
        machine=machine("onnxruntime", "tensorrt-rtx-cu13", "gagrad-edge"),
    )
    table = markdown(HEADER, [row(entry, results[name]) for name, entry in chosen.items() if name in results])
    refusals = [
        f"- **{name}** ({result['refused']['stage']}): {_line(result['refused']['why'])}. How to mend it: "
        f"{_line(result['refused']['hint']) or '(nothing is said)'}."
        for name, result in results.items()
        if "refused" in result
    ]
    failures = [
        f"- **{name}**: {_line(result['failed'])}" for name, result in results.items() if "failed" in result
    ]
    for title, lines in (("What is refused, and what the message says", refusals), ("What fails", failures)):
        if lines:
            table += f"\n## {title}\n\n" + "\n".join(lines) + "\n"
    return text + table


def works(result: dict[str, Any]) -> bool:
    """Return whether a model was exported and explained, with a gradient that holds."""
    return "failed" not in result and "refused" not in result and _verdict(result).startswith("yes")


def row(entry: Entry, result: dict[str, Any]) -> tuple[str, ...]:
    """Return one row of the table."""
    error, against = _gradient(result)
    title = f"{result['title']}: {result['answer']}" if "title" in result else "–"
    return (
        entry.name,
        entry.family,
        entry.producer,
        result.get("task", "–"),
        error,
        against,
        _verdict(result),
        result.get("tensorrt", "–"),
        _line(title),
        result.get("state", "–"),
    )


def _gradient(result: dict[str, Any]) -> tuple[str, str]:
    """Return the error, and what it is measured against."""
    if (error := result.get("autograd", {}).get("error")) is not None:
        precision = result["autograd"]["precision"]
        return f"{error:.1e}", "autograd" + ("" if precision == "float64" else f", {precision}")
    if "segments" in result:
        return f"{result['segments']['error']:.1e}", f"segments, ≤ {result['segments']['tolerance']:.0e}"
    return "–", "–"


def _verdict(result: dict[str, Any]) -> str:
    if "failed" in result:
        return "fails"
    if "refused" in result:
        return "refused"
    if (error := result.get("autograd", {}).get("error")) is None:
        return "yes" if result.get("segments", {}).get("passed") else "no"
    return "yes" if error <= SMOOTH else _at_kinks(result, error)


def _at_kinks(result: dict[str, Any], error: float) -> str:
    kinks = ", ".join(result.get("kinks", ()))
    own, exact = result["autograd"].get("own"), result.get("double", {}).get("error")
    if kinks and error <= KINKED:
        return f"yes, k: {kinks}"
    said = "" if own is None else f" (autograd in float32: {own:.1e}; {kinks})"
    return f"yes, f64: {exact:.1e}{said}" if kinks and exact is not None and exact <= KINKED else f"no{said}"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/").rstrip(".")[:400]
