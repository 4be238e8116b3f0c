"""The page of an evaluation's report: figures, classes, confusions, boundary curves, images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.metrics.boundary_iou import SHARE
from pixalign.pages import Picture, render
from pixalign.text import number_of, points, shown

_HEAT = 30  # classes in the heat map at most
_NUMBERS = 16  # classes up to which its cells hold numbers
_LISTED = 10  # confusions in words
_CURVES = 20  # classes up to which each has a curve of its own
_BARS = 16  # of the histogram at most
_BOUNDARY = "3"  # the radius of the boundary F-score that stands in the headline and the table


@dataclass(frozen=True)
class Shown:
    """An image on the page.

    Attributes:
        index: its position in the split.
        name: its file.
        miou: its mean IoU over the classes of its label, 0 to 1.
        wrong: share of its labeled pixels that are wrong.
        mistake: the most frequent error, true class and predicted class; None without errors.
        pictures: what to show of it, by what each is.
    """

    index: int
    name: str
    miou: float
    wrong: float
    mistake: tuple[str, str] | None
    pictures: dict[str, Picture]


def page(
    result: Mapping[str, Any],
    colors: Sequence[Sequence[int]],
    model: str,
    about: str,
    scores: Sequence[float],
    worst: Sequence[Shown],
    best: Sequence[Shown],
) -> str:
    """The whole report as one page of HTML; most arguments are those of `pixalign.evaluating.report.write_report`.

    Args:
        colors: an RGB triple (0 to 255) per class.
        scores: mIoU (0 to 1) of every image with labels.
        worst, best: the images to show, in this order.
    """
    names, boundary, errors = list(result["iou"]), result.get("boundary", {}), _confusions(result)
    figures = [
        ("mIoU", result["miou"]),
        ("pixel accuracy", result["pixel_accuracy"]),
        ("class accuracy", result["class_accuracy"]),
        (f"boundary F, {_BOUNDARY} px", boundary.get("mean", {}).get(_BOUNDARY)),
        ("boundary IoU", next(iter(boundary.get("iou", {}).get("mean", {}).values()), None)),
    ]
    charts = {
        "Boundary F-score by radius": (boundary, "pixels between predicted and true border"),
        "IoU near borders, by width": (boundary.get("trimap"), "pixels on each side of a true border"),
    }
    curves = {
        title: _curves(measure, names, colors, below)
        for title, (measure, below) in charts.items()
        if measure and any(value is not None for value in measure["mean"].values())
    }
    return render(
        "evaluation",
        title=f"{model} on {result['data']}",
        model=model,
        about=about,
        result=result,
        boundary=boundary,
        band=SHARE,
        figures=figures,
        fails=_fails(result, colors, errors, worst),
        errors=errors[:_LISTED],
        **_classes(result, colors, errors),
        heat=_heat(result),
        curves=curves,
        thin=len(names) <= _CURVES,
        left_out=result["images"] - len(scores),
        histogram=_histogram(scores) if len(scores) > 2 else None,
        present=[(name, color) for name, color in zip(names, colors) if result["iou"][name] is not None],
        worst=worst,
        best=best,
    )


def _confusions(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All errors: share of the true class's pixels, its name, and what it is called; the largest share first."""
    names, matrix = list(result["iou"]), np.array(result["confusion"], np.int64)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[: np.count_nonzero(shares)].tolist()
    places = [divmod(at, len(names)) for at in order]
    return [{"share": float(shares[i, j]), "name": names[i], "called": names[j]} for i, j in places]


def _fails(
    result: Mapping[str, Any], colors: Sequence[Sequence[int]], errors: list[dict[str, Any]], worst: Sequence[Shown]
) -> dict[str, list[dict[str, Any]]]:
    """Four short lists that say at a glance where the model fails; none where it does not."""
    names, iou = list(result["iou"]), list(result["iou"].values())
    matrix = np.array(result["confusion"], np.int64)
    missed = (matrix.sum(1) - matrix.diagonal()).tolist()
    if not sum(missed):
        return {}
    weakest = sorted((i for i, score in enumerate(iou) if score is not None), key=lambda i: iou[i])
    most = sorted((i for i, count in enumerate(missed) if count), key=lambda i: -missed[i])
    return {
        "Classes of the lowest IoU": [{"name": names[i], "color": colors[i], "share": iou[i]} for i in weakest[:4]],
        "Confusions, true → called": errors[:4],
        "Wrong pixels, by true class": [
            {"name": names[i], "color": colors[i], "share": missed[i] / sum(missed)} for i in most[:4]
        ],
        "Images of the lowest mIoU": [
            {"name": Path(i.name).stem, "image": i.index, "share": i.miou} for i in worst[:4]
        ],
    }


def _classes(
    result: Mapping[str, Any], colors: Sequence[Sequence[int]], errors: list[dict[str, Any]]
) -> dict[str, Any]:
    """The table of the classes, from the lowest IoU on; absent ones last."""
    iou, boundary = result["iou"], result.get("boundary", {}).get("by_class", {}).get(_BOUNDARY, {})
    measures = {"iou": "IoU", "accuracy": "accuracy"}
    measures |= {"boundary": f"boundary F, {_BOUNDARY} px"} if boundary else {}
    figures = {"iou": iou, "accuracy": result["accuracy"], "boundary": boundary}
    mistaken = {error["name"]: error for error in reversed(errors)}
    rows = [
        {
            "id": i,
            "name": name,
            "color": color,
            "share": result["class_pixels"][name] / result["pixels"],
            "measured": {key: figures[key].get(name) for key in measures},
            "mistaken": mistaken.get(name),
        }
        for i, (name, color) in enumerate(zip(iou, colors))
    ]
    rows.sort(key=lambda row: (iou[row["name"]] is None, iou[row["name"]] or 0))
    return {"measures": measures, "rows": rows, "widest": max(row["share"] for row in rows)}


