"""A segmenter's output: the map of class scores beside auxiliary ones, and which class is background."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from gagrad_edge.errors import ModelError, SettingError
from gagrad_export.arrange.arranged import Arranged
from gagrad_export.arrange.queries import find_queries
from gagrad_export.arrange.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gagrad_edge.output import Activation
    from gagrad_export.arrange.arranged import Probe, Wishes

_SLACK = 1e-6
"""How far from 0..1 the rounding of a probability may lie."""
BACKGROUND = re.compile(
    r"_*(background|back ?ground|bg|backgr|void|ok|good|normal|no[ _-]?defect|none|nothing|unlabell?ed)_*",
    re.IGNORECASE,
)
"""Names of a class that stands for "nothing there"."""


def find_segmentation(probe: Probe, wishes: Wishes) -> Arranged | None:
    """Return the model with its map of class scores; None where its only output tells by itself.

    A segmenter has a map ``[N, K, h, w]`` and beside it at most maps of as many classes (an auxiliary head;
    coarser ones where the map has the image's size) and the class of each cell as a whole number. A model
    with anything else is none: a detector's heads are maps of several sizes, too.
    """
    if wishes.output_name is not None or len(probe.outputs) < 2:
        return None
    if (of_queries := find_queries(probe)) is not None:
        return of_queries
    maps = {name: values for name, values in probe.outputs.items() if _is_map(probe, name, values)}
    if not maps:
        if wishes.task is not None:
            raise ModelError(
                "no output of the model is a map of class scores [N, classes, height, width]",
                where="task",
                hint="choose a value inside the graph with `output_name`",
                choices=[f"{name} {list(values.shape[1:])}" for name, values in probe.outputs.items()],
            )
        return None
    best = max(maps, key=lambda name: _size(maps[name]))
    classes, others = maps[best].shape[1], [name for name in probe.outputs if name != best]
    whole = maps[best].shape[2:] == probe.image[1:]
    fits = all(_goes_with(probe.outputs[name], maps[best], coarser=whole) for name in others)
    if wishes.task is None and not fits:
        return None
    height, width = maps[best].shape[2:]
    evidence = (
        f"{best} has {classes} score{'s' * (classes > 1)} at each of {height}×{width} places; "
        f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} not explained"
    )
    return Arranged(probe.model, best, task="segmentation", evidence=evidence)


def _is_map(probe: Probe, name: str, values: NDArray[np.float32]) -> bool:
    """Whether an output ``[F, …]`` is a map of class scores; of one class, behind a sigmoid only."""
    if values.ndim != 4 or values.dtype.kind != "f" or min(values.shape[2:]) < 2:
        return False
    if values.shape[1] > 1:
        return bool(values.shape[1] < max(values.shape[2:]))  # else the classes are not there
    found = Tracing(probe.model).activation(name)
    return found is not None and found[0] == "Sigmoid"


def _size(values: NDArray[np.float32]) -> int:
    return int(np.prod(values.shape[2:]))


def _goes_with(values: NDArray[np.float32], best: NDArray[np.float32], *, coarser: bool) -> bool:
    """Whether an output ``[F, …]`` is what a segmenter gives beside its map ``best``."""
    if values.dtype.kind in "iu":
        return values.ndim in (3, 4)
    return values.ndim == 4 and values.shape[1] == best.shape[1] and (coarser or values.shape == best.shape)


def require_mask(
    shape: Sequence[int], activation: Activation, scores: Callable[[], NDArray[np.float32]]
) -> None:
    """Raise SettingError for a map of one class whose values are no probabilities, ``shape`` is K….

    ``scores`` returns [F, K…] on F frames.
    """
    if shape[0] != 1 or activation != "none":
        return
    values = scores()
    if values.min() < -_SLACK or values.max() > 1 + _SLACK:
        raise SettingError(
            "the map has one score at each place and no activation, and its values leave 0..1: nothing tells "
            "from which value on a place belongs to the class",
            where="task",
            hint="give `activation=sigmoid` if 0 is a probability of one half, or `task=anomaly`",
        )


def background_of(
    names: Sequence[str], classes: int, activation: Activation, asked: int | str | None
) -> tuple[int | None, str]:
    """Return the class that stands for "nothing there", None for none, and the evidence as a clause.

    ``asked`` is a class's number or name, ``none``, or None to decide here. Raises SettingError.
    """
    if asked is not None:
        return _asked(names, classes, asked)
    if classes == 1 or activation == "sigmoid":
        return _named(names) if names and classes > 1 else (None, "where no class is, is background")
    if names:
        return _named(names)
    if classes == 2:
        return 0, "ASSUMED: of two classes without names, 0 is the background (`background` says otherwise)"
    return None, "no class is taken for background, as none has a name (`background=0` makes it class 0)"


def _named(names: Sequence[str]) -> tuple[int | None, str]:
    found = [index for index, name in enumerate(names) if BACKGROUND.fullmatch(name.strip())]
    if len(found) == 1:
        return found[0], f"{names[found[0]]!r} is the background, by its name"
    several = ", ".join(repr(names[index]) for index in found)
    why = f"{several} all have such a name" if found else "none has such a name"
    return None, f"no class is taken for background, as {why} (`background` names one)"


def _asked(names: Sequence[str], classes: int, asked: int | str) -> tuple[int | None, str]:
    text = str(asked).strip()
    if text in names:
        return list(names).index(text), f"{text!r} is the background, as asked for"
    if text.casefold() == "none":
        return None, "no class is background, as asked for"
    if not text.isdecimal() or int(text) >= classes:
        raise SettingError(
            f"there is no class {text!r} to be the background",
            where="background",
            hint=f"give a class's name, its number from 0 to {classes - 1}, or none",
            choices=list(names)[:10],
        )
    index = int(text)
    name = repr(names[index]) if names else f"class {index}"
    return index, f"{name} is the background, as asked for"
