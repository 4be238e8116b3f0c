"""The figures of a comparison: means over seeds, and gains over the baseline with their intervals."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixalign.errors import InputError
from pixalign.metrics.intervals import blocks_of, paired_interval, read_images

RADII = ("1", "3")  # of the boundary F-score, pixels
LEVEL = 0.95
_COLUMNS = {
    "miou": ("intersection", "prediction", "label"),
    **{
        f"boundary_f_{r}": (f"matched_prediction_{r}", "edges_prediction", f"matched_label_{r}", "edges_label")
        for r in RADII
    },
}


@dataclass(frozen=True)
class Measured:
    """One run on one split: the result of `evaluate`, and the counts of each image."""

    result: dict[str, Any]
    names: list[str]
    counts: dict[str, NDArray[np.int64]]  # measure -> (images, columns, classes)


def read_measured(result: dict[str, Any], images: Path) -> Measured:
    """Return a result with the counts of its images.csv; InputError if that cannot be read."""
    names, _, columns = read_images(images)
    return Measured(
        result, names, {measure: np.stack([columns[c] for c in each], 1) for measure, each in _COLUMNS.items()}
    )


def summarize(of_seeds: Mapping[int, Measured]) -> dict[str, Any]:
    """Return what a method reaches on a split: the means over its seeds, each seed's own, and sample deviations.

    "miou", "boundary_f_1" and "boundary_f_3" hold "mean", "deviation" (None with one seed) and "seeds" (seed as text ->
    value); "iou" holds the mean of each class (None where the split has none). All are shares from 0 to 1.
    """
    results = {seed: measured.result for seed, measured in of_seeds.items()}
    figures: dict[str, Any] = {"miou": _spread({seed: r["miou"] for seed, r in results.items()})}
    for radius in RADII:
        figures[f"boundary_f_{radius}"] = _spread({s: r["boundary"]["mean"][radius] for s, r in results.items()})
    classes = next(iter(results.values()))["iou"]
    figures["iou"] = {name: _mean([r["iou"][name] for r in results.values()]) for name in classes}
    return figures


def gains(own: Mapping[int, Measured], baseline: Mapping[int, Measured]) -> dict[str, Any] | None:
    """Return what a method gains over the baseline on a split, from the seeds that both have; None if there is none.

    For each of "miou", "boundary_f_1" and "boundary_f_3": "difference", "low" and "high" (the interval at `LEVEL`,
    from resampled blocks of consecutive images, and seeds where there are several), and "seeds" (seed, as text ->
    difference). "iou" holds the difference of each class's mean.

    Raises:
        InputError: the two were measured on different images.
    """
    seeds = [seed for seed in own if seed in baseline]
    if not seeds:
        return None
    names = baseline[seeds[0]].names
    for measured in (*own.values(), *baseline.values()):
        if measured.names != names:
            raise InputError(
                f"{measured.result['data']}: two runs were measured on different images: remove eval/ of both"
            )
    blocks = blocks_of(names)
    ours, theirs = summarize({s: own[s] for s in seeds}), summarize({s: baseline[s] for s in seeds})
    found: dict[str, Any] = {}
    for measure in _COLUMNS:
        interval = paired_interval(
            [own[seed].counts[measure] for seed in seeds],
            [baseline[seed].counts[measure] for seed in seeds],
            blocks,
            measure="miou" if measure == "miou" else "boundary_f",
            level=LEVEL,
        )
        found[measure] = {
            "difference": float(interval.difference),
            "low": float(interval.low),
            "high": float(interval.high),
            "seeds": {s: value - theirs[measure]["seeds"][s] for s, value in ours[measure]["seeds"].items()},
        }
    found["iou"] = {
        name: None if value is None or theirs["iou"][name] is None else value - theirs["iou"][name]
        for name, value in ours["iou"].items()
    }
    return found


def told_apart(gain: Mapping[str, Any]) -> bool:
    """Whether the interval of a gain leaves out 0."""
    return gain["low"] > 0 or gain["high"] < 0


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the names of those that no other beats in both (cost, figure), by rising cost.

    One of lower or equal cost and higher or equal figure beats another, if it differs from it.
    """
    front: list[str] = []
    best = -float("inf")
    for name in sorted(points, key=lambda n: (points[n][0], -points[n][1])):
        if points[name][1] > best:
            front.append(name)
            best = points[name][1]
    return front


def _spread(values: dict[int, float]) -> dict[str, Any]:
    several = list(values.values())
    deviation = statistics.stdev(several) if len(several) > 1 else None
    return {"mean": statistics.fmean(several), "deviation": deviation, "seeds": {str(k): v for k, v in values.items()}}


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None
