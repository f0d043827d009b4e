"""The number of samples that each estimator needs for a map: writes ``docs/fidelity.md``.

OMP_NUM_THREADS=1 python -m benchmarks.fidelity      (about 20 minutes on one core; writes docs/fidelity.md)

Gradients are kept in ``.fidelity/`` (3 GB): another run computes only the estimators, about 13 minutes.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.fidelity import designs, report, stability, structure, study, video
from benchmarks.table import machine, markdown, publish


def main() -> None:
    """Compute missing gradients, run all estimators, write the page."""
    rows = list(study.rows())
    page = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    values = {
        "summary": report.summary(rows),
        "curves": report.curves(rows),
        "everything": report.everything(rows),
        "localisation": report.localisation(rows),
        "stability": report.stability(stability.rows()),
        "designs": report.designs(designs.rows()),
        "control": ", ".join(f"{name} {share:.1%}" for name, share in designs.control_share().items()),
        "video": report.video(video.rows()),
        "structure": markdown(
            ["model", "grid's share of the detail", "limit's halves", *structure.BANDS], structure.rows()
        ),
        "paper_ms": f"{study.graph_milliseconds('paper'):.0f}",
        "pooled_ms": f"{study.graph_milliseconds('pooled'):.0f}",
        "machine": machine("onnxruntime", "numpy"),
    }
    publish("fidelity", page.format(**values))


if __name__ == "__main__":
    main()
