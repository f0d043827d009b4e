"""The table of results: its metrics in words, one row per image and method, and a summary by method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np


@dataclass(frozen=True)
class Metric:
    """One metric: the ``field`` of ``Row`` that holds its values, and how to read them."""

    field: str
    title: str
    better: Literal["higher", "lower"]
    says: str
    """One sentence for people who never saw a gradient."""
    average: Literal["mean", "median"] = "mean"
    digits: int = 3
    percent: bool = False


METRICS = (
    Metric(
        "mass",
        "on defect",
        "higher",
        "Share of the map that lies on the known defect.",
        percent=True,
        digits=1,
    ),
    Metric(
        "concentration",
        "times even",
        "higher",
        "How many times as much of the map lies on the known defect as if it were spread evenly.",
        digits=1,
    ),
    Metric(
        "pointing",
        "points at it",
        "higher",
        "Share of the images in which the brightest place of the map lies on the known defect.",
        percent=True,
        digits=0,
    ),
    Metric(
        "rcap",
        "RCAP",
        "higher",
        "Does the model still come to its answer when it sees only the brightest places, and are they few?",
    ),
    Metric(
        "insertion",
        "insertion",
        "higher",
        "How soon the model is sure again when a blurred image becomes sharp, brightest places first.",
    ),
    Metric(
        "deletion",
        "deletion",
        "lower",
        "How long the model stays sure while the image is wiped out, brightest places first.",
    ),
    Metric(
        "stability",
        "stability",
        "higher",
        "How much a second map, made with other random noise, would resemble this one; 1 is the same.",
    ),
    Metric(
        "randomisation",
        "same when random",
        "lower",
        "How much the map resembles that of a model that has learned nothing; near 1, it only shows edges.",
    ),
    Metric("seconds", "seconds", "lower", "Time for one image on this machine (median).", "median"),
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of one image explained with one method; null where a metric does not apply."""

    image: str
    method: str
    target: str
    """Name of the explained class."""
    probability: float | None
    mass: float | None
    concentration: float | None
    pointing: bool | None
    rcap: float | None
    insertion: float | None
    deletion: float | None
    stability: float | None
    randomisation: float | None
    seconds: float
    insertion_curve: list[float]
    """Confidence at even steps, from the blurred image to the whole one."""
    deletion_curve: list[float]
    """Confidence at even steps, from the whole image to the empty one."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of one method over all images."""

    method: str
    images: int
    values: dict[str, float | None]
    """Mean (median for ``seconds``) by metric; null where no image has it."""
    counts: dict[str, int]
    """Number of images that have the metric, by metric."""
    errors: dict[str, float | None]
    """Standard error of the mean; null for fewer than two images and for the median."""


def summarise(rows: list[Row]) -> list[Summary]:
    """Return one summary per method, in the order in which methods first appear."""
    return [_summary(method, [row for row in rows if row.method == method]) for method in _methods(rows)]


def used_metrics(rows: list[Row]) -> list[Metric]:
    """Return the metrics that any of ``rows`` has."""
    return [metric for metric in METRICS if any(getattr(row, metric.field) is not None for row in rows)]


def shown(metric: Metric, value: float | None) -> str:
    """Return ``value`` as the report shows it."""
    if value is None:
        return "–"
    return f"{value * 100:.{metric.digits}f} %" if metric.percent else f"{value:.{metric.digits}f}"


def _methods(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def _summary(method: str, rows: list[Row]) -> Summary:
    values: dict[str, float | None] = {}
    counts: dict[str, int] = {}
    errors: dict[str, float | None] = {}
    for metric in METRICS:
        known = [float(v) for v in (getattr(row, metric.field) for row in rows) if v is not None]
        average = np.mean if metric.average == "mean" else np.median
        values[metric.field] = float(average(known)) if known else None
        counts[metric.field] = len(known)
        spread = len(known) > 1 and metric.average == "mean"
        errors[metric.field] = float(np.std(known, ddof=1) / len(known) ** 0.5) if spread else None
    return Summary(method=method, images=len(rows), values=values, counts=counts, errors=errors)
