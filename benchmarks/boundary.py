"""Cost of the boundary F-score beside its usual form, a distance transform per class and map, in one run.

    python benchmarks/boundary.py

Labels are drawn streets; the prediction is the label with its borders moved and roughened.
"""

import statistics
import time

import numpy as np
from scipy.ndimage import distance_transform_edt

from pixalign.data.streets import Streets
from pixalign.metrics.boundary import RADII, BoundaryFScore

ROUNDS = 5


def usual(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Matched edge pixels, (2, R, K), one class at a time."""
    matched = np.zeros((2, len(RADII), classes), np.int64)
    for c in range(classes):
        maps = []
        for ids in (prediction, label):
            mask = ids == c
            edges = np.zeros_like(mask)
            edges[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
            edges[:-1] |= mask[:-1] ^ mask[1:]
            edges[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
            maps.append(edges)
        for side in (0, 1):
            if maps[1 - side].any():
                distance = distance_transform_edt(~maps[1 - side])[maps[side]]
                matched[side, :, c] = [(distance <= radius).sum() for radius in RADII]
    return matched


def main() -> None:
    for size in ((360, 480), (720, 960)):
        data = Streets("val", 4, size)
        pairs = []
        for index in range(len(data)):
            label = data[index][1]
            label = np.where(label == 255, 3, label)
            rows, columns = (
                (np.random.default_rng(index).normal(0, 1.5, (2, *size)) + np.indices(size)).round().astype(int)
            )
            pairs.append((label[rows.clip(0, size[0] - 1), columns.clip(0, size[1] - 1)], label))
        ratios, ours = [], []
        for _ in range(ROUNDS):
            score = BoundaryFScore(len(data.classes))
            start = time.perf_counter()
            for prediction, label in pairs:
                score.update(prediction, label)
            middle = time.perf_counter()
            plain = sum(usual(prediction, label, len(data.classes)) for prediction, label in pairs)
            ratios.append((middle - start) / (time.perf_counter() - middle))
            ours.append((middle - start) / len(pairs))
            assert np.array_equal(score.matched, plain)
        ms = 1000 * statistics.median(ours)
        print(f"{size[0]} x {size[1]}: {ms:.0f} ms an image, {statistics.median(ratios):.2f} of the usual form's time")


if __name__ == "__main__":
    main()