def _heat(result: Mapping[str, Any]) -> dict[str, Any]:
    """The confusion matrix, of the classes with most wrong pixels if there are many."""
    names, matrix = list(result["iou"]), np.array(result["confusion"], np.int64)
    missed = matrix - np.diag(matrix.diagonal())
    kept = sorted(np.argsort(-missed.sum(0) - missed.sum(1), kind="stable")[:_HEAT].tolist())
    total, many = matrix.sum(1).tolist(), len(kept) > _NUMBERS

    def cell(true: int, called: int) -> dict[str, Any]:
        pixels = int(matrix[true, called])
        share = pixels / max(1, total[true])
        strength = 0.6 * share if true == called else 0.85 * share**0.5
        return {
            "kind": "none" if not total[true] else "right" if true == called else "",
            "pixels": pixels,
            "strength": f"{strength:.2f}" if share >= 0.0005 else "",
            "text": f"{100 * share:.0f}" if share >= 0.005 and not many else "",
        }

    rows = [{"name": names[i], "pixels": total[i], "cells": [cell(i, called) for called in kept]} for i in kept]
    return {"names": [names[i] for i in kept], "rows": rows, "many": many, "cell": min(52, 600 // len(kept))}


def _curves(
    measure: Mapping[str, Any], names: Sequence[str], colors: Sequence[Sequence[int]], below: str
) -> dict[str, Any]:
    """The chart of mean and classes of a measure against a number of pixels."""
    mean = {float(at): value for at, value in measure["mean"].items() if value is not None}
    left, right, top, bottom = 46, 306, 12, 222
    furthest = max(mean)

    def height(value: float) -> float:
        return bottom - (bottom - top) * value

    def across(at: float) -> str:
        return f"{left + (right - left) * at / furthest:.1f}"

    def path(values: Mapping[float, float]) -> str:
        return "L".join(f"{across(at)} {height(value):.1f}" for at, value in values.items())

    def told(values: Mapping[float, float]) -> str:
        return ", ".join(f"{at:g} px {points(value)} %" for at, value in values.items())

    lines = {}
    for i, name in enumerate(names if len(names) <= _CURVES else ()):
        values = {at: measure["by_class"][f"{at:g}"].get(name) for at in mean}
        if None not in values.values():
            lines[i] = values
    ends = [(mean[furthest], "mean", "strong")]
    if len(lines) > 1:
        extreme = sorted(lines, key=lambda i: lines[i][furthest])
        ends += [(lines[i][furthest], names[i], "soft") for i in (extreme[0], extreme[-1])]
    labels, y = [], 0.0
    for value, name, kind in sorted(ends, key=lambda end: -end[0]):
        y = max(y + 15, height(value) + 4)
        labels.append((f"{y:.1f}", f"{shown(name, 10)} {points(value)} %", kind))
    return {
        "left": left,
        "right": right,
        "bottom": bottom,
        "below": below,
        "spoken": told(mean),
        "levels": [(height(at), f"{100 * at:.0f}{' %' * (at == 1)}") for at in (0, 0.25, 0.5, 0.75, 1)],
        "ticks": [(across(at), f"{at:g}") for at in mean],
        "lines": [(path(values), colors[i], f"{shown(names[i])}: {told(values)}") for i, values in lines.items()],
        "path": path(mean),
        "dots": [(across(at), f"{height(v):.1f}", f"{at:g} px: {points(v)} %") for at, v in mean.items()],
        "ends": labels,
    }


def _histogram(scores: Sequence[float]) -> dict[str, Any]:
    """The chart of images by their mIoU, in steps of 1 to 10 %."""
    lowest, highest = 100 * min(scores), 100 * max(scores)
    width = next(w for w in (1, 2, 5, 10) if highest // w - lowest // w < _BARS)
    first, last = (int(min(end, 100 - width) // width) for end in (lowest, highest))
    edges = (width * np.arange(first, last + 2)).tolist()
    counts = np.histogram(100 * np.array(scores), bins=edges)[0].tolist()
    left, right, top, bottom = 8, 452, 22, 190
    step = min((right - left) / len(counts), 60)
    bars = []
    for i, (low, count) in enumerate(zip(edges, counts)):
        x, height = left + i * step, (bottom - top) * count / max(counts)
        if count:
            bar = {"x": x + 1.5, "y": bottom - height, "width": step - 3, "height": height}
            bar |= {"middle": x + step / 2, "above": bottom - height - 6}
            title = f"{low} to {low + width} %: {number_of(count, 'image')}"
            bars.append({key: f"{value:.1f}" for key, value in bar.items()} | {"count": count, "title": title})
    marked = width if len(counts) <= 8 else 5 if width == 1 else 10
    return {
        "left": left,
        "right": round(left + step * len(counts)),
        "bottom": bottom,
        "bars": bars,
        "ticks": [(f"{left + i * step:.1f}", edge) for i, edge in enumerate(edges) if edge % marked == 0],
        "spoken": ", ".join(f"{low} to {low + width} %: {count}" for low, count in zip(edges, counts)),
        "median": float(np.median(scores)),
        "lowest_tenth": float(np.quantile(scores, 0.1)),
    }
