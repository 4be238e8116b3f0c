"""Adaptive decoding of IFA: how much of decoding at every pixel it recovers, and what it costs.

    OMP_NUM_THREADS=1 python benchmarks/adaptive.py MODEL --camvid CAMVID              # val, at 480 x 360
    OMP_NUM_THREADS=1 python benchmarks/adaptive.py MODEL --scenes 40                  # drawn streets at 4x
    OMP_NUM_THREADS=1 python benchmarks/adaptive.py MODEL --time                       # milliseconds, in turns

MODEL is an IFA trained at random points (configs/camvid/ifa_points_resnet18.yaml); it runs under `pixalign.fuse`.
At 4x, a street is drawn with its label at 1920 x 1440, the network sees the picture averaged down to 480 x 360, and
decodes at 1920 x 1440. "Recovered" is the share of what decoding at every pixel gains over resizing the finest map's
logits. Times are the process's CPU time, the smallest of the rounds; the variants take turns.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import pixalign
from pixalign.benchmarking import by_turns
from pixalign.data import open_data
from pixalign.data.sets.streets import Streets
from pixalign.data.transforms import normalize
from pixalign.metrics import band_counts, band_scores, boundary_scores, confusion_matrix, edge_counts, summary

SHARES = (0, 0.05, 0.1, 0.15, 0.2, 1)
SIZE, TIMES = (360, 480), 4


def camvid(root: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pairs = open_data("camvid", root, "val", "", 3)
    for index in range(len(pairs)):
        yield pairs[index]


def streets(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    scenes = Streets("val", count, (TIMES * SIZE[0], TIMES * SIZE[1]))
    for index in range(count):
        image, label = scenes[index]
        small = F.avg_pool2d(torch.from_numpy(image).permute(2, 0, 1).float(), TIMES)
        yield small.round().byte().permute(1, 2, 0).numpy(), label


def prepared(model: Any, image: np.ndarray) -> torch.Tensor:
    images = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0)
    return normalize(images, model.config.mean, model.config.std)


def measure(model: Any, pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
    names = list(model.config.classes)
    count = len(names)
    found = {
        share: [np.zeros(shape, np.int64) for shape in ((2, 2, count), (2, 3, 2, count), (count, count))]
        for share in SHARES
    }
    images = 0
    for image, label in pairs:
        images += 1
        with torch.inference_mode():
            features = model.encode(prepared(model, image))
            for share, (edges, bands, matrix) in found.items():
                ids = model.decode(features, label.shape, refine=share)[0].argmax(0).byte().numpy()
                edges += edge_counts(ids, label, count, (1,))
                bands += band_counts(ids, label, count, (3,))
                matrix += confusion_matrix(ids, label, count)
    rows = {}
    for share, (edges, bands, matrix) in found.items():
        trimap = band_scores(bands, names, (3,))["trimap"]["mean"]["3"]
        figures = (boundary_scores(edges, names, (1,))["mean"]["1"], trimap, summary(matrix, names)["miou"])
        rows[share] = [100 * figure for figure in figures]
    print(f"{images} images\n\n| refine | boundary F, 1 px | recovered | trimap IoU, 3 px | recovered | mIoU |")
    print("|---:|---:|---:|---:|---:|---:|")
    for share, row in rows.items():
        gains = [f"{(now - low) / (high - low):.0%}" for now, low, high in zip(row, rows[0], rows[1])]
        print(f"| {share} | {row[0]:.2f} | {gains[0]} | {row[1]:.2f} | {gains[1]} | {row[2]:.2f} |")


def whole(model: Any, x: torch.Tensor, size: tuple[int, int], share: float) -> None:
    model.decode(model.encode(x), size, refine=share)


def measure_time(model: Any, rounds: int) -> None:
    image, _ = Streets("val", size=SIZE)[0]
    for times in (1, TIMES):
        size = (times * SIZE[0], times * SIZE[1])
        x = prepared(model, image)
        with torch.inference_mode():
            calls = {str(share): partial(whole, model, x, size, share) for share in SHARES}
            taken = by_turns(calls, rounds, clock=time.process_time)
        best = {share: min(taken[str(share)]) for share in SHARES}
        print(f"\noutput {size[1]} x {size[0]}\n\n| refine | whole network, ms | times refine 0 |\n|---:|---:|---:|")
        for share, seconds in best.items():
            print(f"| {share} | {1000 * seconds:.1f} | {seconds / best[0]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--camvid", metavar="ROOT")
    parser.add_argument("--scenes", type=int, help="drawn streets at 4x")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    model = pixalign.fuse(pixalign.load(args.model))
    if args.camvid:
        measure(model, camvid(args.camvid))
    if args.scenes:
        measure(model, streets(args.scenes))
    if args.time:
        measure_time(model, args.rounds)


if __name__ == "__main__":
    main()
