"""An anomaly scorer's outputs: the score, the map beside it, their limits and their thresholds.

Files of anomalib 2 hold ``pred_score``, ``anomaly_map``, and by a threshold ``pred_label`` and ``pred_mask``;
the normalisation that maps the threshold to 0.5 and the limits 0 and 1 are inside. Files of anomalib 1 and
others hold a map, or a map and a score, under any name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gagrad_edge.abi import ANOMALY_MAP
from gagrad_edge.errors import ModelError
from gagrad_edge.output import AnomalySpec
from gagrad_export.arrange.arranged import Arranged
from gagrad_export.arrange.tracing import Tracing, behind

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from gagrad_export.arrange.arranged import Probe, Wishes

    Array = NDArray[np.float32]

_SCORE = re.compile(r"(pred|anomaly|image|img|outlier)_?scores?", re.IGNORECASE)
_MAP = re.compile(r"(anomaly|outlier|anomaly_?heat|pixel_?score|score)_?maps?|pred_?heatmap", re.IGNORECASE)
_NORMALISED = 0.5
"""Threshold of scores that anomalib has normalised."""
_TOTAL = 1e-3
"""How near the score may be to the map's sum or mean, relative, before it is taken for a count."""


class _Outputs(NamedTuple):
    """The outputs that were found, by name; None where there is none."""

    score: str | None
    map: str | None
    named: bool
    """Whether a name tells so; else the shapes do."""


def find_anomaly(probe: Probe, wishes: Wishes) -> Arranged | None:
    """Return the model with its score, or its map, in front of the limits; None for another model.

    Raises ModelError where the task is asked for and there is neither a score nor a map.
    """
    found = _outputs(probe, wishes)
    if found is None:
        return None
    tracing = Tracing(probe.model)
    explained = found.score or found.map
    assert explained is not None  # noqa: S101 - _outputs returns one of the two
    notes: list[str] = []
    model, name, limits = _in_front(tracing, probe, explained, probe.model, flat=False)
    threshold, evidence = _threshold(tracing, probe, explained, wishes.threshold, normalised=limits)
    notes += evidence
    beside, map_size, map_limits, map_threshold = {}, None, _NONE, None
    if found.score is not None and found.map is not None:
        model, inner, map_limits = _in_front(tracing, probe, found.map, model, flat=True)
        map_threshold, more = _threshold(
            tracing, probe, found.map, wishes.map_threshold, normalised=map_limits
        )
        notes += more
        beside, map_size = {ANOMALY_MAP: inner}, _size(probe.outputs[found.map])
    what = f"{found.score} is the score" if found.score else f"{found.map} is a map of scores"
    what += f" and {found.map} its map" if beside else ""
    why = "name" if found.named else "shape"
    if limits != _NONE:
        ends = " to ".join("any" if end is None else f"{end:g}" for end in limits)
        what += f"; {explained} is limited to {ends}, and explained in front of these limits"
    return Arranged(
        model,
        name,
        shown_name=explained,
        task="anomaly",
        evidence=f"by {why}: {what}",
        beside=beside,
        anomaly=AnomalySpec(
            threshold=threshold,
            limits=limits,
            map_size=map_size,
            map_threshold=map_threshold,
            map_limits=map_limits,
        ),
        notes=tuple(notes),
    )


_Limits = tuple["float | None", "float | None"]
_NONE: _Limits = (None, None)


def _outputs(probe: Probe, wishes: Wishes) -> _Outputs | None:
    """Return score and map by name, else by shape where nothing else can have both."""
    scores = {name: values for name, values in probe.outputs.items() if _is_score(values)}
    maps = {name: values for name, values in probe.outputs.items() if _is_map(values)}
    score = _only(scores, _SCORE)
    places = _only(maps, _MAP)
    if wishes.output_name is not None:
        chosen = wishes.output_name
        named = chosen in (score, places)
        if (wishes.task is None and not named) or chosen not in (*maps, *scores):
            return None
        return _Outputs(None, chosen, named) if chosen in maps else _Outputs(chosen, places, named)
    if score is not None or places is not None:
        by_name = _Outputs(score or _single(scores), places or _single(maps), named=True)
        return by_name if wishes.task is not None or _nothing_else(probe, by_name) else None
    return _asked(probe, scores, maps) if wishes.task is not None else _by_shape(probe, scores, maps)


def _by_shape(probe: Probe, scores: dict[str, Array], maps: dict[str, Array]) -> _Outputs | None:
    """Return the score and the map of a model that has these two outputs alone, without such names."""
    if len(probe.outputs) != 2 or len(scores) != 1 or len(maps) != 1:
        return None
    by_shape = _Outputs(next(iter(scores)), next(iter(maps)), named=False)
    is_count = _is_total(scores[by_shape.score or ""], maps[by_shape.map or ""])
    sigmoid = Tracing(probe.model).activation(by_shape.map or "")
    return None if is_count or sigmoid is not None else by_shape


