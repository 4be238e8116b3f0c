"""What filling an image up to whole cells of every map is worth: mIoU with it and without, at several scales.

    python benchmarks/sides.py --root CAMVID [--model default] [--splits val dusk] [--scales 1 1.25]

Without it, a map of ceil(side / stride) cells is resized by the ratio of the sizes, which stretches it against the
image.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import torch

import pixalign
from pixalign.data import open_data
from pixalign.evaluating import evaluate
from pixalign.models.network import SegmentationNetwork
from pixalign.predicting import Mode


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--splits", nargs="+", default=["val"])
    parser.add_argument("--scales", nargs="+", type=float, default=[1.0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = pixalign.load(arguments.model)
    print("| split | scale | as it is | filled up |\n|---|---:|---:|---:|")
    for split in arguments.splits:
        data = open_data("camvid", arguments.root, split)
        for scale in arguments.scales:
            with patch.object(SegmentationNetwork, "step", 1):
                before = evaluate(network, data, mode=Mode(scales=(scale,)))["miou"]
            after = evaluate(network, data, mode=Mode(scales=(scale,)))["miou"]
            print(f"| {split} | {scale:g} | {100 * before:.2f} | {100 * after:.2f} |", flush=True)


if __name__ == "__main__":
    main()
