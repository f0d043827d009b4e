"""The canonical form's scores are compared with the source's, also where float32 hardly tells them apart."""

from __future__ import annotations

import numpy as np
import onnxruntime

from gagrad_export.canonicalise import canonicalise
from gagrad_export.load import Source
from gagrad_export.verify.source import FORWARD_TOLERANCE, forward_error
from tests.export.arrange.models import model, numbers


def test_small_probabilities_are_compared_in_front_of_the_sigmoid() -> None:
    """Rounding of probabilities around 1e-6 exceeds the tolerance; a wrong logit is seen all the same."""
    proto = model("float[N, 4, 16, 16] y", "l = Sub (a, low) y = Sigmoid (l)", **numbers(low=24))
    source, canonical = Source(proto, "m", "0" * 64, "onnx"), canonicalise(proto)
    x = np.random.default_rng(4).random((1, 3, 16, 16), np.float32)
    plain = model("float[N, 4, 16, 16] l", "l = Sub (a, low)", **numbers(low=24))
    session = onnxruntime.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"x": x})[0][0]
    assert 1 / (1 + np.exp(-logits.max())) < 1e-4
    assert forward_error(source, canonical, x, logits) < 1e-6
    assert forward_error(source, canonical, x, logits * np.float32(1.02)) > FORWARD_TOLERANCE
