"""Cost of all boundary measures beside the usual form of the F-score alone, a distance transform per class and map.

    python benchmarks/boundary.py

Labels are drawn streets; the prediction is the label with its borders moved and roughened. Both are timed by turns in
one run, and the F-score's counts compared.
"""

import time

import numpy as np
from scipy.ndimage import distance_transform_edt

from pixalign.data.sets.streets import Streets
from pixalign.metrics.boundary import RADII, edge_counts
from pixalign.metrics.boundary_iou import band_counts

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
        times = []
        for _ in range(ROUNDS):
            points = [time.perf_counter()]
            counts = sum(edge_counts(prediction, label, len(data.classes)) for prediction, label in pairs)
            points.append(time.perf_counter())
            for prediction, label in pairs:
                band_counts(prediction, label, len(data.classes))
            points.append(time.perf_counter())
            plain = sum(usual(prediction, label, len(data.classes)) for prediction, label in pairs)
            points.append(time.perf_counter())
            assert np.array_equal(counts[:, 1:], plain)
            times.append(np.diff(points) / len(pairs))
        f, band, whole = (1000 * np.array(times)).T
        print(
            f"{size[0]} x {size[1]}: F-score {np.median(f):.1f} ms an image, Boundary IoU and trimap IoU "
            f"{np.median(band):.1f} ms, the usual F-score {np.median(whole):.0f} ms: all of ours take "
            f"{np.median((f + band) / whole):.3f} of its time (F-score alone {np.median(f / whole):.3f})"
        )


if __name__ == "__main__":
    main()
