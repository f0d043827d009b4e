"""Images as a dataset of FiftyOne: ``metadata.json`` and ``samples.json``.

The form is that of ``FiftyOneDataset`` without a version in its metadata, which the importer of every version
reads: the paths of the images are relative to the folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILES = ("metadata.json", "samples.json")


def sample(
    file: str, *, verdict: str, confidence: float | None, map_path: str | None, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return one sample: the picture ``file``, what the model says, its map, and plain ``fields``.

    ``map_path`` is absolute, as FiftyOne does not resolve it; a grey picture of the frame.
    """
    found: dict[str, Any] = {
        "filepath": file,
        "tags": [],
        "prediction": {"_cls": "Classification", "label": verdict, "confidence": confidence},
        **fields,
    }
    if map_path is not None:
        found["saliency"] = {"_cls": "Heatmap", "map_path": map_path, "range": [0, 255]}
    return found


def dataset(samples: Iterable[dict[str, Any]], classes: Sequence[str]) -> tuple[bytes, bytes]:
    """Return the content of ``FILES``."""
    metadata = {"name": "gagrad-edge", "media_type": "image", "default_classes": list(classes), "info": {}}
    return msgspec.json.encode(metadata), msgspec.json.encode({"samples": list(samples)})
