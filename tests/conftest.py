"""What the tests share: one thread per test process, and tiny data sets and models."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes on two cores: more threads only get in the way

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_pair(
    image_path: Path, mask_path: Path, seed: int, classes: int = 3, size: tuple[int, int] = (48, 64)
) -> None:
    """Write an image of colored stripes and the mask of class ids that goes with it."""
    rng = np.random.default_rng(seed)
    mask = np.repeat(rng.integers(0, classes, size[0] // 8), 8)[:, None].repeat(size[1], 1).astype(np.uint8)
    image = (60 + 60 * mask[..., None] + rng.integers(0, 30, (*size, 3))).clip(0, 255).astype(np.uint8)
    for path, pixels in ((image_path, image), (mask_path, mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def write_folder(root: Path) -> Path:
    """Write a folder of images/ and masks/: 10 pairs of three classes."""
    for i in range(10):
        write_pair(root / "images" / f"img{i}.png", root / "masks" / f"img{i}.png", seed=i)
    return root


@pytest.fixture
def folder_data(tmp_path):
    """A folder of images/ and masks/: 10 pairs of three classes."""
    return write_folder(tmp_path / "data")


@pytest.fixture
def camvid_data(tmp_path):
    """CamVid's layout with its sequence names: 3 daylight and 2 dusk training pairs, 2 of val."""
    root = tmp_path / "camvid"
    names = {"train": ["0006R0_f00930", "0016E5_00390", "0016E5_00420", "0001TP_006690", "0001TP_006720"]}
    names["val"] = ["0016E5_07959", "0016E5_07961"]
    for split, stems in names.items():
        for i, stem in enumerate(stems):
            write_pair(root / split / f"{stem}.jpg", root / f"{split}annot" / f"{stem}.png", seed=i, classes=12)
    return root
