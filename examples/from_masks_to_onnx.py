"""From a folder of masks to an exported model: check, train, evaluate, export, verify.

    python examples/from_masks_to_onnx.py                      # draws a small folder first
    python examples/from_masks_to_onnx.py --root DIR           # images/ and masks/ of your own
    python examples/from_masks_to_onnx.py --root DIR --epochs 60 --encoder resnet18

The defaults are meant to be quick, not good: a narrow network, trained from scratch on 30 drawn streets. The export
needs `pip install 'pixalign[export]'`.
"""

import argparse
import sys
from pathlib import Path

import yaml
from PIL import Image

import pixalign
from pixalign import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig, check_data, open_data
from pixalign.data.sets.streets import CLASSES, COLORS, draw_scene


def draw_folder(root: Path, count: int, size: tuple[int, int] = (180, 240)) -> None:
    """Write ``count`` drawn streets as images/ and masks/ of class ids, and classes.yaml with names and colors."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        image, ids = draw_scene(seed, size)
        Image.fromarray(image).save(root / "images" / f"street{seed:03}.png")
        Image.fromarray(ids).save(root / "masks" / f"street{seed:03}.png")
    classes = [{"name": name, "color": list(color)} for name, color in zip(CLASSES, COLORS)]
    (root / "classes.yaml").write_text(yaml.safe_dump({"classes": classes}, sort_keys=False))


def main() -> int:
    parser = argparse.ArgumentParser(description="From a folder of masks to an exported model.")
    parser.add_argument("--root", type=Path, help="folder with images/ and masks/ (default: one is drawn)")
    parser.add_argument("--out", type=Path, default=Path("runs/example"), help="folder for run, results and model")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--encoder", default="resnet18", help="any timm encoder")
    parser.add_argument("--count", type=int, default=30, help="streets to draw")
    args = parser.parse_args()

    # 1. The data: every image and mask is opened, and every problem has a remedy.
    root = args.root or args.out / "data"
    if args.root is None:
        draw_folder(root, args.count)
    report = check_data("folder", root)
    print(f"1. {root}: {report.verdict()}")
    for problem in report.problems:
        print(f"   {problem.severity}: {problem.heading}; {problem.remedy}")
    if not report.ready:
        return 1

    # 2. Training: a fifth of the images is held out. All keys: `pixalign train --help`.
    config = TrainConfig(
        model=ModelConfig(name="sfnet", encoder=args.encoder, options={"channels": 32}),
        data=DataConfig(root=str(root), crop=(128, 160), workers=0),
        loss=LossConfig(class_weights="enet", adjust=0.75),
        optim=OptimConfig(lr=2e-3),
        epochs=args.epochs,
        batch_size=4,
        ema=0.9,  # of few steps; the default, 0.999, suits thousands
        evaluate_every=args.epochs,
        pictures_every=0,
        out=str(args.out / "run"),
    )
    print(f"2. training: {config.out}")
    run = pixalign.train(config)

    # 3. Evaluation, at the labels' own size.
    model = pixalign.load(run / "best")
    val = open_data("folder", root, "val")
    figures = pixalign.evaluate(model, val, boundary=True)
    print(f"3. {figures['data']}, {figures['images']} images: mIoU {figures['miou']:.1%}")

    # 4. Export: the file is compared with the network at three sizes before it is put in place.
    file = args.out / "model.onnx"
    written = pixalign.export(model, file, raw=True)
    print(
        f"4. {file}: {written['bytes'] / 1e6:.1f} MB, largest difference from PyTorch "
        f"{max(row['difference'] for row in written['parity']):.0e} of the largest logit"
    )

    # 5. Verification by the figures: the file alone, on the same images.
    again = pixalign.evaluate(pixalign.Predictor(file).model, val)
    print(f"5. the same images with {file.name}: mIoU {again['miou']:.1%}")
    picture = args.out / "prediction.jpg"
    pixalign.Predictor(file)(val.images[0]).overlay().save(picture)
    print(f"   {picture} shows {Path(val.images[0]).name} with its predicted classes")
    return 0 if abs(again["miou"] - figures["miou"]) < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
