"""Networks of this package beside those of other libraries: time, memory and arithmetic, measured by turns in one run.

The same image size, threads, classes (19) and, where the library lets one choose, encoder; random weights but for the
bundled ones, since only the time counts. SegFormer-B0 and torchvision's networks have encoders of their own. Everything
runs in PyTorch as it is ("eager": evaluation and inference mode, float32, channels last) and by `pixalign.fuse`,
which folds the norms of any network and knows more about ours alone. What is measured and what not: docs/benchmark.md.

    python benchmarks/peers.py [--size 512x1024] [--encoder resnet18] [--threads 2] [--rounds 8]

Needs `pip install 'pixalign[peers]'`. About half of the time goes to memory, which is measured in a process for each
row. Prints the table and writes it to ``--table`` (benchmarks/peers.md) and the bars to ``--plot`` (docs/peers.png);
every time of every round goes to ``--out`` (runs/peers).
"""

import argparse
import shutil
import sys
from datetime import date
from pathlib import Path

from pixalign.cli import main as pixalign
from pixalign.files import replacing

BUNDLED = ("default", "default-fast")
OURS = ("sfnet", "sfnet_lite", "bialignnet", "alignseg", "ifa", "ddsm")
SMP = ("Unet", "FPN", "DeepLabV3Plus", "PSPNet", "Segformer")
FIXED = ("hf/segformer-b0@mit_b0", "torchvision/lraspp@mobilenet_v3_large", "torchvision/deeplabv3@mobilenet_v3_large")
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18", help="of our networks and those of smp")
    parser.add_argument("--backends", default="eager,fused", help="as of `pixalign benchmark`")
    parser.add_argument("--rounds", default="8", help="as of `pixalign benchmark`")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "peers", metavar="DIR")
    parser.add_argument("--table", type=Path, default=ROOT / "benchmarks" / "peers.md", metavar="FILE")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "peers.png", metavar="FILE")
    arguments, others = parser.parse_known_args()
    networks = [f"{name}@{arguments.encoder}" for name in (*OURS, *(f"smp/{name}" for name in SMP))]
    options = ["--backends", arguments.backends, "--rounds", arguments.rounds, "--out", str(arguments.out), *others]
    status = pixalign(["benchmark", *BUNDLED, *networks, *FIXED, *options])
    if status:
        return status
    _, *lines = (arguments.out / "table.md").read_text(encoding="utf-8").splitlines()
    title = "# Beside networks of other libraries"
    command = " ".join(["    python benchmarks/peers.py", *sys.argv[1:]])
    with replacing(arguments.table) as path:
        path.write_text(
            "\n".join([title, "", command, "", f"Measured on {date.today()}.", *lines]) + "\n", encoding="utf-8"
        )
    with replacing(arguments.plot) as path:
        shutil.copyfile(arguments.out / "benchmark.png", path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
