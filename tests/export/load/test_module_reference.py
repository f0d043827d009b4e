"""A torch module against autograd where autograd can tell, and along differences where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.errors import ModelError, VerificationError
from gagrad_export import InputOptions, OutputOptions, export
from gagrad_export.load import autograd

pytestmark = pytest.mark.slow

SIZE = (16, 16)


class Net(nn.Module):
    """A small classifier, always the same."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        return torch.relu(self.conv(x))

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        return self.head(self.features(x).mean((2, 3)))


class NoGrad(Net):
    """A frozen backbone."""

    @torch.no_grad()
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features, without gradients."""
        return super().features(x)


class InPlace(Net):
    """Normalises its input in place."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        x -= 0.5
        x /= 0.25
        return super().forward(x)


class Inference(Net):
    """Predicts under inference_mode."""

    @torch.inference_mode()
    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        return super().forward(x)


class Detached(Net):
    """A part of the score is detached."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        found = self.features(x)
        return self.head(found.mean((2, 3)) / (1 + found.detach().amax((1, 2, 3))[:, None]))


class Points(Net):
    """Samples its features at points that it computes and detaches, as the family of DETR does.

    Autograd without them differs by 3e-3: too much for autograd, too little for differences to see.
    """

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        found = self.features(x)
        points = torch.tanh(self.point(found.mean((2, 3)))).detach() * 0.3
        sampled = nn.functional.grid_sample(found, points[:, None, None], align_corners=False)
        return self.head(sampled[..., 0, 0])


class Numbers(Points):
    """Looks at what it detached in numpy, where autograd cannot go."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        found = super().features(x)
        if found.detach().numpy().max() > 1e6:
            raise ValueError("too large")
        return found


class Data(Net):
    """Reads ``.data``, which torch.export takes for a constant."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        return super().forward(x.data)


class Dropout(Net):
    """Dropout that stays on."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        return self.head(nn.functional.dropout(self.features(x), 0.5, training=True).mean((2, 3)))


class Tuple(Net):
    """Returns features, then scores."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return features and scores."""
        found = self.features(x)
        return found, self.head(found.mean((2, 3)))


class Dict(Net):
    """Returns a dict."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return a dict."""
        return {"maps": self.features(x), "logits": super().forward(x)}


@dataclass
class Output:
    """What a module returns."""

    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Dataclass(Net):
    """Returns a dataclass."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return a dataclass."""
        return Output(super().forward(x))


class Softmax(Net):
    """Ends in Softmax."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return probabilities."""
        return super().forward(x).softmax(1)


CASES: dict[str, tuple[type[Net], str | None, str, str | None]] = {
    "no_grad": (NoGrad, None, "autograd", "leaves the part out: the module computes it under no_grad"),
    "in place": (InPlace, None, "autograd", None),
    "inference_mode": (Inference, None, "finite-differences", "under no_grad or inference_mode"),
    "detached": (Detached, None, "autograd", "leaves the part out: autograd through the module differs"),
    "points": (Points, None, "autograd", "leaves the part out: autograd through the module differs by"),
    "numbers": (Numbers, None, "finite-differences", "as it does where a part is detached"),
    "dropout": (Dropout, None, "finite-differences", "differently each time"),
    "tuple": (Tuple, "linear", "autograd", None),
    "dict": (Dict, "logits", "autograd", None),
    "dataclass": (Dataclass, None, "autograd", None),
    "softmax": (Softmax, None, "finite-differences", "ends in Softmax"),
}


@pytest.mark.parametrize("name", CASES)
def test_autograd_is_asked_where_it_can_tell(name: str, tmp_path: Path) -> None:
    """Through what is detached, too; else differences are the reference. A note says which, and why."""
    kind, output, reference, word = CASES[name]
    export(kind(), tmp_path / "m.gagrad", size=SIZE, outputs=OutputOptions(output_name=output))
    manifest = read_bundle(tmp_path / "m.gagrad").manifest
    assert manifest.verification.reference == reference
    notes = [note for note in manifest.model.notes if "not by autograd" in note or "detaches" in note]
    assert len(notes) == (word is not None)
    assert word is None or word in notes[0]
    assert any("WARNING" in note for note in manifest.model.notes) == (name == "dropout")


