"""A folder of images and masks, a number of minutes, and no further word: what each toolkit makes of them.

    python benchmarks/own_data.py pixalign --root VESSELS --minutes 20 --out runs/vessels
    python benchmarks/own_data.py unet --root VESSELS --minutes 20 --out runs/vessels-unet      # needs pixalign[peers]
    python benchmarks/own_data.py yolo --root VESSELS --minutes 20 --out runs/vessels-yolo      # needs ultralytics

The folder has train/ and val/, each with images/ and masks/ of ids. ``pixalign`` is `pixalign train --data.root ROOT
--minutes M --out OUT`; ``unet`` the same with the Unet of segmentation_models.pytorch on the encoder that pixalign
chooses and its ImageNet weights; ``yolo`` YOLO26n-sem of Ultralytics, from scratch by its own trainer with its own
settings, the whole image at its 640 pixels, for as many minutes. Each is measured once, at the end, on val, at the size
of the labels.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pixalign.data import open_data
from pixalign.evaluating import evaluate
from pixalign.metrics import confusion_matrix, summary
from pixalign.weights import load

UNET = ["--model.name", "smp/Unet", "--model.encoder", "tf_efficientnet_lite0", "--model.pretrained", "true"]


def ours(arguments: argparse.Namespace, words: list[str]) -> dict:
    """Train by the command and measure the last model."""
    command = [sys.executable, "-m", "pixalign", "train", "--data.root", str(arguments.root)]
    subprocess.run(
        [*command, "--minutes", f"{arguments.minutes:g}", "--out", str(arguments.out), *words],
        check=True,
    )
    return evaluate(load(arguments.out / "last"), open_data("folder", arguments.root, "val"))


def yolo(arguments: argparse.Namespace) -> dict:
    """Train Ultralytics' YOLO26n-sem by its own trainer and measure the last weights."""
    import yaml
    from ultralytics import YOLO

    val = open_data("folder", arguments.root, "val")
    root = arguments.out.resolve() / "data"
    for split in ("train", "val"):
        pairs = open_data("folder", arguments.root, split)
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(pairs.images):
            (root / "images" / split / image.name).symlink_to(Path(image).resolve())
            Image.fromarray(np.asarray(pairs[i][1], np.uint8)).save(root / "masks" / split / f"{image.stem}.png")
    described = {"path": str(root), "train": "images/train", "val": "images/val", "masks_dir": "masks"}
    (root / "data.yaml").write_text(yaml.safe_dump({**described, "names": dict(enumerate(val.classes))}))
    model = YOLO("yolo26n-sem.yaml")
    model.train(
        data=str(root / "data.yaml"), time=arguments.minutes / 60, epochs=10_000, device="cpu", workers=0, amp=False,
        project=str(arguments.out.resolve()), name="run", plots=False, val=False,
    )  # fmt: skip
    trained = YOLO(arguments.out / "run" / "weights" / "last.pt")
    count = len(val.classes)
    matrix = np.zeros((count, count), np.int64)
    for i, image in enumerate(val.images):
        ids = trained.predict(str(image), device="cpu", verbose=False)[0].semantic_mask.data
        matrix += confusion_matrix(np.asarray(ids, np.uint8)[None], np.asarray(val[i][1])[None], count)
    return summary(matrix, val.classes)


def main() -> None:
    """Print a row of a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["pixalign", "unet", "yolo"])
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--out", required=True, type=Path)
    arguments, words = parser.parse_known_args()  # further words are for `pixalign train`
    if arguments.what == "yolo":
        result = yolo(arguments)
    else:
        result = ours(arguments, [*(UNET if arguments.what == "unet" else []), *words])
    figures = [f"{name}: IoU {100 * x:.1f}, F1 {200 * x / (1 + x):.1f}" for name, x in result["iou"].items()]
    print(f"{arguments.what}, {arguments.minutes:g} minutes: mIoU {100 * result['miou']:.1f}; {'; '.join(figures)}")


if __name__ == "__main__":
    main()
