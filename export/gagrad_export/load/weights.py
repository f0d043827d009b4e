"""Load a file of weights into a module, also where training wrapped the keys or the file.

Wrappers add a prefix to every key (``module.`` of DataParallel, ``_orig_mod.`` of torch.compile, ``model.``
of Lightning), and checkpoints hold the weights under ``state_dict`` or ``model``. A wrapper is taken off only
where all keys then fit.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state", "weights")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_SHOWN = 3


def load_weights(module: torch.nn.Module, path: Path) -> tuple[str, ...]:
    """Load the file at ``path`` into ``module``; return what was taken off, in sentences. Raises ModelError.

    The file is read by ``torch.load(..., weights_only=True)``: nothing in it is executed.
    """
    import torch  # noqa: PLC0415 - torch is needed for torch models only

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(
            f"the weights cannot be read ({(str(error).splitlines() or [''])[0]})",
            where=str(path),
            hint="give a file that torch.save(model.state_dict(), path) wrote",
        ) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"the file holds a {type(content).__name__}, no table of weights",
            where=str(path),
            hint="give a file that torch.save(model.state_dict(), path) wrote",
        )
    expected = set(module.state_dict())
    candidates = list(_candidates(content))
    for state, notes in candidates:
        if set(state) == expected:
            _load(module, state, path)
            return notes
    raise _misfit(expected, candidates, path)


def _candidates(content: dict[Any, Any]) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Yield each reading of a file: as it is, then without its wrappers, each with the notes to be made."""
    tables: list[tuple[dict[Any, Any], tuple[str, ...]]] = [(content, ())]
    for name in _WRAPPERS:
        inner = content.get(name)
        if isinstance(inner, dict):
            tables.append((inner, (f"the weights were taken from {name!r} of the file",)))
    for table, notes in tables:
        state, said = table, notes
        yield state, said
        while state and (prefix := _common_prefix(state)):
            state = {key[len(prefix) :]: value for key, value in state.items()}
            said = (*said, f"{prefix!r} in front of every key of the weights was left out")
            yield state, said


def _common_prefix(state: dict[Any, Any]) -> str | None:
    """Return the wrapper's prefix that every key has, if there is one."""
    for prefix in _PREFIXES:
        if all(isinstance(key, str) and key.startswith(prefix) for key in state):
            return prefix
    return None


def _load(module: torch.nn.Module, state: dict[str, Any], path: Path) -> None:
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the weights do not fit the model ({' '.join(str(error).split())[:300]})",
            where=str(path),
            hint="use the weights of exactly this architecture",
        ) from error


def _misfit(
    expected: set[str], candidates: list[tuple[dict[str, Any], tuple[str, ...]]], path: Path
) -> ModelError:
    """Return the error for a file of which no reading fits, about the reading that comes nearest."""
    state, _ = min(candidates, key=lambda pair: len(expected.symmetric_difference(pair[0])))
    missing = sorted(expected.difference(state))
    unexpected = sorted(str(key) for key in set(state).difference(expected))
    parts = [
        f"{what} {', '.join(keys[:_SHOWN])}"
        + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
        for what, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    return ModelError(
        f"the weights do not fit the model: {'; '.join(parts)}",
        where=str(path),
        hint="use the weights of exactly this architecture; the keys of file and module must be the same, "
        f"but for a prefix of all ({', '.join(_PREFIXES)}) or a table in the file ({', '.join(_WRAPPERS)})",
    )
