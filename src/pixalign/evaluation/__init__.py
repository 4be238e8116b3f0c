"""Evaluation: a network over a split, exact counts at the labels' own size."""

import csv
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pixalign.data.samples import Data
from pixalign.errors import InputError, replacing
from pixalign.metrics.boundary import BoundaryFScore
from pixalign.metrics.confusion import Confusion, summary
from pixalign.predict import predict_logits


def evaluate(
    model: nn.Module,
    pairs: Data,
    *,
    precision: str = "fp32",
    boundary: bool = False,
    per_image: str | Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
    share: tuple[int, int] = (0, 1),
    add_up: Callable[[np.ndarray], np.ndarray] = lambda matrix: matrix,
) -> dict[str, Any]:
    """Measure ``model`` on ``pairs``, image by image, at label size.

    Memory does not grow with the number of images: only the (K, K) counts are kept; what belongs to single images is
    written to ``per_image`` as it comes.

    Args:
        model: a network in eval mode with ``config`` (mean, std, classes), on any device.
        pairs: the split.
        precision: fp32, bf16 or fp16 (autocast).
        boundary: also measure the F-score of boundaries (`pixalign.metrics.boundary`).
        per_image: CSV file for each image's counts per class: intersection, prediction, label (pixels).
        advance: called with 1 after each image, for a progress bar.
        share: (i, n) measures every n-th pair from the i-th on, the part of process i of n.
        add_up: sums an array of int64 counts over all processes.

    Returns:
        What `pixalign.metrics.confusion.summary` gives (mIoU, IoU per class, accuracies), with "data", "images" and
        "fingerprint", and "boundary" if asked for.

    Raises:
        InputError: a file that cannot be read, or a label outside the classes.
    """
    device = next(model.parameters()).device
    confusion = Confusion(len(pairs.classes))
    borders = BoundaryFScore(len(pairs.classes))
    with ExitStack() as stack:
        write = stack.enter_context(_per_image_writer(per_image, pairs.classes)) if per_image else None
        threads = stack.enter_context(ThreadPoolExecutor(1))
        ours = range(share[0], len(pairs), share[1])
        upcoming = threads.submit(pairs.__getitem__, ours[0]) if ours else None
        for index in ours:
            image, label = upcoming.result()  # type: ignore[union-attr]
            if index + share[1] < len(pairs):
                upcoming = threads.submit(pairs.__getitem__, index + share[1])
            logits = predict_logits(model, torch.from_numpy(image).permute(2, 0, 1)[None].to(device), precision)
            try:
                ids = logits[0].argmax(0).to(torch.uint8).cpu().numpy()
                counts = confusion.update(ids, label)
                if boundary:
                    borders.update(ids, label)
            except InputError as error:
                raise InputError(f"{pairs.where(index)}: {error}") from error
            if write:
                write(Path(pairs.where(index)).name, counts)
            advance(1)
    result = summary(add_up(confusion.matrix), pairs.classes)
    if boundary:
        borders.matched, borders.edges = add_up(borders.matched), add_up(borders.edges)
        result["boundary"] = borders.summary(pairs.classes)
    return {"data": pairs.name, "images": len(pairs), "fingerprint": pairs.fingerprint(), **result}


def result_table(result: dict[str, Any]) -> Any:
    """A rich table of a result of `evaluate`: IoU and accuracy per class, and the means."""
    from rich.table import Table

    shown = Table(title=f"{result['data']}: {result['images']} images, {result['pixels']:,} labelled pixels")
    shown.add_column("class")
    shown.add_column("IoU %", justify="right")
    shown.add_column("accuracy %", justify="right")
    for name in result["iou"]:
        shown.add_row(name, _percent(result["iou"][name]), _percent(result["accuracy"][name]))
    shown.add_section()
    shown.add_row("mean over classes", _percent(result["miou"]), _percent(result["class_accuracy"]), style="bold")
    shown.add_row("all pixels", "", _percent(result["pixel_accuracy"]))
    if "boundary" in result:
        shown.add_section()
        for radius, score in result["boundary"]["mean"].items():
            shown.add_row(f"boundary F, {radius} px", _percent(score), "")
    return shown


def write_result(result: dict[str, Any], folder: str | Path) -> None:
    """Write a result of `evaluate` as metrics.json and classes.csv into ``folder``."""
    folder = Path(folder)
    with replacing(folder / "metrics.json") as path:
        path.write_text(json.dumps(result, indent=1) + "\n")
    with replacing(folder / "classes.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "iou", "accuracy"])
        for name in result["iou"]:
            writer.writerow(
                [name, *("" if v is None else f"{v:.6f}" for v in (result["iou"][name], result["accuracy"][name]))]
            )


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.1f}"


@contextmanager
def _per_image_writer(path: str | Path, classes: list[str]) -> Iterator[Callable[[str, tuple[np.ndarray, ...]], None]]:
    """Yield ``write(image name, (intersection, prediction, label))``, which appends a row per class to a CSV file."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "intersection", "prediction", "label"])

        def write(name: str, counts: tuple[np.ndarray, ...]) -> None:
            writer.writerows([name, *row] for row in zip(classes, *(c.tolist() for c in counts)))

        yield write
