"""A comparison of tiny networks on drawn streets, and runs as they look when they are done."""

import json

import yaml
from PIL import Image

from pixalign.data.sets.streets import draw_scene
from pixalign.training.config import write_config

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}


def write_scenes(root):
    """Eight drawn streets of 64 x 96: five to train on and three, of a sequence each, to measure on."""
    for index, name in enumerate(["a", "b", "c", "d", "e", "x", "y", "z"]):
        split = "train" if index < 5 else "val"
        image, ids = draw_scene(index, (64, 96))
        for kind, pixels in (("images", image), ("masks", ids)):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / split / f"{name}.png")
    (root / "classes.yaml").write_text(yaml.safe_dump({"classes": [f"class {i}" for i in range(11)]}))
    return root


def content(root, out, **changes):
    """The content of a comparison's file."""
    return {
        "baseline": "bilinear",
        "out": str(out),
        "recipe": {
            "model": {"name": "aligned_fpn", "encoder": "resnet18", "options": TINY},
            "data": {"root": str(root), "crop": [32, 48], "workers": 0, "check": False},
            "epochs": 1,
            "batch_size": 2,
            "precision": "fp32",
            "ema": 0.0,
            "pictures_every": 0,
            "device": "cpu",
        },
        "methods": {name: {"model": {"options": {"aligner": name}}} for name in ("bilinear", "flow")},
        **changes,
    }


def finish(run, classes=("a", "b"), fingerprint="f" * 16, epochs=None, batches=2):
    """Leave the files of a finished run, without weights that could be read."""
    (run.folder / "last").mkdir(parents=True, exist_ok=True)
    write_config(run.config, run.folder / "config.yaml")
    train = {"name": "data/train", "pairs": 5, "classes": list(classes), "fingerprint": fingerprint}
    (run.folder / "run.json").write_text(json.dumps({"data": {"train": train}, "starts": []}))
    epochs = epochs or run.config.epochs
    lines = [json.dumps({"epoch": e, "step": e * batches}) + "\n" for e in range(1, epochs + 1)]
    (run.folder / "metrics.jsonl").write_text("".join(lines))
    (run.folder / "last" / "model.safetensors").write_bytes(b"weights")
    (run.folder / "last" / "config.json").write_text(json.dumps({"data": {"fingerprint": fingerprint}}))
