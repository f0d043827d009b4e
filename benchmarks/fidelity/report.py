"""The tables of docs/fidelity.md, from the rows of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fidelity.estimators import ESTIMATORS
from benchmarks.fidelity.gathering import LIMIT_SAMPLES
from benchmarks.fidelity.study import COUNTS, RCAP_COUNTS, RCAP_ESTIMATORS
from benchmarks.fidelity.subjects import MODELS
from benchmarks.table import markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]
DEFAULT = 20
"""The paper's default number of samples T."""
CURVES = ("paper", "relative, A, V 3×3", "grid separate, log A, Gaussian 2.5", "pooled", "adaptive")


def mean(rows: Iterable[Row], field: str, **where: Any) -> float:
    """Return the mean of ``field`` over the rows that have all values of ``where``."""
    values = [row[field] for row in rows if field in row and all(row[k] == v for k, v in where.items())]
    return float(np.mean(values)) if values else float("nan")


def needed(curve: dict[int, float], goal: float) -> float:
    """Return the T at which ``curve`` reaches ``goal``, interpolated over log T.

    The first T of the curve if it begins above ``goal``; infinite if no T reaches ``goal``.
    """
    before: tuple[int, float] | None = None
    for count, value in sorted(curve.items()):
        if value >= goal:
            if before is None:
                return float(count)
            share = (goal - before[1]) / (value - before[1])
            return float(np.exp(np.log(before[0]) + share * np.log(count / before[0])))
        before = (count, value)
    return float("inf")


def samples(rows: list[Row]) -> dict[tuple[str, str, str], float]:
    """Return (estimator, measure, model) → T needed for the fidelity of the paper's T = 20."""
    found = {}
    for model in MODELS:
        mine = [row for row in rows if row["model"] == model and row["seed"]]
        for measure in ("spearman_paper", "top_paper", "spearman_own", "top_own"):
            goal = mean(mine, measure, estimator="paper", T=DEFAULT)
            for name in ESTIMATORS:
                curve = {count: mean(mine, measure, estimator=name, T=count) for count in COUNTS}
                found[name, measure, model] = needed(curve, goal)
    return found


def summary(rows: list[Row]) -> str:
    """Return the table of samples needed, per model and overall, and how many images are at 5 times or more."""
    wanted = samples(rows)
    images = sorted({(row["model"], row["image"]) for row in rows})
    lines = []
    for name in ESTIMATORS:
        cells: list[object] = [name]
        for measure in ("spearman_paper", "top_paper"):
            values = [wanted[name, measure, model] for model in MODELS]
            cells += [_count(value) for value in values] + [_factor(values)]
        cells.append(_factor([wanted[name, "spearman_own", model] for model in MODELS]))
        cells.append(f"{sum(_five(rows, name, *image) for image in images)} of {len(images)}")
        lines.append(cells)
    header = ["estimator"]
    for measure in ("Spearman", "top tenth"):
        header += [f"{measure}: {model}" for model in MODELS] + ["fewer by"]
    return markdown([*header, "fewer by, own limit", "images ≥ 5×"], lines)


def curves(rows: list[Row]) -> str:
    """Return Spearman and top-tenth overlap with the paper's limit over T."""
    lines = []
    for model in MODELS:
        for name in CURVES:
            where = {"model": model, "estimator": name}
            cells = [_pair(rows, "paper", **where, T=count) for count in COUNTS]
            lines.append((model, name, *cells))
    return markdown(["model", "estimator", *(f"T = {count}" for count in COUNTS)], lines)


def everything(rows: list[Row], count: int = 4) -> str:
    """Return all estimators at one T: similarity to both limits, similarity of the limits, and the time."""
    lines = []
    for name in ESTIMATORS:
        cells: list[object] = [name]
        cells += [_pair(rows, "paper", model=model, estimator=name, T=count) for model in MODELS]
        mine = [row for row in rows if row["estimator"] == name]
        cells.append(_pair(mine, "own", T=count))
        cells.append(_pair(mine, "paper", T=LIMIT_SAMPLES))
        cells.append(f"{np.median([row['ms'] for row in mine if row['model'] != 'textline']):.0f}")
        lines.append(cells)
    header = ["estimator", *MODELS, "own limit, all", "its limit to the paper's", "ms at 224²"]
    return markdown(header, lines)


