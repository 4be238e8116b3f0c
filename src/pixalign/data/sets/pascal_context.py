"""PASCAL Context (Mottaghi et al., CVPR 2014): VOC 2010 labeled throughout, 4,998 + 5,105 images, 59 classes or 60.

The folder is VOC2010/: ``root/JPEGImages/NAME.jpg``, the lists ``root/ImageSets/SegmentationContext/train.txt`` and
``val.txt`` (a NAME per line; without them those of VOC's ``ImageSets/Main``, which are the same), and the labels as

- ``root/SegmentationClassContext/NAME.png``: 0 = background, 1 to 59 = the classes, in alphabetical order. So write the
  conversions that go by detail-api, whatever order of names the code beside them prints; or
- ``root/trainval/NAME.mat``: the original labels of 459 classes (variable LabelMap), which ``root/labels.txt`` names
  ("2: aeroplane"); the 59 are found by their names. They are read where there is no folder of PNG files.

`pascal_context` ignores what belongs to none of the 59; in `pascal_context_60` it is the class ``background``. Colors
are ours, as the data set has none.
"""

from pathlib import Path

from pixalign.data.masks import Labels
from pixalign.data.pairs import Pairs, check_place, listed_names, pair_up
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

CLASSES = [
    "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building", "bus",
    "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
    "person", "plate", "platform", "pottedplant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky", "snow",
    "sofa", "table", "track", "train", "tree", "truck", "tvmonitor", "wall", "water", "window", "wood",
]  # fmt: skip
CLASSES_60 = ["background", *CLASSES]
COLORS = default_colors(len(CLASSES))
COLORS_60 = [[0, 0, 0], *COLORS]
SPLITS = ("train", "val")

_LISTS = ("SegmentationContext", "Main")


def pascal_context(root: str | Path, split: str) -> Pairs:
    """Return a split (train or val) of PASCAL Context in 59 classes; what belongs to none is ignored.

    Raises:
        InputError: an unknown split, a missing folder or list, an image or label that is not there.
    """
    return _open(Path(root), split, background=False)


def pascal_context_60(root: str | Path, split: str) -> Pairs:
    """Return a split of PASCAL Context in 60 classes: background, then the 59."""
    return _open(Path(root), split, background=True)


def _open(root: Path, split: str, background: bool) -> Pairs:
    name = "pascal_context_60" if background else "pascal_context"
    check_place(name, split, SPLITS, [root / "JPEGImages"], "be VOC2010/")
    lists = [root / "ImageSets" / folder / f"{split}.txt" for folder in _LISTS]
    file = next((path for path in lists if path.is_file()), None)
    if file is None:
        raise InputError(f"{lists[0]}: no such file: it must list the names of the split, one per line")
    images = [root / "JPEGImages" / f"{name}.jpg" for name in listed_names(file)]
    if missing := [path for path in images if not path.is_file()]:
        raise InputError(
            f"{missing[0]}: no such file, though {file} lists it ({len(missing)} of {len(images)} are missing)"
        )
    if not images:
        raise InputError(f"{file}: lists no image: get it again")
    folder, first = root / "SegmentationClassContext", int(background)
    other = 0 if background else IGNORE
    ids = {0: other, **{i + 1: i + first for i in range(len(CLASSES))}, IGNORE: IGNORE}
    remedy = "SegmentationClassContext must hold 0 (background) to 59, and 255"
    if not folder.is_dir():
        if not (root / "trainval").is_dir():
            raise InputError(f"{folder}: no such folder: data.root must hold it, or trainval/ with labels.txt")
        folder, names = root / "trainval", _names(root / "labels.txt")
        ids = {0: other, **{v: CLASSES.index(n) + first if n in CLASSES else other for v, n in names.items()}}
        remedy = f"{root / 'labels.txt'} does not list it: get labels and list again"
    masks = pair_up(images, [*folder.glob("*.mat" if folder.name == "trainval" else "*.png")], folder)
    classes, colors = (CLASSES_60, COLORS_60) if background else (CLASSES, COLORS)
    return Pairs(f"{name}/{split}", images, masks, Labels(classes, colors, ids, remedy=remedy))


def _names(file: Path) -> dict[int, str]:
    """The names of the original labels by value, from labels.txt."""
    if not file.is_file():
        raise InputError(f"{file}: no such file: it names the 459 labels in trainval/, as in `2: aeroplane`")
    names = {}
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), start=1):
        value, _, name = line.partition(":")
        if not line.strip():
            continue
        if not value.strip().isdecimal() or not name.strip():
            raise InputError(f"{file}: line {number} is {line!r}: expected a label and its name, as in `2: aeroplane`")
        names[int(value)] = name.replace(" ", "")
    if missing := [name for name in CLASSES if name not in names.values()]:
        raise InputError(f"{file}: has no {missing[0]!r} ({len(missing)} of the 59 names are missing): get it again")
    return names
