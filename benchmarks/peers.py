"""Networks of this package beside those of other libraries: time, memory and arithmetic, measured by turns in one run.

The same image size, threads, classes (19) and, where the library lets one choose, encoder; random weights, since only
the time counts. SegFormer-B0 and torchvision's networks have encoders of their own. Everything runs in PyTorch as it is
("eager": evaluation and inference mode, float32, channels last) and through `pixalign.optimize`, which folds the norms
of any network and knows more about ours alone. What is measured and what not: docs/benchmark.md.

    python benchmarks/peers.py --out results [--size 512x1024 --size 1024x2048] [--encoder resnet18] [--threads 2]

Needs `pip install 'pixalign[peers]'`. Prints the table; ``--out`` gets benchmark.json, table.md and benchmark.png.
"""

import argparse

from pixalign.cli import main as pixalign

OURS = ("sfnet", "sfnet_lite", "bialignnet", "alignseg", "ifa", "ddsm")
SMP = ("Unet", "FPN", "DeepLabV3Plus", "PSPNet", "Segformer")
FIXED = ("hf/segformer-b0@mit_b0", "torchvision/lraspp@mobilenet_v3_large", "torchvision/deeplabv3@mobilenet_v3_large")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18", help="of our networks and those of smp")
    parser.add_argument("--backends", default="eager,optimised", help="as of `pixalign benchmark`")
    arguments, others = parser.parse_known_args()
    networks = [f"{name}@{arguments.encoder}" for name in (*OURS, *(f"smp/{name}" for name in SMP))]
    return pixalign(["benchmark", *networks, *FIXED, "--backends", arguments.backends, *others])


if __name__ == "__main__":
    raise SystemExit(main())