def localisation(rows: list[Row]) -> str:
    """Return mass on the defect, pointing game and RCAP over T."""
    lines = []
    for name in RCAP_ESTIMATORS:
        for count in RCAP_COUNTS:
            where = {"estimator": name, "T": count}
            cells: list[object] = [name, count]
            cells += [f"{mean(rows, 'mass', **where):.3f}", f"{mean(rows, 'points', **where):.2f}"]
            cells += [f"{mean(rows, 'rcap', **where, model=model):.3f}" for model in MODELS]
            lines.append(cells)
    header = ["estimator", "T", "mass on the defect", "pointing", *(f"RCAP {model}" for model in MODELS)]
    return markdown(header, lines)


def stability(rows: list[Row]) -> str:
    """Return predicted and measured stability, and the mean absolute error over images."""
    lines = []
    for name in dict.fromkeys(row["estimator"] for row in rows):
        for count in sorted({row["T"] for row in rows}):
            mine = [row for row in rows if row["estimator"] == name and row["T"] == count]
            predicted, repeat, limit = (
                np.array([row[k] for row in mine]) for k in ("predicted", "repeat", "limit")
            )
            cells: list[object] = [name, count, f"{mean(mine, 'half'):.3f}", f"{predicted.mean():.3f}"]
            cells += [f"{repeat.mean():.3f}", f"{np.abs(predicted - repeat).mean():.3f}"]
            cells += [f"{np.sqrt(predicted).mean():.3f}", f"{limit.mean():.3f}"]
            cells += [f"{np.abs(np.sqrt(predicted) - limit).mean():.3f}", f"{mean(mine, 'spread'):.3f}"]
            lines.append(cells)
    header = ["estimator", "T", "halves r", "2r/(1+r)", "two maps", "error", "√(2r/(1+r))", "to the limit"]
    return markdown([*header, "error", "spread over seeds"], lines)


def designs(rows: list[Row]) -> str:
    """Return Spearman / top tenth by noise design."""
    return _pivot(rows, "design", "T", lambda count: f"T = {count}")


def video(rows: list[Row]) -> str:
    """Return Spearman / top tenth over frames."""
    return _pivot(rows, "samples", "frame", lambda frame: f"frame {frame}")


def _pivot(rows: list[Row], key: str, column: str, title: Callable[[Any], str]) -> str:
    columns = list(dict.fromkeys(row[column] for row in rows))
    columns = sorted(columns)
    lines: list[Sequence[object]] = []
    for name in dict.fromkeys(row["estimator"] for row in rows):
        for model in MODELS:
            for value in dict.fromkeys(row[key] for row in rows):
                where = {"estimator": name, "model": model, key: value}
                cells = []
                for wanted in columns:
                    pair = [mean(rows, field, **where, **{column: wanted}) for field in ("spearman", "top")]
                    cells.append("–" if np.isnan(pair[0]) else "{:.3f} / {:.2f}".format(*pair))
                lines.append((name, model, value, *cells))
    return markdown(["estimator", "model", key, *map(title, columns)], lines)


def _five(rows: list[Row], name: str, model: str, image: str) -> bool:
    """Tell whether ``name`` at T = 4 is as good as the paper's map at T = 20 on this image, by both measures."""
    mine = [row for row in rows if row["model"] == model and row["image"] == image and row["seed"]]
    return all(
        mean(mine, measure, estimator=name, T=4) >= mean(mine, measure, estimator="paper", T=DEFAULT)
        for measure in ("spearman_paper", "top_paper")
    )


def _pair(rows: list[Row], judge: str, **where: Any) -> str:
    return f"{mean(rows, f'spearman_{judge}', **where):.3f} / {mean(rows, f'top_{judge}', **where):.2f}"


def _count(value: float) -> str:
    if np.isinf(value):
        return f"> {max(COUNTS)}"
    return f"≤ {min(COUNTS)}" if value <= min(COUNTS) else f"{value:.1f}"


def _factor(values: list[float]) -> str:
    """Return 20/T as a geometric mean over the models: how many times fewer samples are needed."""
    factor = DEFAULT / float(np.exp(np.mean(np.log(np.minimum(values, 1e9)))))
    return "–" if factor < 0.01 else f"{factor:.1f}"
