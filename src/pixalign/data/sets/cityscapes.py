"""Cityscapes (Cordts et al., CVPR 2016): streets of 50 cities, 2048 x 1024, 19 classes.

``root/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png``, with the labels of ``train`` (2,975 images) and ``val`` (500) in
``root/gtFine/SPLIT/CITY`` and the coarse ones of ``train_extra`` (19,998) in ``root/gtCoarse/train_extra/CITY``.

Labels are NAME_gtFine_labelIds.png, of whose 34 ids 19 are evaluated (`LABEL_IDS`), or, where any of these is missing,
NAME_gtFine_labelTrainIds.png, which hold the class ids already. The files of instances, colors and polygons beside
them are not read.

The labels of ``test`` (1,525 images) are kept by the benchmark; gtFine/test holds void alone. `write_submission` turns
predictions of these images into what its server takes.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pixalign.data.images import ID_MAP, write_image
from pixalign.data.masks import Labels, plain_ids, read_values
from pixalign.data.pairs import Pairs, check_place, pair_up
from pixalign.errors import InputError
from pixalign.palette import CITYSCAPES, IGNORE

CLASSES, COLORS = list(CITYSCAPES), [list(color) for color in CITYSCAPES.values()]
LABEL_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]  # of the classes
SPLITS = ("train", "val", "train_extra")

_NAME = re.compile(r"(.+_\d{6}_\d{6})(_leftImg8bit)?")
_KIND = re.compile(r"_(leftImg8bit|gt(Fine|Coarse)_label(Train)?Ids)\.png$")
_COUNT = 34  # label ids, from 0 (unlabeled)


def cityscapes(root: str | Path, split: str) -> Pairs:
    """Return a split of Cityscapes: train, val, or train_extra, whose labels are coarse.

    Raises:
        InputError: test or an unknown split, a missing or empty folder, an image without label.
    """
    root = Path(root)
    if split == "test":
        raise InputError(
            f"{root / 'gtFine' / 'test'}: the labels of test are not public (its files hold void alone): evaluate on "
            "val, or run `pixalign predict` on leftImg8bit/test with --format cityscapes and hand that in"
        )
    kind = "gtCoarse" if split == "train_extra" else "gtFine"
    images_in, masks_in = root / "leftImg8bit" / split, root / kind / split
    content = f"hold Cityscapes' leftImg8bit/{split}/ and {kind}/{split}/"
    check_place("cityscapes", split, SPLITS, [images_in, masks_in], content)
    images = sorted(images_in.glob("*/*_leftImg8bit.png"))
    if not images:
        raise InputError(f"{images_in}: no CITY/NAME_leftImg8bit.png in it: is data.root right?")
    by_label_id, by_class_id = ([*masks_in.glob(f"*/*_{kind}_label{ids}Ids.png")] for ids in ("", "Train"))
    names, by_id, by_class = ({_key(path) for path in paths} for paths in (images, by_label_id, by_class_id))
    if names - by_id and names <= by_class:
        ids, masks = plain_ids(len(CLASSES)), by_class_id
    else:
        ids, masks = {**dict.fromkeys(range(_COUNT), IGNORE), **{v: i for i, v in enumerate(LABEL_IDS)}}, by_label_id
    remedy = f"*_labelIds.png hold ids of 0 to {_COUNT - 1}, *_labelTrainIds.png of 0 to 18 and 255: get the file again"
    labels = Labels(CLASSES, COLORS, ids, remedy=remedy)
    return Pairs(f"cityscapes/{split}", images, pair_up(images, masks, masks_in, _key), labels)


def _key(path: Path) -> str:
    """What the image and the labels of a frame have in common: CITY/NAME."""
    return f"{path.parent.name}/{_KIND.sub('', path.name)}"


def submission_paths(predictions: Iterable[Path], out: str | Path, classes: Sequence[str]) -> dict[Path, Path]:
    """Return where `write_submission` would write each id map, which need not be there yet.

    Raises:
        InputError: other classes than the 19, or a file that is not named as an image of Cityscapes.
    """
    if list(classes) != CLASSES:
        raise InputError(
            f"the format cityscapes needs a model of the {len(CLASSES)} classes of Cityscapes: this one has "
            f"{len(classes)}, from {classes[0]!r} to {classes[-1]!r}"
        )
    targets = {}
    for path in predictions:
        name = _NAME.fullmatch(path.stem)
        if name is None:
            raise InputError(
                f"{path}: not named as of Cityscapes, such as berlin_000000_000019_leftImg8bit.png: give its own files"
            )
        targets[path] = Path(out) / f"{name[1]}.png"
    return targets


def write_submission(predictions: Iterable[Path], out: str | Path, classes: Sequence[str]) -> list[Path]:
    """Write id maps as the benchmark's server takes them, each file whole or not at all; return the paths.

    Args:
        predictions: id maps of the 19 classes, named as their images (CITY_000000_000019_leftImg8bit.png).
        out: folder for CITY_000000_000019.png, which hold label ids (7 is road) in 8 bits; zip it to hand it in.
        classes: of the model that made them.

    Raises:
        InputError: as `submission_paths`, or a file that cannot be read or written.
    """
    table = np.zeros(256, np.uint8)
    table[: len(CLASSES)] = LABEL_IDS
    targets = submission_paths(predictions, out, classes)
    for path, target in targets.items():
        write_image(Image.fromarray(table[read_values(path)]), target, **ID_MAP)
    return list(targets.values())
