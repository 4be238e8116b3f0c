"""Cost of counting one image in the confusion matrix, beside numpy's own counting of the same pixels.

Prints the median time of `confusion_matrix`, with the counts per class, and its ratio to two baselines, run in turn in
one process:

- labels: ``np.bincount(label.ravel())`` of the uint8 label map, the cheapest count that numpy can do over the pixels;
- cells: ``np.bincount(index, minlength=256 * K)`` of ready-made int64 indices label * K + prediction.

    python benchmarks/confusion.py [--runs 100]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from pixalign.metrics import confusion_matrix


def street(height: int, width: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction and a label (uint8) in patches of 20 pixels: one pixel in ten wrong, one patch ignored."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, num_classes, (height // 20 + 1, width // 20 + 1), dtype=np.uint8)
    truth = patches.repeat(20, axis=0).repeat(20, axis=1)[:height, :width].copy()
    wrong = rng.integers(0, num_classes, truth.shape, dtype=np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.1, wrong, truth)
    truth[:20, :20] = 255
    return prediction, truth


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def counts(prediction: np.ndarray, label: np.ndarray, classes: int) -> list[np.ndarray]:
    matrix = confusion_matrix(prediction, label, classes)
    return [matrix.diagonal(), matrix.sum(0), matrix.sum(1)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    print(f"{'size':>11} {'classes':>7} {'update ms':>10} {'labels ms':>10} {'ratio':>6} {'cells ms':>9} {'ratio':>6}")
    for height, width in ((360, 480), (1024, 2048)):
        for classes in (11, 19):
            prediction, label = street(height, width, classes)
            cells = (label.astype(np.int64) * classes + prediction).ravel()
            calls: list[Callable[[], object]] = [
                lambda p=prediction, x=label, k=classes: counts(p, x, k),
                lambda x=label: np.bincount(x.ravel()),
                lambda x=cells, k=classes: np.bincount(x, minlength=256 * k),
            ]
            times = [[seconds(call) for call in calls] for _ in range(runs + 1)][1:]
            update, labels, ready = (1000 * statistics.median(column) for column in zip(*times))
            print(
                f"{height:>5} x{width:>5} {classes:>7} {update:>10.3f} {labels:>10.3f} {update / labels:>6.2f} "
                f"{ready:>9.3f} {update / ready:>6.2f}"
            )


if __name__ == "__main__":
    main()
