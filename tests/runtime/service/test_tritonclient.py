"""NVIDIA's client: what it can ask of Triton, it can ask of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.session.explainer import Explainer
    from tests.serving import Serving


@pytest.fixture
def triton() -> Any:
    """Return the client's module; skip where what it needs is not installed (``make viewer-check``)."""
    try:
        import tritonclient.http
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"tritonclient cannot be imported: {error}")
    return tritonclient.http


@pytest.fixture
def asking(triton: Any, served: Serving) -> Iterator[Any]:
    """Return a client of the service."""
    found = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    yield found
    found.close()


def test_it_finds_server_and_models(asking: Any, served: Serving) -> None:
    """Alive, ready, metadata, versions."""
    assert asking.is_server_live()
    assert asking.is_server_ready()
    assert asking.get_server_metadata()["name"] == "gagrad-edge"
    version = served.catalogue.bundle("tiny").version
    for verb in ("predict", "saliency", "explain"):
        assert asking.is_model_ready(f"tiny.{verb}")
        assert asking.is_model_ready(f"tiny.{verb}", version)
        assert asking.get_model_metadata(f"tiny.{verb}")["versions"] == [version]
    assert not asking.is_model_ready("other.predict")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_it_infers(
    triton: Any, asking: Any, explainer: Explainer, pixels: NDArray[np.uint8], binary: bool, compression: Any
) -> None:
    """With tensors as bytes and as JSON, and with the request compressed."""
    given = triton.InferInput("pixels", list(pixels.shape), "UINT8")
    given.set_data_from_numpy(pixels, binary_data=binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("saliency", "target")]
    answer = asking.infer(
        "tiny.explain",
        [given],
        outputs=wanted,
        request_id="seven",
        parameters={"preset": "paper", "samples": 4},
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    own = explainer.explain(pixels, preset="paper", samples=4, rcap=False)
    np.testing.assert_array_equal(answer.as_numpy("saliency").reshape(own.saliency.shape), own.saliency)
    assert answer.as_numpy("target").tolist() == list(own.target.index)
    assert answer.get_response()["id"] == "seven"


def test_it_sends_a_file_and_gets_a_record(triton: Any, asking: Any, png: bytes) -> None:
    """BYTES both ways."""
    given = triton.InferInput("frame", [1], "BYTES")
    given.set_data_from_numpy(np.array([png], dtype=object))
    wanted = [triton.InferRequestedOutput(name) for name in ("record", "picture")]
    answer = asking.infer("tiny.explain", [given], outputs=wanted)
    assert answer.as_numpy("picture")[0].startswith(b"\x89PNG")
    assert answer.as_numpy("record")[0].startswith(b"{")


def test_it_shows_our_message(triton: Any, asking: Any, png: bytes) -> None:
    """Its exception has the text of a refusal."""
    given = triton.InferInput("frame", [1], "BYTES")
    given.set_data_from_numpy(np.array([png], dtype=object))
    with pytest.raises(Exception, match="did you mean samples"):
        asking.infer("tiny.explain", [given], parameters={"sampels": 5})
