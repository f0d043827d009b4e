"""Class activation maps that cannot be confirmed are left out with the reason, unless they were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from gagrad_edge.errors import VerificationError
from gagrad_export import BundleOptions, MethodSpec, export
from gagrad_export.verify import checks
from tests.models import SIZE, tiny_model


@pytest.mark.slow
@pytest.mark.parametrize("asked", [False, True])
def test_maps_that_are_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    """A layer that was chosen by itself is done without; one that the user names is an error."""

    def off(*_: Any) -> None:
        raise VerificationError("the maps differ, so they are not written", where="class activation maps")

    onnx.save(tiny_model(), tmp_path / "tiny.onnx")
    method = MethodSpec(samples=4, chunk=2)
    plain = export(
        tmp_path / "tiny.onnx", tmp_path / "a.gagrad", size=SIZE, bundle=BundleOptions(method=method)
    )
    layer = plain.manifest.model.feature_layer
    assert layer is not None
    monkeypatch.setattr(checks, "verify_class_activation", off)
    options = BundleOptions(method=method, feature_layer=layer.name if asked else "auto")
    if asked:
        with pytest.raises(VerificationError, match="the maps differ"):
            export(tmp_path / "tiny.onnx", tmp_path / "b.gagrad", size=SIZE, bundle=options)
        return
    made = export(tmp_path / "tiny.onnx", tmp_path / "b.gagrad", size=SIZE, bundle=options).manifest
    assert made.model.feature_layer is None
    assert "cam" not in {graph.role for graph in made.graphs}
    assert "there are no class activation maps: the maps differ, so they are not written" in made.model.notes