def _asked(probe: Probe, scores: dict[str, Array], maps: dict[str, Array]) -> _Outputs | None:
    """Return the outputs of a model whose task is said to be this one. Raises ModelError."""
    found = _Outputs(_single(scores), _single(maps), named=False)
    if not probe.outputs:
        return None
    if (found.score is None and scores) or (found.map is None and maps) or not (scores or maps):
        raise ModelError(
            "the model's outputs do not tell which one is the anomaly score: it is [N] or [N, 1], "
            "and a map of scores is [N, 1, height, width]",
            where="task",
            hint="choose it with `output_name`",
            choices=[f"{name} {list(values.shape[1:])}" for name, values in probe.outputs.items()],
        )
    return found


def _is_score(values: Array) -> bool:
    """Whether an output ``[F, …]`` is one number for each image."""
    return values.dtype.kind == "f" and values[0].size == 1


def _is_map(values: Array) -> bool:
    """Whether an output ``[F, …]`` is one number for each place."""
    shape = values.shape[1:]
    if values.dtype.kind != "f" or len(shape) not in (2, 3) or min(shape[-2:]) < 2:
        return False
    return len(shape) == 2 or shape[0] == 1


def _only(values: dict[str, Array], pattern: re.Pattern[str]) -> str | None:
    found = [name for name in values if pattern.fullmatch(name)]
    return found[0] if len(found) == 1 else None


def _single(values: dict[str, Array]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None


def _nothing_else(probe: Probe, found: _Outputs) -> bool:
    """Whether the other outputs are verdicts (whole numbers, flags) or further numbers and maps."""
    others = [values for name, values in probe.outputs.items() if name not in (found.score, found.map)]
    return all(values.dtype.kind in "iub" or _is_score(values) or _is_map(values) for values in others)


def _is_total(score: Array, places: Array) -> bool:
    """Whether ``score`` is the sum or the mean of the map: a count of what a density map shows."""
    numbers = score.reshape(len(score)).astype(np.float64)
    each = places.reshape(len(places), -1).astype(np.float64)
    return any(np.allclose(numbers, total, rtol=_TOTAL) for total in (each.sum(axis=1), each.mean(axis=1)))


def _size(values: Array) -> tuple[int, int]:
    return int(values.shape[-2]), int(values.shape[-1])


def _in_front(
    tracing: Tracing, probe: Probe, name: str, model: onnx.ModelProto, *, flat: bool
) -> tuple[onnx.ModelProto, str, _Limits]:
    """Return the model, the value in front of the limits that ``name`` lies behind, and the limits.

    A map becomes ``[N, h, w]`` where ``flat``, else ``[N, 1, h, w]``.
    """
    limited = tracing.limits(name)
    inner = tracing.source(name) if limited is None else limited.value
    limits = _NONE if limited is None else (limited.least, limited.greatest)
    values = probe.outputs[name]
    if not _is_map(values):
        return model, inner, limits
    size = _size(values)
    model, arranged = behind(model, inner, "Reshape", shape=(-1, *size) if flat else (-1, 1, *size))
    return model, arranged, limits


def _threshold(
    tracing: Tracing, probe: Probe, name: str, asked: float | None, *, normalised: _Limits
) -> tuple[float | None, list[str]]:
    """Return the threshold of the output ``name``, and what is to be said of it."""
    if asked is not None:
        return asked, [f"{name} is NG from {asked:g} on, as asked for"]
    for other in probe.model.graph.output:
        limit = tracing.threshold(other.name, name)
        if limit is None or not np.isfinite(limit):
            continue
        if normalised == _NONE and limit == _NORMALISED and (_MAP.fullmatch(name) or _SCORE.fullmatch(name)):
            note = (
                f"{other.name} compares {name} with {limit:g}, which belongs to normalised scores, but the "
                "file does not normalise them: no threshold until `threshold` or `calibrate` sets one"
            )
            return None, [note]
        return limit, [f"{name} is NG above {limit:g}: {other.name} compares it so"]
    if normalised == (0.0, 1.0) and _centred(tracing, name):
        return _NORMALISED, [f"{name} is NG above 0.5: the file normalises its threshold to 0.5"]
    return None, [f"{name} has no threshold: `calibrate` finds one on good parts, or `threshold` sets it"]


def _centred(tracing: Tracing, name: str) -> bool:
    """Whether the value in front of the limits is something plus one half, as anomalib normalises."""
    limited = tracing.limits(name)
    node = None if limited is None else tracing.producer(limited.value)
    return (
        node is not None
        and node.op_type == "Add"
        and _NORMALISED in [tracing.number(one) for one in node.input]
    )
