"""Evaluation: a network over a split, exact counts at the labels' own size."""

import csv
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.data.samples import Data
from pixalign.errors import naming
from pixalign.files import replacing, write_text
from pixalign.memory import reused_memory
from pixalign.metrics.boundary import RADII, boundary_scores, edge_counts
from pixalign.metrics.boundary_iou import band_counts, band_scores
from pixalign.metrics.confusion import confusion_matrix, summary
from pixalign.predicting.inference import LARGE, PLAIN, Mode, predict_ids
from pixalign.runtime import Source, open_runtime
from pixalign.text import points


def evaluate(
    model: Source,
    pairs: Data,
    *,
    mode: Mode = PLAIN,
    precision: str = "fp32",
    boundary: bool = False,
    per_image: str | Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
    share: tuple[int, int] = (0, 1),
    add_up: Callable[[np.ndarray], np.ndarray] = lambda matrix: matrix,
) -> dict[str, Any]:
    """Measure ``model`` on ``pairs``, image by image, at label size, whatever the mode.

    Where the mode asks for another output size, each pixel of the label is compared with the id predicted at the place
    of its center (nearest neighbor): what is measured is what a user gets.

    Memory does not grow with the number of images: (K, K) counts are kept, and ``per_image`` is written as they come.

    Args:
        model: what `pixalign.runtime.open_runtime` takes, or what it gives. A network stays on its device, and is left
            as it is, also in training mode.
        pairs: the split.
        mode: whole images or tiles, scales, flip, output size (`pixalign.predicting.Mode`).
        precision: fp32, bf16 or fp16 (autocast); a `Runtime` has its own.
        boundary: also measure boundaries: F-score, Boundary IoU and trimap IoU (`pixalign.metrics.boundary`,
            `pixalign.metrics.boundary_iou`).
        per_image: CSV file for each image's counts per class: intersection, prediction, label (pixels); with boundary
            also edge pixels and those matched within each radius (`pixalign.metrics.intervals.read_images`).
        advance: called with 1 after each image, for a progress bar.
        share: (i, n) measures every n-th pair from the i-th on, the part of process i of n.
        add_up: sums an array of int64 counts over all processes.

    Returns:
        What `pixalign.metrics.confusion.summary` gives (mIoU, IoU per class, accuracies), with "data", "images" and
        "fingerprint", "mode" (in words), "confusion" (K x K pixels, rows labels, columns predictions), and "boundary"
        if asked for: "mean" and "by_class" of the F-score by radius, "iou" and "trimap" with the same by band width.

    Raises:
        InputError: a file that cannot be read, a label outside the classes, or an image beyond the memory.
    """
    runtime = open_runtime(model, device=None, precision=precision)
    count = len(pairs.classes)
    shapes = (count, count), (2, 1 + len(RADII), count), (2, 3, 1 + len(RADII), count)
    matrix, edges, bands = (np.zeros(shape, np.int64) for shape in shapes)
    with ExitStack() as stack:
        memory = stack.enter_context(ExitStack())
        memory.enter_context(reused_memory())
        write = stack.enter_context(_per_image_writer(per_image, pairs.classes, boundary)) if per_image else None
        threads = stack.enter_context(ThreadPoolExecutor(1))
        ours = range(share[0], len(pairs), share[1])
        upcoming = [threads.submit(pairs.__getitem__, index) for index in ours[:1]]
        for index in ours:
            image, label = upcoming.pop().result()
            if index + share[1] < len(pairs):
                upcoming.append(threads.submit(pairs.__getitem__, index + share[1]))
            if image.shape[0] * image.shape[1] > LARGE:
                memory.close()  # what tiles leave behind would add to the peak of a large image
            with naming(pairs.where(index)):
                ids = predict_ids(runtime, image, mode)
                if mode.output_size is not None:
                    ids = resize_ids(ids, label.shape)
                own = confusion_matrix(ids, label, count)
                matrix += own
                columns = [own.diagonal(), own.sum(0), own.sum(1)]
                if boundary:
                    own = edge_counts(ids, label, count)
                    edges += own
                    columns += [*own[:, 0], *own[0, 1:], *own[1, 1:]]
                    bands += band_counts(ids, label, count)
            if write:
                write(Path(pairs.where(index)).name, columns)
            advance(1)
    matrix = add_up(matrix)
    about = {"data": pairs.name, "images": len(pairs), "fingerprint": pairs.fingerprint(), "mode": str(mode)}
    result = {**about, **summary(matrix, pairs.classes), "confusion": matrix.tolist()}
    if boundary:
        measured = boundary_scores(add_up(edges), pairs.classes), band_scores(add_up(bands), pairs.classes)
        result["boundary"] = {**measured[0], **measured[1]}
    return result


def result_table(result: dict[str, Any]) -> Any:
    """A rich table of a result of `evaluate`: IoU and accuracy per class, and the means."""
    from rich.table import Table
    from rich.text import Text

    title = f"{result['data']}: {result['images']} images, {result['pixels']:,} labeled pixels, {result['mode']}"
    shown = Table(title=Text(title))  # Text: what stands in brackets in a name is no style
    shown.add_column("class")
    shown.add_column("IoU %", justify="right")
    shown.add_column("accuracy %", justify="right")
    for name in result["iou"]:
        shown.add_row(Text(name), points(result["iou"][name]), points(result["accuracy"][name]))
    shown.add_section()
    shown.add_row("mean over classes", points(result["miou"]), points(result["class_accuracy"]), style="bold")
    shown.add_row("all pixels", "", points(result["pixel_accuracy"]))
    if "boundary" in result:
        shown.add_section()
        for radius, score in result["boundary"]["mean"].items():
            shown.add_row(f"boundary F, {radius} px", points(score), "")
        share, score = next(iter(result["boundary"]["iou"]["mean"].items()))
        shown.add_row(f"boundary IoU, {share} of the diagonal", points(score), "")
        narrow, *_, wide = result["boundary"]["trimap"]["mean"].items()
        ends = f"{points(narrow[1])} to {points(wide[1])}"
        shown.add_row(f"trimap IoU, {narrow[0]} to {wide[0]} px", ends, "")
    return shown


def write_result(result: dict[str, Any], folder: str | Path) -> None:
    """Write a result of `evaluate` as metrics.json and classes.csv into ``folder``."""
    folder = Path(folder)
    write_text(folder / "metrics.json", json.dumps(result, indent=1) + "\n")
    with replacing(folder / "classes.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "iou", "accuracy"])
        for name in result["iou"]:
            values = result["iou"][name], result["accuracy"][name]
            writer.writerow([name, *("" if value is None else f"{value:.6f}" for value in values)])


def resize_ids(ids: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Ids (H, W) at another size: at each pixel's center the id of the pixel that it lies in."""
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(ids.shape, size))
    return ids[rows[:, None], columns]


@contextmanager
def _per_image_writer(
    path: str | Path, classes: list[str], boundary: bool
) -> Iterator[Callable[[str, list[np.ndarray]], None]]:
    """Yield ``write(image name, columns)``, which appends a row per class to a CSV file; columns hold (K,) counts."""
    header = ["image", "class", "intersection", "prediction", "label"]
    if boundary:
        header += ["edges_prediction", "edges_label"]
        header += [f"matched_{side}_{radius:g}" for side in ("prediction", "label") for radius in RADII]
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        yield lambda name, counts: writer.writerows([name, *row] for row in zip(classes, *(c.tolist() for c in counts)))
