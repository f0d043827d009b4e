"""Print the figures of the demo's four networks on held-out parts, measured on the files that ship.

    python -m examples.defects.figures

Takes about five minutes on one core. docs/demo-*.md have the tables.
"""

from __future__ import annotations

from examples.defects import anomalies, classifying, detecting, segmenting
from examples.defects.defective import HELD_OUT_SERIES, defective_parts
from examples.defects.train_anomaly import HELD_OUT_PARTS, held_out_parts
from examples.defects.training import DEMO

CLASSIFIER_SERIES, CLASSIFIER_PARTS, SEVERAL_PARTS = 2, 1000, 500


def main() -> None:
    """Print four Markdown tables."""
    print(classifying.report(DEMO / "defects.onnx", CLASSIFIER_SERIES, CLASSIFIER_PARTS), flush=True)
    several = defective_parts(HELD_OUT_SERIES, SEVERAL_PARTS)
    print(f"\n{detecting.report(DEMO / 'detector.onnx', several)}", flush=True)
    print(f"\n{segmenting.report(DEMO / 'segmenter.onnx', several)}", flush=True)
    print(f"\n{anomalies.report(DEMO / 'anomaly.onnx', *held_out_parts(HELD_OUT_PARTS))}")


if __name__ == "__main__":
    main()
