"""The service that its tests ask, and frames in the forms of its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import httpx
import numpy as np
import pytest

import gagrad_runtime
from tests.serving import Serving, serving

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gagrad_runtime.session.explainer import Explainer


@pytest.fixture(scope="session")
def served(tiny_bundle: Path, detector_bundle: Path) -> Iterator[Serving]:
    """Return a service of a classifier, ``tiny``, and of a detector."""
    with serving([tiny_bundle, detector_bundle]) as found:
        yield found


@pytest.fixture(scope="session")
def client(served: Serving) -> Iterator[httpx.Client]:
    """Return a client of ``served`` that keeps its connections."""
    with httpx.Client(base_url=served.address, timeout=60, trust_env=False) as found:
        yield found


@pytest.fixture(scope="session")
def explainer(tiny_bundle: Path) -> Iterator[Explainer]:
    """Return what the service's answers are compared with: the Python call."""
    with gagrad_runtime.load(tiny_bundle, device="cpu") as opened:
        yield opened


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """Return a colour frame [30, 40, 3]."""
    return np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(scope="session")
def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return ``pixels`` as a PNG file."""
    done, data = cv2.imencode(".png", pixels[..., ::-1])
    assert done
    return data.tobytes()
