"""A torch module: the caller's module stays as it was, and what its code raises is the caller's error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gagrad_edge.bundle.bundle import read_bundle
from gagrad_edge.cli import run
from gagrad_edge.errors import ModelError
from gagrad_export import export
from gagrad_export.load.torch_module import load_torch_factory, load_torch_module

pytestmark = pytest.mark.slow

SIZE = (16, 16)


class Net(nn.Module):
    """A module in the middle of its training: parts frozen, gradients there, hooks, a feature kept."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.last: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores, and keep the features."""
        self.last = self.features(x)
        scores: torch.Tensor = self.head(self.dropout(self.last).mean((2, 3)))
        return scores


class Counting(Net):
    """A module whose ``forward`` writes to a buffer, as a step counter does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores, and count the call."""
        self.seen += 1
        return super().forward(x)


@pytest.fixture(params=[Net, Counting])
def module(request: pytest.FixtureRequest) -> Net:
    net: Net = request.param()
    net.train()
    net.features[1].eval()  # a frozen BatchNorm in a module that trains
    net.features[0].bias.requires_grad_(requires_grad=False)
    net(torch.rand(4, 3, *SIZE)).square().sum().backward()
    net.head.register_forward_hook(lambda *_: None)
    return net


def state(module: Net) -> dict[str, Any]:
    """Return all that an export could change, comparable by ``==``."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")
    return {
        "training": [each.training for each in module.modules()],
        "attributes": [sorted(vars(each)) for each in module.modules()],
        "hooks": [list(getattr(each, name)) for each in module.modules() for name in hooks],
        "trainable": [parameter.requires_grad for parameter in module.parameters()],
        "parameters": [(id(each), each.tolist()) for each in module.parameters()],
        "gradients": [None if each.grad is None else each.grad.tolist() for each in module.parameters()],
        "buffers": [(id(each), each.tolist()) for each in module.buffers()],
        "kept": id(module.last),
    }


def test_the_callers_module_is_as_it_was(module: Net, tmp_path: Path) -> None:
    """Training flags, requires_grad, hooks, buffers, gradients, attributes; and training goes on."""
    before = state(module)
    export(module, tmp_path / "m.gagrad", size=SIZE)
    assert read_bundle(tmp_path / "m.gagrad").manifest.verification.reference == "autograd"
    assert state(module) == before
    module(torch.rand(4, 3, *SIZE)).sum().backward()
    assert state(module)["gradients"] != before["gradients"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, ModelError])
@pytest.mark.parametrize("place", ["torch.onnx.export", "gagrad_export.pipeline.verify"])
def test_it_is_so_after_a_failure(
    module: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], place: str
) -> None:
    """Whether torch's exporter or a later stage fails, and whether by an error or by Ctrl-C."""
    before = state(module)
    while_exporting: list[bool] = []

    def fail(*_: Any, **__: Any) -> None:
        while_exporting.append(module.training)
        raise error("stop")

    monkeypatch.setattr(place, fail)
    with pytest.raises((error, ModelError)):
        export(module, tmp_path / "m.gagrad", size=SIZE)
    assert while_exporting[0] == (place != "torch.onnx.export")
    assert state(module) == before
    assert not (tmp_path / "m.gagrad").exists()


def test_a_gradient_of_autograd_leaves_the_module_too(module: Net) -> None:
    """In float32 and in float64, and the gradient is that of the module in evaluation mode."""
    gradient = load_torch_module(module, name="net", input_shape=(3, *SIZE)).gradient
    assert gradient is not None
    before = state(module)
    x, cotangent = torch.rand(2, 3, *SIZE), torch.tensor([[1.0, 0, 0], [1, 0, 0]])
    found = [gradient(x.numpy(), cotangent.numpy(), double=double) for double in (False, True)]
    assert state(module) == before
    leaf = x.clone().requires_grad_()
    module.eval()(leaf)[:, 0].sum().backward()
    for each in found:
        torch.testing.assert_close(torch.from_numpy(each), leaf.grad, rtol=1e-4, atol=1e-7)


FACTORIES = {
    "at import": ('raise RuntimeError("operator torchvision::nms does not exist")\n', 1, "RuntimeError"),
    "in the factory": ('import torch\ndef make():\n    return {}["no such key"]\n', 3, "KeyError"),
    "in a function below": (
        "import json\ndef read():\n    return json.loads('{')\ndef make():\n    return read()\n",
        3,
        "JSONDecodeError",
    ),
    "by sys.exit": ('import sys\ndef make():\n    sys.exit("no weights here")\n', 3, "SystemExit"),
    "an import that fails": ("import no_such_package\n", 1, "ModuleNotFoundError"),
    "a syntax error": ("def make(:\n", 1, "SyntaxError"),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_what_a_factory_raises_is_the_users_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, type and text of the exception, file and line of the user's code, no traceback."""
    text, line, kind = FACTORIES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    file = f"factory_{list(FACTORIES).index(name)}"
    (tmp_path / f"{file}.py").write_text(text)
    assert run(["export", f"{file}:make", "-o", "x.gagrad", "--size", "16", "16"]) == 4
    said = capsys.readouterr().err
    assert kind in said
    assert f"{file}.py:{line})" in said
    assert "Traceback" not in said
    with pytest.raises(ModelError) as caught:
        load_torch_factory(f"{file}:make", weights=None, input_shape=(3, *SIZE))
    assert type(caught.value.__cause__).__name__ == kind


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("factory_plain:gone", "no attribute 'gone'"),
        ("factory_plain:make", "missing 1 required positional argument"),
        ("factory_plain:number", "this is a int, not a torch.nn.Module"),
    ],
)
def test_a_factory_that_cannot_be_called(
    reference: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line of the user's code is to blame, so none is named."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "factory_plain.py").write_text("def make(x): ...\ndef number(): return 1\n")
    with pytest.raises(ModelError, match=word) as caught:
        load_torch_factory(reference, weights=None, input_shape=(3, *SIZE))
    assert ".py:" not in str(caught.value)
