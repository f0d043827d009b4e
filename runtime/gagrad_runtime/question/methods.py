"""Attribution methods: at which samples gradients are taken, and what map they become."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from gagrad_edge.errors import SettingError


@dataclass(frozen=True)
class Method:
    """One attribution method: how gradients become a map."""

    name: str
    samples_at: Literal["noisy", "single", "path", "none"]
    """Where the samples lie: ``noisy``, around the model input; ``single``, one sample, the model input
    itself; ``path``, between a baseline and the model input; ``none``, no samples, as the method has a graph
    of its own."""
    map: Literal["guided", "absolute", "signed", "squared", "variance", "cam", "product"]
    """Kind of map. The graph ``finalize`` computes ``guided``, ``cam`` computes ``cam``, ``maps`` the
    others; ``product`` is made on the host from what ``maps`` and ``cam`` give."""
    factor: Literal["one", "input", "path"] = "one"
    """What the mean gradient is multiplied by: 1, the model input, or the model input minus the baseline."""
    words: str = ""
    """What a bright place of the map means, for people, as it reads after "Bright:"."""

    @property
    def splits(self) -> bool:
        """Whether half of the samples give the same kind of map, so that halves measure the stability."""
        return self.samples_at == "noisy"


PAPER, OPERATOR = "guided-absolutegrad", "gradient-x-cam"
"""Names of the methods of the two presets."""
_ALL = (
    # gagrad_edge.method.product: SmoothGrad-Squared's root, pooled, times Grad-CAM or LayerCAM.
    Method(OPERATOR, "noisy", "product", words="the result reacts there, and the features speak for it"),
    # Huang & Liu 2024 (arXiv 2404.15564); AbsoluteGrad is its map with a guide of ones.
    Method(PAPER, "noisy", "guided", words="the result reacts to small changes there, and reliably"),
    Method("absolutegrad", "noisy", "absolute", words="the result reacts to small changes there"),
    # Simonyan et al. 2013 (arXiv 1312.6034).
    Method("gradient", "single", "signed", words="the result reacts to small changes there"),
    # Shrikumar et al. 2016 (arXiv 1605.01713).
    Method("input-x-gradient", "single", "signed", "input", words="the pixels' values add to the result"),
    # Smilkov et al. 2017 (arXiv 1706.03825); squared: Hooker et al. 2019 (arXiv 1806.10758).
    Method("smoothgrad", "noisy", "signed", words="the result reacts, the same way under noise"),
    Method("smoothgrad-squared", "noisy", "squared", words="the result reacts to small changes there"),
    # Adebayo et al. 2018 (arXiv 1810.03307).
    Method("vargrad", "noisy", "variance", words="the result's reaction changes most under noise"),
    # Sundararajan et al. 2017 (arXiv 1703.01365).
    Method("integrated-gradients", "path", "signed", "path", words="the pixels set the result apart"),
    # Selvaraju et al. 2017 (arXiv 1610.02391); Chattopadhay et al. 2018 (arXiv 1710.11063); Jiang et al. 2021
    # (doi 10.1109/TIP.2021.3089943).
    Method("grad-cam", "none", "cam", words="the last feature maps speak for the result"),
    Method("grad-cam++", "none", "cam", words="the last feature maps speak for the result"),
    Method("layer-cam", "none", "cam", words="the last feature maps speak for the result"),
)
METHODS = {method.name: method for method in _ALL}
"""All methods by name."""


def method_of(name: str) -> Method:
    """Return the method called ``name``. Raises SettingError."""
    if name not in METHODS:
        near = difflib.get_close_matches(str(name), METHODS, n=1, cutoff=0.5)
        raise SettingError(
            f"there is no method {name!r}",
            where="method",
            hint=f"did you mean {near[0]}?" if near else None,
            choices=list(METHODS),
        )
    return METHODS[name]
