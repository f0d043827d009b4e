"""Files of weights, as training scripts and wrappers write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gagrad_edge.errors import ModelError
from gagrad_export.load.weights import load_weights


def net(seed: int) -> nn.Module:
    """Return a small module with the weights of ``seed``."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def prefixed(prefix: str) -> dict[str, Any]:
    """Return weights with ``prefix`` in front of each key."""
    return {prefix + key: value for key, value in net(1).state_dict().items()}


FILES: dict[str, tuple[Any, int]] = {
    "plain": (prefixed(""), 0),
    "DataParallel": (prefixed("module."), 1),
    "Lightning": ({"epoch": 3, "state_dict": prefixed("model.")}, 2),
    "torch.compile in DataParallel": ({"model": prefixed("module._orig_mod.")}, 3),
    "a checkpoint": ({"model_state_dict": prefixed(""), "optimizer": {"lr": 1.0}}, 1),
}


@pytest.mark.parametrize("name", FILES)
def test_wrappers_are_taken_off_and_said(name: str, tmp_path: Path) -> None:
    """The module has the file's weights, and there is a note for each wrapper."""
    content, notes = FILES[name]
    torch.save(content, tmp_path / "w.pt")
    module = net(0)
    assert len(load_weights(module, tmp_path / "w.pt")) == notes
    assert torch.equal(module.state_dict()["0.weight"], net(1).state_dict()["0.weight"])


def test_a_module_whose_own_keys_have_the_prefix_keeps_it(tmp_path: Path) -> None:
    """Nothing is taken off where the keys fit as they are."""
    module = nn.ModuleDict({"model": net(0)})
    torch.save(nn.ModuleDict({"model": net(1)}).state_dict(), tmp_path / "w.pt")
    assert load_weights(module, tmp_path / "w.pt") == ()


def test_weights_of_another_model_name_the_first_keys(tmp_path: Path) -> None:
    """Missing and unexpected ones, and nothing is loaded."""
    torch.save(
        {"module.0.weight": torch.zeros(4, 3, 3, 3), "module.9.bias": torch.zeros(1)}, tmp_path / "w.pt"
    )
    module = net(0)
    with pytest.raises(ModelError, match=r"missing 0\.bias, 1\.bias, .* and 3 more; unexpected 9\.bias"):
        load_weights(module, tmp_path / "w.pt")
    assert torch.equal(module.state_dict()["0.weight"], net(0).state_dict()["0.weight"])


def test_a_file_without_a_table_is_refused(tmp_path: Path) -> None:
    """A tensor alone is no table of weights."""
    torch.save(torch.zeros(3), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds a Tensor, no table of weights"):
        load_weights(net(0), tmp_path / "w.pt")