@pytest.mark.parametrize("kind", [Net, Points])
def test_only_what_is_detached_excuses_a_difference(
    kind: type[Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient that is 1 % off is refused, whether the module detaches a part or not."""
    through = autograd.autograd

    def off(*arguments: Any, **options: Any) -> Any:
        asked = through(*arguments, **options)
        return lambda *given, **how: asked(*given, **how) * np.float32(1.01)

    monkeypatch.setattr("gagrad_export.load.torch_module.autograd", off)
    with pytest.raises(VerificationError, match=r"the gradient is off by 9\.9e-03 \(allowed 1\.0e-04\)"):
        export(kind(), tmp_path / "m.gagrad", size=SIZE)


def test_autograd_through_what_is_detached_leaves_torch_as_it_was() -> None:
    """For a module that detaches nothing there is nothing to go through, and detach detaches afterwards."""
    x, cotangent = np.ones((1, 3, *SIZE), np.float32), np.eye(3, dtype=np.float32)[:1]
    with pytest.raises(autograd.NothingDetachedError):
        autograd.autograd(Net(), 0, through=True)(x, cotangent, double=False)
    whole = autograd.autograd(NoGrad(), 0, through=True)(x, cotangent, double=True)
    plain = autograd.autograd(Net(), 0)(x, cotangent, double=True)
    assert np.array_equal(whole, plain)
    with pytest.raises(autograd.NoAutogradError, match="no_grad or inference_mode, or detaches"):
        autograd.autograd(NoGrad(), 0)(x, cotangent, double=False)
    leaf = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not (leaf * 2).requires_grad
    assert not leaf.detach().requires_grad


def test_a_graph_that_lost_the_image_is_refused(tmp_path: Path) -> None:
    """With the idiom that torch's exporters take for a constant."""
    with pytest.raises(ModelError, match=r"does not depend on the image: .* x\.data"):
        export(Data(), tmp_path / "m.gagrad", size=SIZE)


def test_what_forward_raises_is_the_users_error(tmp_path: Path) -> None:
    """For a grey module called with colours, and for six channels: the cause, and what it was called with."""
    for channels in (1, 6):
        with pytest.raises(ModelError, match=f"to have {channels} channels, but got 3") as caught:
            export(Net(channels), tmp_path / "m.gagrad", size=SIZE)
        assert "[1, 3, 16, 16]" in str(caught.value)
    export(Net(1), tmp_path / "m.gagrad", size=SIZE, inputs=InputOptions(colour="mono"))


class Branch(Net):
    """Another head for bright images; ``alike`` has the same weights in both."""

    def __init__(self, *, alike: bool) -> None:
        super().__init__()
        self.bright = self.head if alike else nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores of one of the heads."""
        found = self.features(x).mean((2, 3))
        if x.mean() > 0.6:
            return self.bright(found)
        return self.head(found)


class Checked(Net):
    """Reads a number that is the same for every image."""

    def forward(self, x: torch.Tensor) -> Any:
        """Return the scores."""
        if not torch.isfinite(x).all():
            raise ValueError("not finite")
        return super().forward(x)


def test_a_branch_on_the_image_is_not_frozen_silently(tmp_path: Path) -> None:
    """Where the sides differ the module is refused, with file and line of the branch."""
    with pytest.raises(VerificationError, match="on a bright image") as caught:
        export(Branch(alike=False), tmp_path / "m.gagrad", size=SIZE)
    assert "decides by the content of the image at test_module_reference.py:" in str(caught.value)
    assert not (tmp_path / "m.gagrad").exists()


@pytest.mark.parametrize("loud", [True, False], ids=["sides alike", "a check"])
def test_what_python_reads_from_the_image_is_said(tmp_path: Path, *, loud: bool) -> None:
    """By file and line: loudly where the content of the image changes it, plainly where it does not."""
    export(Branch(alike=True) if loud else Checked(), tmp_path / "m.gagrad", size=SIZE)
    notes = read_bundle(tmp_path / "m.gagrad").manifest.model.notes
    (note,) = [note for note in notes if "test_module_reference.py:" in note]
    assert note.startswith("WARNING") == loud
